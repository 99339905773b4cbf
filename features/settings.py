"""The environment, read once.

Every environment variable by which Taxokine is configured is a field of `Settings`; no other module reads it. What
other modules set there is meant for the processes and libraries that they start.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote

from features.errors import InputError

# MLflow reads this when it is first imported, and would otherwise send usage data to its developers.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# MLflow's progress bars and notices would interrupt the ones of Taxokine.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
# An MLflow server would start eight more processes, each with all of MLflow, that wait for jobs of generative AI.
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")


@dataclass(frozen=True)
class Settings:
    """The settings of a process: the environment variables, or their defaults.

    Attributes
    ----------
    home : Path
        Folder of the database, of the last good set of models, of the key of the record and of the key that masks
        patient ids (`TAXOKINE_HOME`, default `.taxokine`).
    data : Path
        Folder that holds one subfolder for each cohort (`TAXOKINE_DATA`, default `cohorts` within `home`).
    tracking_uri : str
        MLflow's store (`MLFLOW_TRACKING_URI`; default `mlflow.db` in the working folder, MLflow's own default).
    parent_run : str or None
        The run that `mlflow run` has opened for this process (`MLFLOW_RUN_ID`).
    database : str
        URL of the database of accounts, questions and reported outcomes (`TAXOKINE_DATABASE`, default `taxokine.db`
        within `home`).
    record : str
        What the record of questions keeps of the inputs: "digest", or "inputs", encrypted under a key for each patient
        (`TAXOKINE_RECORD`, default digest).
    record_key : str or None
        Key of the record in 64 hexadecimal digits (`TAXOKINE_RECORD_KEY`, default `record.key` within `home`, which is
        made at the first start).
    unrecorded : str
        Whether to "refuse" or "give" an answer that cannot be recorded (`TAXOKINE_UNRECORDED`, default refuse).
    api_key : str or None
        The one API key the server accepts instead of those it keeps hashed (`TAXOKINE_API_KEY`).
    signing_key : Path or None
        File of the private key by which trained bundles are signed (`TAXOKINE_SIGNING_KEY`).
    signers : tuple of Path
        Files of the public keys of which one must have signed each bundle from the registry (`TAXOKINE_SIGNERS`,
        separated as the folders of `PATH` are); without any, bundles need no signature.
    key_rate : int or None
        Requests that one API key, or one client of CDS Hooks, may make of a worker in a minute (`TAXOKINE_KEY_RATE`,
        default without limit).
    alias : str or None
        The registry's alias to serve instead of `champion`, else `candidate` (`TAXOKINE_ALIAS`).
    clinic : str or None
        The cohort whose candidates the pages list (`TAXOKINE_CLINIC`).
    server_url : str or None
        Address at which people open the server, to which MLflow runs link (`TAXOKINE_SERVER_URL`).
    hosts : tuple of str
        Names under which the server answers, besides those of this machine and that in `server_url` (`TAXOKINE_HOSTS`,
        separated by commas).
    mlflow_url : str or None
        Address at which people open the MLflow UI, to which the pages link (`TAXOKINE_MLFLOW_URL`; default the store's,
        if it is a server, or that of `taxokine ui`).
    cds_clients : Path or None
        File of the clients of CDS Hooks and their public keys; without it there is no CDS Hooks
        (`TAXOKINE_CDS_CLIENTS`).
    oidc_issuer : str or None
        Issuer of the OpenID provider at which users may sign in too (`TAXOKINE_OIDC_ISSUER`).
    oidc_client : str or None
        Id of this server at the provider (`TAXOKINE_OIDC_CLIENT`).
    oidc_secret_file : Path or None
        File of this server's secret at the provider (`TAXOKINE_OIDC_SECRET_FILE`).
    oidc_role_claim : str
        Claim that holds a user's role, "clinician" or "researcher" (`TAXOKINE_OIDC_ROLE_CLAIM`, default roles).
    """

    home: Path
    data: Path
    tracking_uri: str
    parent_run: str | None
    database: str = field(repr=False)
    record: str
    record_key: str | None = field(repr=False)
    unrecorded: str
    api_key: str | None = field(repr=False)
    signing_key: Path | None
    signers: tuple[Path, ...]
    key_rate: int | None
    alias: str | None
    clinic: str | None
    server_url: str | None
    hosts: tuple[str, ...]
    mlflow_url: str | None
    cds_clients: Path | None
    oidc_issuer: str | None
    oidc_client: str | None
    oidc_secret_file: Path | None
    oidc_role_claim: str


@cache
def settings() -> Settings:
    """Return the settings of this process.

    Raises
    ------
    InputError
        A number is none.
    """
    env = os.environ
    home = Path(env.get("TAXOKINE_HOME") or ".taxokine").absolute()
    return Settings(
        home=home,
        data=Path(env.get("TAXOKINE_DATA") or home / "cohorts").absolute(),
        tracking_uri=env.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').absolute()}",
        parent_run=env.get("MLFLOW_RUN_ID") or None,
        database=env.get("TAXOKINE_DATABASE") or f"sqlite:///{quote(str(home / 'taxokine.db'))}",
        record=env.get("TAXOKINE_RECORD") or "digest",
        record_key=env.get("TAXOKINE_RECORD_KEY") or None,
        unrecorded=env.get("TAXOKINE_UNRECORDED") or "refuse",
        api_key=env.get("TAXOKINE_API_KEY") or None,
        signing_key=_path("TAXOKINE_SIGNING_KEY"),
        signers=tuple(Path(name).absolute() for name in env.get("TAXOKINE_SIGNERS", "").split(os.pathsep) if name),
        key_rate=_count("TAXOKINE_KEY_RATE"),
        alias=env.get("TAXOKINE_ALIAS") or None,
        clinic=env.get("TAXOKINE_CLINIC") or None,
        server_url=env.get("TAXOKINE_SERVER_URL", "").rstrip("/") or None,
        hosts=tuple(name for text in env.get("TAXOKINE_HOSTS", "").split(",") if (name := text.strip())),
        mlflow_url=env.get("TAXOKINE_MLFLOW_URL", "").rstrip("/") or None,
        cds_clients=_path("TAXOKINE_CDS_CLIENTS"),
        oidc_issuer=env.get("TAXOKINE_OIDC_ISSUER") or None,
        oidc_client=env.get("TAXOKINE_OIDC_CLIENT") or None,
        oidc_secret_file=_path("TAXOKINE_OIDC_SECRET_FILE"),
        oidc_role_claim=env.get("TAXOKINE_OIDC_ROLE_CLAIM") or "roles",
    )


def _count(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or int(text) == 0:
        raise InputError(f"{name} is {text!r}; expected a whole number from 1 up, or nothing")
    return int(text)


def _path(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value).absolute() if value else None
