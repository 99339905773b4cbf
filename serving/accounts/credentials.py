"""Names, roles, passwords and hashes of secrets, as accounts take and keep them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Literal, get_args

from features.errors import InputError

Role = Literal["clinician", "researcher"]
ROLES: tuple[Role, ...] = get_args(Role)
"""The roles; each opens the pages of those before it, and more."""
MIN_PASSWORD_LENGTH = 12

_NAME = re.compile(r"[\w.@+-]{1,64}")


def secret_digest(secret: str) -> bytes:
    """Return the SHA-256 of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def nfkc(text: str) -> str:
    """Return a text in one normal form, since keyboards and browsers encode accented letters differently."""
    return unicodedata.normalize("NFKC", text)


def user_name(text: str) -> str:
    """Return a user's name as it is kept, whatever the case in which it is written."""
    return nfkc(text).strip().casefold()


def valid_name(name: str) -> str:
    """Return the name of a user or of a key.

    Raises
    ------
    InputError
        It is not valid.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"the name {name!r} is not valid; use up to 64 letters, digits and . @ + - _, without spaces")
    return name


def valid_role(role: str) -> str:
    """Return a role.

    Raises
    ------
    InputError
        There is no such role.
    """
    if role not in ROLES:
        raise InputError(f"there is no role {role!r}; choose one of {', '.join(ROLES)}")
    return role


def valid_password(password: str, name: str) -> str:
    """Return the password of a user.

    Raises
    ------
    InputError
        It is too short, or the user's name.
    """
    if len(nfkc(password)) < MIN_PASSWORD_LENGTH:
        raise InputError(
            f"the password is too short; use at least {MIN_PASSWORD_LENGTH} characters, such as a few words"
        )
    if user_name(password) == name:
        raise InputError("the password is the user's name; choose another")
    return password
