"""The hospital systems that may call CDS Hooks: who signs their tokens, and where their pages come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, ValidationError

from features.errors import InputError


@dataclass(frozen=True)
class CdsClient:
    """A client.

    Attributes
    ----------
    name : str
        As the record of questions names it.
    issuer : str
        The `iss` of its tokens.
    keys : KeySet
        Its public keys.
    origins : tuple of str
        Origins of its pages, which a browser lets read the responses.
    """

    name: str
    issuer: str
    keys: KeySet = field(repr=False)
    origins: tuple[str, ...]


class _ListedClient(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    issuer: str
    jwks: str
    origins: list[str] = []


class _ClientFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    clients: list[_ListedClient]


def read_clients(path: Path) -> tuple[CdsClient, ...]:
    """Return the clients of a file.

    The file is JSON: `{"clients": [{"name", "issuer", "jwks", "origins"}]}`, where `jwks` is the path of a JSON Web Key
    Set (RFC 7517) with the client's public keys, from the folder of the file, and `origins` may be missing.

    Raises
    ------
    InputError
        The file or a key set cannot be read, lists no client, or two clients share a name or issuer.
    """
    try:
        clients = _ClientFile.model_validate_json(path.read_bytes()).clients
    except OSError as error:
        raise InputError(f"{path} (TAXOKINE_CDS_CLIENTS) cannot be read: {error.strerror}") from error
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(map(str, detail["loc"]))
        raise InputError(f"{path} (TAXOKINE_CDS_CLIENTS): {place}: {detail['msg']}") from error
    for field_name in ("name", "issuer"):
        values = [getattr(client, field_name) for client in clients]
        if len(set(values)) < len(values) or not values:
            raise InputError(f"{path} (TAXOKINE_CDS_CLIENTS): expected clients, each with a {field_name} of its own")
    return tuple(
        CdsClient(client.name, client.issuer, _keys(path.parent / client.jwks), tuple(client.origins))
        for client in clients
    )


def _keys(path: Path) -> KeySet:
    try:
        keys = KeySet.import_key_set(_KeySetFile.model_validate_json(path.read_bytes()).model_dump())  # type: ignore[arg-type]
    except (OSError, ValueError, JoseError) as error:
        raise InputError(f"{path} is no JSON Web Key Set with at least one public key") from error
    if any(key.is_private or key.key_type not in {"RSA", "EC"} for key in keys.keys):
        raise InputError(f"{path}: expected public keys of RSA or of an elliptic curve")
    return keys


class _KeySetFile(BaseModel):
    keys: list[dict[str, str | list[str]]]
