"""API keys, by which programs ask the server; the database holds only their hashes."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, exc, insert, select, update

from features.errors import InputError
from serving.accounts.credentials import secret_digest, valid_name
from serving.database import api_keys, exclusive, read_only

KEY_CACHE = timedelta(seconds=5)
"""How long the hashes of the keys stay in memory: how long a key still works after another process revokes it."""


@dataclass(frozen=True)
class Key:
    """Description of an API key, without the key.

    Attributes
    ----------
    name : str
    last_four : str or None
        Last four characters of the key; None for keys of versions that did not store them.
    created : datetime
    revoked : datetime or None
    """

    name: str
    last_four: str | None
    created: datetime
    revoked: datetime | None


class ApiKeys:
    """API keys in a database.

    Threads may share an object; processes may share the database.

    Parameters
    ----------
    engine : Engine
        As `serving.database.open_database` returns it.
    only_key : str, optional
        The one API key to accept, instead of those in the database.
    now : callable, optional
        Returns the current time, in UTC.
    """

    def __init__(
        self, engine: Engine, only_key: str | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine = engine
        self._only_key = None if only_key is None else {secret_digest(only_key): "TAXOKINE_API_KEY"}
        self._now = now
        self._cached_keys: tuple[datetime, Mapping[bytes, str]] | None = None

    def accept(self, key: str) -> str | None:
        """Return the name of an API key, or None if the key is not valid.

        The hashes of the valid keys are read from the database at most every `KEY_CACHE`; a key that another process
        makes or revokes may be noticed that much later.
        """
        # A key has 256 random bits, so a fast hash protects it; slow hashes are for passwords. How long a look-up in a
        # mapping takes reveals nothing: no client can choose a key by the first bits of its hash.
        return (self._only_key or self._valid_keys()).get(secret_digest(key))

    def accept_from_memory(self, key: str) -> str | None:
        """Return the name of an API key; None where it is not valid, or where the database would have to be asked."""
        return (self._only_key or self._recent_keys() or {}).get(secret_digest(key))

    def add(self, name: str) -> str:
        """Add an API key and return it; the key itself is not stored.

        Parameters
        ----------
        name : str
            Up to 64 letters, digits and `.`, `@`, `+`, `-`, `_`.

        Raises
        ------
        InputError
            The name is not valid, or a valid key has it.
        """
        key = secrets.token_urlsafe(32)
        values = {
            "name": valid_name(name),
            "digest": secret_digest(key),
            "last_four": key[-4:],
            "made": self._now(),
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(api_keys).values(values))
        except exc.IntegrityError:
            raise InputError(f"the key {name!r} exists already; choose another name, or revoke it first") from None
        self._cached_keys = None
        return key

    def descriptions(self) -> list[Key]:
        """Return the description of all API keys, oldest first, revoked ones included."""
        query = select(api_keys.c.name, api_keys.c.last_four, api_keys.c.made, api_keys.c.revoked)
        with read_only(self._engine) as connection:
            return [Key(*row) for row in connection.execute(query.order_by(api_keys.c.id))]

    def revoke(self, name: str) -> None:
        """Revoke an API key; after `KEY_CACHE` no process accepts it.

        Raises
        ------
        InputError
            No valid key has this name.
        """
        valid = (api_keys.c.name == name) & api_keys.c.revoked.is_(None)
        with self._engine.begin() as connection:
            if not connection.execute(update(api_keys).where(valid).values(revoked=self._now())).rowcount:
                raise InputError(f"there is no valid key {name!r}; 'taxokine keys list' lists the keys")
        self._cached_keys = None

    def adopt(self, file: Path) -> None:
        """Move the keys that an older version stored in a file to the database; do nothing if there is no file.

        Raises
        ------
        InputError
            The file is damaged.
        """
        try:
            with exclusive(self._engine) as connection:
                digests = _file_digests(file)
                stored = set(connection.scalars(select(api_keys.c.digest)))
                for digest in dict.fromkeys(digests):
                    if digest not in stored:
                        values = {"name": f"earlier-{digest.hex()[:8]}", "digest": digest, "made": self._now()}
                        connection.execute(insert(api_keys).values(values))
        except FileNotFoundError:
            return
        file.unlink(missing_ok=True)

    def _valid_keys(self) -> Mapping[bytes, str]:
        names = self._recent_keys()
        if names is None:
            now = self._now()
            query = select(api_keys.c.digest, api_keys.c.name).where(api_keys.c.revoked.is_(None))
            with read_only(self._engine) as connection:
                names = {row.digest: row.name for row in connection.execute(query)}
            self._cached_keys = now, names
        return names

    def _recent_keys(self) -> Mapping[bytes, str] | None:
        cached = self._cached_keys
        # A clock that is set back must not prolong the cache.
        return cached[1] if cached and timedelta(0) <= self._now() - cached[0] < KEY_CACHE else None


def _file_digests(file: Path) -> tuple[bytes, ...]:
    try:
        digests = tuple(bytes.fromhex(text) for text in json.loads(file.read_text())["sha256"])
        if any(len(digest) != hashlib.sha256().digest_size for digest in digests):
            raise ValueError("not a SHA-256")
    except (ValueError, KeyError, TypeError) as error:
        # The message of the cause would quote the file.
        raise InputError(f"{file} is damaged; delete it, and make a key with 'taxokine keys add NAME'") from error
    return digests
