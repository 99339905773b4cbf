"""Where the server starts: models from the registry, accounts from the database, workers from uvicorn."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

import uvicorn
from fastapi import FastAPI

from features.settings import settings
from models.predict import ServedModel
from serving.accounts import Accounts, open_accounts
from serving.app import create_app
from serving.clinic import read_clinic
from serving.errors import NotAuthorised
from serving.schemas import EXAMPLE


def app() -> FastAPI:
    """Return the API, for `uvicorn serving.main:app --factory`.

    Raises
    ------
    ModelMissing
        The registry has no model under the alias.
    NotAuthorised
        There is no API key yet.
    """
    # MLflow takes seconds to import, and nothing but the registry needs it.
    from models.registry import served_models

    said, accounts = settings(), open_accounts()
    if not _has_key(accounts):
        raise NotAuthorised("there is no API key yet; start `taxokine serve` once, or set TAXOKINE_API_KEY")
    return _app(served_models(said.alias), accounts)


def serve(
    host: str = "127.0.0.1", port: int = 8000, workers: int = 1, alias: str | None = None, clinic: str | None = None
) -> None:
    """Serve until interrupted; make an API key and print it, once, if there is none, and say so if there is no user.

    Parameters
    ----------
    host : str
        The address to listen on. Any but loopback lets others in, and is warned of.
    port : int
    workers : int
        Processes; each holds every model.
    alias : str, optional
        The registry's alias to serve, instead of what `settings` says.
    clinic : str, optional
        The cohort whose candidates the pages list, instead of what `settings` says.

    Raises
    ------
    ModelMissing
        The registry has no model under the alias.
    TaxokineError
        The clinic's cohort cannot be read.
    """
    from models.registry import served_models

    # Workers are new processes: what they inherit is the environment.
    os.environ.update(
        {name: value for name, value in (("TAXOKINE_ALIAS", alias), ("TAXOKINE_CLINIC", clinic)) if value}
    )
    settings.cache_clear()
    # Also with several workers, which load their own: one that cannot start would be started again for ever.
    models = served_models(settings().alias)
    accounts = open_accounts()
    print(_first_words(accounts, host, port), end="", flush=True)
    if not _is_loopback(host):
        print(
            f"Warning: listening on {host}, so others may reach this server, and secrets and patients travel "
            "unencrypted; put a proxy with TLS before it.",
            flush=True,
        )
    uvicorn.run(
        _app(models, accounts) if workers == 1 else "serving.main:app",
        factory=workers != 1,
        host=host,
        port=port,
        workers=workers,
        server_header=False,
        # A worker answers the supervisor only once its models are loaded; by default it would be killed before.
        timeout_worker_healthcheck=120,
        # A line for each answer would cost half as much as the answer, and might hold what a path should not.
        access_log=False,
    )


def _app(models: Mapping[str, Sequence[ServedModel]], accounts: Accounts) -> FastAPI:
    said = settings()
    landmark = min(served.model.evidence["landmark"] for ranked in models.values() for served in ranked)
    clinic = read_clinic(said.clinic, landmark) if said.clinic else None
    return create_app(models, accounts, clinic, _mlflow_ui(said.tracking_uri))


def _mlflow_ui(tracking_uri: str) -> str:
    """Return where runs are looked at: the tracking server, without its password, or what `taxokine ui` starts."""
    parts = urlsplit(tracking_uri)
    if parts.scheme not in {"http", "https"}:
        return "http://127.0.0.1:5000"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _has_key(accounts: Accounts) -> bool:
    return settings().api_key is not None or any(key.revoked is None for key in accounts.known_keys())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _first_words(accounts: Accounts, host: str, port: int) -> str:
    words = "" if _has_key(accounts) else _shown(accounts.make_key("first"), host, port)
    if all(user.disabled for user in accounts.users()):
        words += "Nobody can sign in yet; let someone:\n\n    taxokine users add NAME\n\n"
    return words


def _shown(key: str, host: str, port: int) -> str:
    return f"""\
API key, shown this once (only its hash is kept):

    {key}

Try it:

    curl http://{host}:{port}/v1/models -H 'Authorization: Bearer {key}'

    curl http://{host}:{port}/v1/predictions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
      -d '{json.dumps(EXAMPLE)}'

"""
