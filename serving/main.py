"""Start of the server: models from the registry, accounts from the database, workers of uvicorn."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

import uvicorn
from fastapi import FastAPI

from features.errors import ModelMissing
from features.settings import settings
from models.engraftment import EngraftmentBundle
from models.predict import ServedModel
from serving.accounts import Accounts, open_accounts
from serving.app import create_app
from serving.cds_hooks.service import open_cds_hooks
from serving.clinic import read_clinic
from serving.errors import DatabaseError
from serving.oidc.provider import open_provider
from serving.record.recorder import open_recorder
from serving.schemas import EXAMPLE
from serving.validation_jobs import ValidationJobs


def app() -> FastAPI:
    """Return the application, for `uvicorn serving.main:app --factory`.

    Raises
    ------
    ModelMissing
        The registry has no model with this alias.
    DatabaseError
        The database has no valid API key.
    """
    # The registry imports MLflow, which takes seconds.
    from models.registry import served_models

    accounts = open_accounts()
    if not _has_key(accounts):
        raise DatabaseError("there is no API key yet; start `taxokine serve` once, or set TAXOKINE_API_KEY")
    return _app(served_models(settings().alias), accounts)


def serve(
    host: str = "127.0.0.1", port: int = 8000, workers: int = 1, alias: str | None = None, clinic: str | None = None
) -> None:
    """Serve until interrupted. If there is no API key, print a new one; if there is no user, print how to add one.

    Parameters
    ----------
    host : str
        Address to listen on; a warning is printed for any that other machines can reach.
    port : int
    workers : int
        Number of processes; each loads all models.
    alias : str, optional
        Alias in the registry of the models to serve, instead of that in the settings.
    clinic : str, optional
        Cohort whose patients the pages list, instead of that in the settings.

    Raises
    ------
    ModelMissing
        The registry has no model with this alias.
    TaxokineError
        The cohort cannot be read.
    """
    from models.registry import served_models

    # Workers are new processes, which inherit the environment only.
    os.environ.update(
        {name: value for name, value in (("TAXOKINE_ALIAS", alias), ("TAXOKINE_CLINIC", clinic)) if value}
    )
    settings.cache_clear()
    # Workers load the models themselves, but uvicorn would restart one that cannot start for ever: fail here first.
    models = served_models(settings().alias)
    accounts = open_accounts()
    print(_welcome(accounts, host, port), end="", flush=True)
    if not _is_loopback(host):
        print(
            f"Warning: other machines may reach this server on {host}, and passwords, keys and patients' data travel "
            "unencrypted; put a proxy with TLS in front of it.",
            flush=True,
        )
    uvicorn.run(
        _app(models, accounts) if workers == 1 else "serving.main:app",
        factory=workers != 1,
        host=host,
        port=port,
        workers=workers,
        server_header=False,
        # The supervisor kills a worker that does not respond in time, and a worker responds once its models are loaded.
        timeout_worker_healthcheck=120,
        # A log line for each request takes half the time of a prediction, and its path may hold a patient's name.
        access_log=False,
    )


def _app(models: Mapping[str, Sequence[ServedModel]], accounts: Accounts) -> FastAPI:
    configuration = settings()
    landmark = min(served.model.evidence.landmark for ranked in models.values() for served in ranked)
    clinic = read_clinic(configuration.clinic, landmark) if configuration.clinic else None
    mlflow_ui = configuration.mlflow_url or _mlflow_ui(configuration.tracking_uri)
    cohort = {clinic.name: configuration.clinic} if clinic and configuration.clinic else {}
    jobs = ValidationJobs(configuration.home / "validations", configuration.data, cohort)
    return create_app(
        models, accounts, clinic, mlflow_ui, _engraftment(), jobs, open_recorder(), open_cds_hooks(), open_provider()
    )


def _engraftment() -> EngraftmentBundle | None:
    """Return the registered engraftment model, if there is one."""
    from models.registry import find_engraftment

    try:
        return find_engraftment().bundle
    except ModelMissing:
        return None


def _mlflow_ui(tracking_uri: str) -> str:
    """Return the address of the MLflow UI: the tracking server, without its password, or that of `taxokine ui`."""
    parts = urlsplit(tracking_uri)
    if parts.scheme not in {"http", "https"}:
        return "http://127.0.0.1:5000"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _has_key(accounts: Accounts) -> bool:
    return settings().api_key is not None or any(key.revoked is None for key in accounts.api_keys())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _welcome(accounts: Accounts, host: str, port: int) -> str:
    text = "" if _has_key(accounts) else _key_text(accounts.add_key("first"), host, port)
    if all(user.disabled for user in accounts.users()):
        text += "No user can sign in yet. Add one:\n\n    taxokine users add NAME\n\n"
    return text


def _key_text(key: str, host: str, port: int) -> str:
    return f"""\
API key, shown only now (the database holds its hash):

    {key}

Try it:

    curl http://{host}:{port}/v1/models -H 'Authorization: Bearer {key}'

    curl http://{host}:{port}/v1/predictions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
      -d '{json.dumps(EXAMPLE)}'

"""
