"""The key of the record, and what is derived from it: the chain, patients' pseudonyms, and the seal of their keys."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from features.errors import InputError

KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True)
class RecordKey:
    """The secret of the record, `KEY_BYTES` long; kept outside the database, so that a copy of that reveals nothing.

    Attributes
    ----------
    secret : bytes
    """

    secret: bytes = field(repr=False)

    def link(self, previous: bytes, content: bytes) -> bytes:
        """Return the link of an entry: a keyed hash of its content and of the link before it."""
        return self._hash(b"chain", previous + content)

    def pseudonym(self, patient: str) -> bytes:
        """Return the pseudonym that the database holds in place of a patient's id."""
        return self._hash(b"patient", patient.encode())

    def wrap(self, patient_key: bytes, pseudonym: bytes) -> bytes:
        """Return a patient's key, encrypted; it opens for this pseudonym only."""
        return seal(self._hash(b"wrap", b""), patient_key, pseudonym)

    def unwrap(self, wrapped: bytes, pseudonym: bytes) -> bytes | None:
        """Return a patient's key; None where it was wrapped under another secret or pseudonym, or altered."""
        return unseal(self._hash(b"wrap", b""), wrapped, pseudonym)

    def _hash(self, purpose: bytes, content: bytes) -> bytes:
        purpose_key = hmac.digest(self.secret, purpose, "sha256")
        return hmac.digest(purpose_key, content, "sha256")


def seal(key: bytes, content: bytes, context: bytes) -> bytes:
    """Return content, encrypted by AES-256-GCM under a random nonce and bound to a context."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes | None:
    """Return what `seal` encrypted; None where the key or the context differs, or the text was altered."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        return None


def read_key(text: str | None, file: Path) -> RecordKey:
    """Return the key that the settings hold, or else that of a file, which is made if absent, for its owner only.

    Parameters
    ----------
    text : str or None
        64 hexadecimal digits.
    file : Path

    Raises
    ------
    InputError
        The text or the file is no key, or the file is open to every user of this machine.
    """
    if text is None:
        text, place = _read_or_make(file), str(file)
    else:
        place = "TAXOKINE_RECORD_KEY"
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        # The message must not quote a secret.
        raise InputError(
            f"{place} is not the key of the record; expected {2 * KEY_BYTES} hexadecimal digits: restore it from its "
            "copy, since without it neither the chain can be verified nor an entry be opened"
        )
    return RecordKey(secret)


def _read_or_make(file: Path) -> str:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written beside its place and linked into it: of two processes that start at once, both read the key of the first.
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    if not file.exists():
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as draft_file:
                draft_file.write(secrets.token_hex(KEY_BYTES) + "\n")
                draft_file.flush()
                os.fsync(draft_file.fileno())
            with suppress(FileExistsError):
                os.link(draft, file)
        finally:
            draft.unlink()
    if file.stat().st_mode & stat.S_IRWXO:
        raise InputError(
            f"{file} is open to every user of this machine, who could forge the record with it. Close it with "
            f"'chmod 600 {file}'; where others may have read it, begin a new record"
        )
    return file.read_text()
