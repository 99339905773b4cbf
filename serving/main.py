"""Start of the server: models from the registry, accounts from the database, workers of uvicorn."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Sequence
from functools import cache
from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors.multiprocess import Process

from features.errors import InputError
from features.settings import Settings, settings
from serving.accounts import Accounts, open_accounts
from serving.app import create_app
from serving.cds_hooks.service import open_cds_hooks
from serving.clinic import read_clinic
from serving.errors import DatabaseError
from serving.hosts import LOOPBACK, host_name
from serving.logs import LOG_CONFIG, configure_logging
from serving.metrics.exposition import shared_metrics
from serving.model_set.live_app import LiveApp
from serving.model_set.loading import open_loader, start_set
from serving.model_set.model_set import ModelSet
from serving.oidc.provider import open_provider
from serving.record.recorder import open_recorder
from serving.schemas import EXAMPLE, Readiness
from serving.validation_jobs import ValidationJobs


def app() -> ASGIApp:
    """Return the application, for `uvicorn serving.main:app --factory`.

    Raises
    ------
    ModelMissing
        The registry has no model with this alias.
    DatabaseError
        The database has no valid API key.
    """
    accounts = open_accounts()
    if not _has_key(accounts):
        raise DatabaseError("there is no API key yet; start `taxokine serve` once, or set TAXOKINE_API_KEY")
    return _app(accounts)


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    alias: str | None = None,
    clinic: str | None = None,
    signers: Sequence[str] = (),
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
    signers : sequence of str
        Files of the public keys of which one must have signed each bundle, instead of those in the settings.

    Raises
    ------
    ModelMissing
        The registry has no model with this alias.
    TaxokineError
        The cohort cannot be read.
    """
    # Workers are new processes, which inherit the environment only.
    options = {"TAXOKINE_ALIAS": alias, "TAXOKINE_CLINIC": clinic, "TAXOKINE_SIGNERS": os.pathsep.join(signers)}
    os.environ.update({name: value for name, value in options.items() if value})
    # A registry that is down is met by the last good set of models, not by minutes of trying again.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    # MLflow would print its own lines beside the log.
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    settings.cache_clear()
    _hosts(settings())
    if not _is_any_address(host):
        # Whoever opens the server at this address names it so.
        name = f"[{host}]" if ":" in host else host
        os.environ["TAXOKINE_HOSTS"] = ",".join([*settings().hosts, name])
        settings.cache_clear()
    # Workers load the models themselves, but uvicorn would restart one that cannot start for ever: fail here first.
    start_set(open_loader())
    accounts = open_accounts()
    print(_welcome(accounts, host, port), end="", flush=True)
    if not _is_loopback(host):
        print(
            f"Warning: other machines may reach this server on {host}, and passwords, keys and patients' data travel "
            "unencrypted; put a proxy with TLS in front of it.",
            flush=True,
        )
        print(f"It answers under these names: {', '.join(_hosts(settings()))}; TAXOKINE_HOSTS adds others.", flush=True)
    _notice_dead_workers()
    # As Python does by itself: a request leaves little garbage, and a seldom search of much would delay another.
    gc.set_threshold(700, 10, 10)
    with shared_metrics(workers):
        uvicorn.run(
            _app(accounts) if workers == 1 else "serving.main:app",
            factory=workers != 1,
            host=host,
            port=port,
            workers=workers,
            server_header=False,
            # The supervisor kills a worker that does not respond in time; one responds once its models are loaded.
            timeout_worker_healthcheck=120,
            log_config=LOG_CONFIG,
            # The path of a request may hold a patient's name; `serving.request_log` has its template.
            access_log=False,
            # There are no websockets, of which uvicorn would log the path.
            ws="none",
        )


def _notice_dead_workers() -> None:
    """Let the supervisor notice at once that a worker died while it was asked whether it is alive.

    The supervisor keeps the worker's end of their pipe open too, so that it would wait for a dead worker until the time
    for its response is up, and meanwhile replace no other.
    """
    start = Process.start

    def start_and_close(process: Process) -> None:
        start(process)
        process.child_conn.close()

    Process.start = start_and_close  # type: ignore[assignment, method-assign]


def _app(accounts: Accounts) -> ASGIApp:
    """Return the application, whose models follow the registry."""
    configure_logging()
    configuration = settings()
    mlflow_ui = configuration.mlflow_url or _mlflow_ui(configuration.tracking_uri)
    recorder, cds_hooks, provider = open_recorder(), open_cds_hooks(), open_provider()
    clinic_at = cache(read_clinic)

    def build(model_set: ModelSet, readiness: Callable[[], Readiness]) -> ASGIApp:
        models = model_set.by_outcome()
        landmarks = tuple(sorted({served.model.evidence.landmark for served in model_set.served})) or (0.0,)
        clinic = clinic_at(configuration.clinic, landmarks) if configuration.clinic else None
        cohort = {clinic.name: configuration.clinic} if clinic and configuration.clinic else {}
        jobs = ValidationJobs(configuration.home / "validations", configuration.data, cohort)
        return create_app(
            models, accounts, clinic, mlflow_ui, model_set.engraftment, jobs, recorder, cds_hooks, provider, readiness,
            _hosts(configuration), configuration.key_rate,
        )  # fmt: skip

    return LiveApp(open_loader(), build)


def _mlflow_ui(tracking_uri: str) -> str:
    """Return the address of the MLflow UI: the tracking server, without its password, or that of `taxokine ui`."""
    parts = urlsplit(tracking_uri)
    if parts.scheme not in {"http", "https"}:
        return "http://127.0.0.1:5000"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _has_key(accounts: Accounts) -> bool:
    return settings().api_key is not None or any(key.revoked is None for key in accounts.keys.descriptions())


def _hosts(configuration: Settings) -> list[str]:
    """Return the names under which the server answers.

    Raises
    ------
    InputError
        A setting holds something else than a name.
    """
    address = urlsplit(configuration.server_url or "").netloc
    for host in configuration.hosts:
        if not host_name(host):
            raise InputError(
                f"TAXOKINE_HOSTS: {host!r} is no host name; write names as taxokine.example.org, with commas"
            )
    return sorted(LOOPBACK | {host_name(host) for host in (*configuration.hosts, address) if host})


def _is_any_address(host: str) -> bool:
    """Return whether a server that listens here listens on all addresses of the machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return not host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _welcome(accounts: Accounts, host: str, port: int) -> str:
    text = "" if _has_key(accounts) else _key_text(accounts.keys.add("first"), host, port)
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
