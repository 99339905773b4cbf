"""API keys: made here, shown once, and kept only as hashes."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from features.errors import InputError

FILE = "api_keys.json"


@dataclass(frozen=True)
class Keys:
    """The API keys that the server accepts.

    Attributes
    ----------
    digests : tuple of bytes
        SHA-256 of each. A key is 256 random bits, which no one can guess from a fast hash; slow hashes are for
        passwords, and would cost every request more than its prediction.
    """

    digests: tuple[bytes, ...]

    @classmethod
    def read(cls, home: Path, only: str | None = None) -> Self:
        """Return the keys kept in a folder, none if it keeps none.

        Parameters
        ----------
        home : Path
            The folder that holds `api_keys.json`.
        only : str, optional
            The one key to accept instead of those kept.

        Raises
        ------
        InputError
            The file is damaged.
        """
        if only is not None:
            return cls((_digest(only),))
        path = home / FILE
        try:
            return cls(tuple(_sha256(text) for text in json.loads(path.read_text())["sha256"]))
        except FileNotFoundError:
            return cls(())
        except (ValueError, KeyError, TypeError) as error:
            # The cause's words would quote the file.
            raise InputError(f"{path} is damaged; delete it, and the next start makes a new key") from error

    @classmethod
    def make(cls, home: Path) -> tuple[str, Self]:
        """Make a key, keep its hash beside those kept already, and return it, the only time it is seen, with all keys.

        Parameters
        ----------
        home : Path
            The folder that holds `api_keys.json`; made if it is absent, for this user alone.
        """
        key = secrets.token_urlsafe(32)
        keys = cls((*cls.read(home).digests, _digest(key)))
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = home / f"{FILE}.{secrets.token_hex(4)}.partial"
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump({"sha256": [digest.hex() for digest in keys.digests]}, file)
            partial.replace(home / FILE)
        finally:
            partial.unlink(missing_ok=True)
        return key, keys

    def accept(self, key: str) -> bool:
        """Tell whether a key is one of these, in a time that does not tell how nearly it is."""
        digest = _digest(key)
        return any(hmac.compare_digest(digest, known) for known in self.digests)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _sha256(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != hashlib.sha256().digest_size:
        raise ValueError("not a SHA-256")
    return digest
