"""How to reach a demo: addresses, the user and the key, which are of this demo only."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

from pydantic import JsonValue, TypeAdapter

from serving.accounts import open_accounts
from serving.schemas import PredictionResponse

USER = "demo"
KEY_FILE = "key"
REQUEST_FILE = "candidate.json"


@dataclass(frozen=True)
class Access:
    """How to reach a demo's server and its MLflow UI.

    Attributes
    ----------
    server, mlflow : str
        Addresses.
    folder : Path
        The demo's folder, where the key and one request are files.
    user, password, key : str
    """

    server: str
    mlflow: str
    folder: Path
    user: str
    password: str = field(repr=False)
    key: str = field(repr=False)


def open_access(server: str, mlflow: str, folder: Path) -> Access:
    """Let a new user and a new key in, the user as a researcher, who sees patients and models."""
    accounts, password = open_accounts(), secrets.token_urlsafe(12)
    accounts.add_user(USER, "researcher", password)
    access = Access(server, mlflow, folder, USER, password, accounts.keys.add(USER))
    descriptor = os.open(folder / KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as key_file:
        key_file.write(access.key + "\n")
    return access


def request_prediction(access: Access, request: Mapping[str, JsonValue]) -> PredictionResponse:
    """Write a request as a file, send it to the server, and return its response, checked against the contract."""
    body = json.dumps(request, allow_nan=False, indent=1).encode()
    (access.folder / REQUEST_FILE).write_bytes(body + b"\n")
    headers = {"Authorization": f"Bearer {access.key}", "Content-Type": "application/json"}
    with urlopen(Request(f"{access.server}/v1/predictions", body, headers), timeout=60) as response:
        return TypeAdapter(PredictionResponse).validate_json(response.read())
