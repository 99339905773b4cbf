"""Users and their sessions for the pages, keys for the API; the database holds only hashes of secrets."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import Connection, Engine, delete, exc, insert, select, update

from features.errors import InputError
from features.settings import settings
from serving.database import api_keys, attempts, exclusive, identities, open_database, read_only, sessions, users
from serving.errors import NotPermitted, TooManyAttempts

Role = Literal["clinician", "researcher"]
ROLES: tuple[Role, ...] = get_args(Role)
"""The roles; each opens the pages of those before it, and more."""

LONGEST_SESSION = timedelta(hours=8)
"""How long a session lasts at most."""
LONGEST_IDLE = timedelta(hours=1)
"""How long a session lasts without a request."""
FAILURE_WINDOW = timedelta(minutes=15)
"""How long a failed attempt to sign in counts."""
MAX_FAILURES = 5
"""Failed attempts under one name from one address within `FAILURE_WINDOW`, after which further ones are refused."""
MAX_FAILURES_EVERYWHERE = 50
"""Failed attempts under one name from all addresses together, after which it is refused from everywhere."""
KEY_CACHE = timedelta(seconds=5)
"""How long the hashes of the keys stay in memory: how long a key still works after another process revokes it."""
MIN_PASSWORD_LENGTH = 12

_UPDATE_LAST_REQUEST = timedelta(minutes=1)
_NAME = re.compile(r"[\w.@+-]{1,64}")
# Each computation of a hash takes 64 MiB.
_HASH_SLOTS = threading.BoundedSemaphore(4)


@dataclass(frozen=True)
class User:
    """A person who may sign in, or who was removed.

    Attributes
    ----------
    name : str
    role : {"clinician", "researcher"}
    created : datetime
    disabled : datetime or None
        When the user was removed; None for a user who may sign in.
    """

    name: str
    role: Role
    created: datetime
    disabled: datetime | None


@dataclass(frozen=True)
class Visitor:
    """The signed-in user who makes a request.

    Attributes
    ----------
    name : str
    role : {"clinician", "researcher"}
    csrf : str
        Token that each form of this session must send back: a keyed hash of the session's token.
    expires : datetime
        When the session ends if no further request comes.
    """

    name: str
    role: Role
    csrf: str = field(repr=False)
    expires: datetime


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


class Accounts:
    """Users, sessions and API keys in a database.

    Threads may share an object; processes may share the database.

    Parameters
    ----------
    engine : Engine
        As `serving.database.open_database` returns it.
    only_key : str, optional
        The one API key to accept, instead of those in the database.
    hasher : PasswordHasher, optional
        Hasher of passwords; by default of RFC 9106's low-memory profile. When a user signs in whose hash has another
        cost, the hash is computed anew.
    now : callable, optional
        Returns the current time, in UTC.
    """

    def __init__(
        self,
        engine: Engine,
        only_key: str | None = None,
        hasher: PasswordHasher | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._only_key = None if only_key is None else {_digest(only_key): "TAXOKINE_API_KEY"}
        self._hasher = hasher or PasswordHasher()
        self._now = now
        self._cached_keys: tuple[datetime, Mapping[bytes, str]] | None = None

    def sign_in(self, name: str, password: str, address: str = "") -> str | None:
        """Start a session and return its token, which is not stored; return None if name or password is wrong.

        An unknown name takes as long as a wrong password, about a tenth of a second: call this in a thread.

        Parameters
        ----------
        name, password : str
        address : str
            Network address of the user: who guesses at one address does not lock the user out at another.

        Raises
        ------
        TooManyAttempts
            `MAX_FAILURES` attempts under this name from this address, or `MAX_FAILURES_EVERYWHERE` from all, failed
            within `FAILURE_WINDOW`, whether or not there is such a user.
        """
        name, now = _user_name(name), self._now()
        digest_here = _digest(f"{name}\0{address}")
        self._count_attempt(digest_here, MAX_FAILURES, now)
        # Second: what is refused here must not count towards refusing the user elsewhere.
        attempt_id = self._count_attempt(_digest(name), MAX_FAILURES_EVERYWHERE, now)
        # Whoever came from the identity provider has no password here.
        active = (users.c.name == name) & users.c.disabled.is_(None) & (users.c.password != "")
        with read_only(self._engine) as connection:
            user = connection.execute(select(users.c.id, users.c.password).where(active)).one_or_none()
        if user is None:
            self._hash(password)
            return None
        if not self._verify(user.password, password):
            return None
        password_hash = self._hash(password) if self._hasher.check_needs_rehash(user.password) else user.password
        unchanged = active & (users.c.password == user.password)
        with self._engine.begin() as connection:
            # While the hash was computed, another process may have changed the password or removed the user.
            if not connection.execute(update(users).where(unchanged).values(password=password_hash)).rowcount:
                return None
            # Failures elsewhere stay: they may be another's.
            connection.execute(
                delete(attempts).where((attempts.c.name_digest == digest_here) | (attempts.c.id == attempt_id))
            )
            return _start_session(connection, user.id, now)

    def sign_in_identity(self, issuer: str, subject: str, name: str, role: Role) -> str:
        """Start a session of a person whom an identity provider vouches for, and return its token.

        At the first time the person becomes a user without a password. Later the role follows the provider; the name
        stays. Issuer and subject identify the person, never the name: a provider's "admin" is not the local one.

        Raises
        ------
        NotPermitted
            The user was removed here, the name is not valid, or it is that of another user.
        """
        digest, now = _digest(f"{issuer}\n{subject}"), self._now()
        with exclusive(self._engine) as connection:
            user = connection.execute(
                select(users.c.id, users.c.role, users.c.disabled)
                .join_from(identities, users)
                .where(identities.c.digest == digest)
            ).one_or_none()
            if user is None:
                return _start_session(connection, self._add_identity(connection, digest, name, role), now)
            if user.disabled is not None:
                raise NotPermitted("this user was removed from Taxokine; ask its administrator")
            if user.role != role:
                connection.execute(update(users).where(users.c.id == user.id).values(role=role))
                connection.execute(delete(sessions).where(sessions.c.user_id == user.id))
            return _start_session(connection, user.id, now)

    def has_identity(self, name: str) -> bool:
        """Return whether a user comes from an identity provider."""
        query = select(identities.c.id).join_from(identities, users).where(users.c.name == name)
        with read_only(self._engine) as connection:
            return connection.execute(query).first() is not None

    def visitor(self, token: str) -> Visitor | None:
        """Return the user whose session has this token, or None if there is no such session or it has ended."""
        now, has_token = self._now(), sessions.c.digest == _digest(token)
        active = (sessions.c.expires > now) & (sessions.c.seen > now - LONGEST_IDLE)
        with read_only(self._engine) as connection:
            session = connection.execute(
                select(users.c.name, users.c.role, sessions.c.seen, sessions.c.expires)
                .join_from(sessions, users)
                .where(has_token, active)
            ).one_or_none()
        if session is None:
            return None
        last_request = session.seen
        if now - last_request >= _UPDATE_LAST_REQUEST:
            last_request = now
            with self._engine.begin() as connection:
                connection.execute(update(sessions).where(has_token).values(seen=now))
        csrf = hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()
        return Visitor(session.name, session.role, csrf, min(session.expires, last_request + LONGEST_IDLE))

    def sign_out(self, token: str) -> None:
        """End a session."""
        with self._engine.begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.digest == _digest(token)))

    def add_user(self, name: str, role: Role, password: str) -> None:
        """Add a user, or restore one who was removed, with this role and password.

        Parameters
        ----------
        name : str
            Up to 64 letters, digits and `.`, `@`, `+`, `-`, `_`; case does not matter.
        role : {"clinician", "researcher"}
        password : str
            At least `MIN_PASSWORD_LENGTH` characters, other than the name.

        Raises
        ------
        InputError
            The name, role or password is not valid, or there is a user of this name.
        """
        name = _valid_name(_user_name(name))
        values = {
            "role": _valid_role(role),
            "password": self._hash(_valid_password(password, name)),
            "created": self._now(),
        }
        removed = (users.c.name == name) & users.c.disabled.is_not(None)
        try:
            with self._engine.begin() as connection:
                if not connection.execute(update(users).where(removed).values(**values, disabled=None)).rowcount:
                    connection.execute(insert(users).values(name=name, **values))
        except exc.IntegrityError:
            raise InputError(
                f"the user {name!r} exists already; choose another name, or change this user's password or role"
            ) from None

    def set_password(self, name: str, password: str) -> None:
        """Change a user's password, and end the user's sessions.

        Raises
        ------
        InputError
            There is no such user, or the password is not valid.
        """
        self._change(name, password=self._hash(_valid_password(password, _user_name(name))))

    def set_role(self, name: str, role: Role) -> None:
        """Change a user's role, and end the user's sessions.

        Raises
        ------
        InputError
            There is no such user or role.
        """
        self._change(name, role=_valid_role(role))

    def remove_user(self, name: str) -> None:
        """Remove a user and end the user's sessions; `users` still lists the name, as removed.

        Raises
        ------
        InputError
            There is no such user.
        """
        self._change(name, disabled=self._now())

    def users(self) -> list[User]:
        """Return all users in the order of their names, removed ones included."""
        query = select(users.c.name, users.c.role, users.c.created, users.c.disabled).order_by(users.c.name)
        with read_only(self._engine) as connection:
            return [User(*row) for row in connection.execute(query)]

    def accept_key(self, key: str) -> str | None:
        """Return the name of an API key, or None if the key is not valid.

        The hashes of the valid keys are read from the database at most every `KEY_CACHE`; a key that another process
        makes or revokes may be noticed that much later.
        """
        # A key has 256 random bits, so a fast hash protects it; slow hashes are for passwords. How long a look-up in a
        # mapping takes reveals nothing: no client can choose a key by the first bits of its hash.
        return (self._only_key or self._valid_keys()).get(_digest(key))

    def accept_key_from_memory(self, key: str) -> str | None:
        """Return the name of an API key; None where it is not valid, or where the database would have to be asked."""
        return (self._only_key or self._recent_keys() or {}).get(_digest(key))

    def add_key(self, name: str) -> str:
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
            "name": _valid_name(name),
            "digest": _digest(key),
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

    def api_keys(self) -> list[Key]:
        """Return the description of all API keys, oldest first, revoked ones included."""
        query = select(api_keys.c.name, api_keys.c.last_four, api_keys.c.made, api_keys.c.revoked)
        with read_only(self._engine) as connection:
            return [Key(*row) for row in connection.execute(query.order_by(api_keys.c.id))]

    def revoke_key(self, name: str) -> None:
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

    def adopt_keys(self, file: Path) -> None:
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

    def _add_identity(self, connection: Connection, digest: bytes, name: str, role: Role) -> int:
        try:
            name = _valid_name(_user_name(name))
        except InputError as error:
            raise NotPermitted(str(error)) from error
        if connection.execute(select(users.c.id).where(users.c.name == name)).first() is not None:
            raise NotPermitted(f"another user of Taxokine is named {name!r}; ask its administrator to remove that one")
        values = {"name": name, "role": role, "password": "", "created": self._now()}
        user_id: int = connection.execute(insert(users).values(values).returning(users.c.id)).scalar_one()
        connection.execute(insert(identities).values(digest=digest, user_id=user_id))
        return user_id

    def _count_attempt(self, digest: bytes, limit: int, now: datetime) -> int:
        has_digest = attempts.c.name_digest == digest
        # Count the attempt before checking it: otherwise many simultaneous attempts all pass before the first counts.
        with self._engine.begin() as connection:
            connection.execute(delete(attempts).where(attempts.c.at <= now - FAILURE_WINDOW))
            attempt_id = connection.scalar(insert(attempts).values(name_digest=digest, at=now).returning(attempts.c.id))
        with self._engine.begin() as connection:
            times = connection.scalars(select(attempts.c.at).where(has_digest).order_by(attempts.c.at)).all()
            if len(times) <= limit:
                return int(attempt_id)
            # A refused attempt must not prolong the wait.
            connection.execute(delete(attempts).where(attempts.c.id == attempt_id))
        wait = times[-limit - 1] + FAILURE_WINDOW - now
        minutes = -(-wait // timedelta(minutes=1))
        raise TooManyAttempts(
            f"signing in under this name failed {limit} times; try again in {minutes} min", wait.total_seconds()
        )

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            with _HASH_SLOTS:
                return self._hasher.verify(password_hash, _nfkc(password))
        except VerifyMismatchError:
            return False

    def _hash(self, password: str) -> str:
        with _HASH_SLOTS:
            return self._hasher.hash(_nfkc(password))

    def _change(self, name: str, **values: object) -> None:
        name = _user_name(name)
        active = (users.c.name == name) & users.c.disabled.is_(None)
        has_user = sessions.c.user_id == select(users.c.id).where(users.c.name == name).scalar_subquery()
        with self._engine.begin() as connection:
            if not connection.execute(update(users).where(active).values(**values)).rowcount:
                raise InputError(f"there is no user {name!r}; 'taxokine users list' lists the users")
            connection.execute(delete(sessions).where(has_user))

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


def _start_session(connection: Connection, user_id: int, now: datetime) -> str:
    """Start a session, delete those that have ended, and return the token."""
    token = secrets.token_urlsafe(32)
    connection.execute(delete(sessions).where((sessions.c.expires <= now) | (sessions.c.seen <= now - LONGEST_IDLE)))
    connection.execute(
        insert(sessions).values(
            digest=_digest(token), user_id=user_id, made=now, seen=now, expires=now + LONGEST_SESSION
        )
    )
    return token


def open_accounts() -> Accounts:
    """Return the accounts in the database that the settings name, with the API keys of older versions.

    Raises
    ------
    InputError
        The settings name no database, or the file of keys is damaged.
    DatabaseError
        The database cannot be opened.
    """
    configuration = settings()
    accounts = Accounts(open_database(configuration.database), configuration.api_key)
    accounts.adopt_keys(configuration.home / "api_keys.json")
    return accounts


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _nfkc(text: str) -> str:
    # Keyboards and browsers encode accented letters differently.
    return unicodedata.normalize("NFKC", text)


def _user_name(text: str) -> str:
    return _nfkc(text).strip().casefold()


def _valid_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(f"the name {name!r} is not valid; use up to 64 letters, digits and . @ + - _, without spaces")
    return name


def _valid_role(role: str) -> str:
    if role not in ROLES:
        raise InputError(f"there is no role {role!r}; choose one of {', '.join(ROLES)}")
    return role


def _valid_password(password: str, name: str) -> str:
    if len(_nfkc(password)) < MIN_PASSWORD_LENGTH:
        raise InputError(
            f"the password is too short; use at least {MIN_PASSWORD_LENGTH} characters, such as a few words"
        )
    if _user_name(password) == name:
        raise InputError("the password is the user's name; choose another")
    return password


def _file_digests(file: Path) -> tuple[bytes, ...]:
    try:
        digests = tuple(bytes.fromhex(text) for text in json.loads(file.read_text())["sha256"])
        if any(len(digest) != hashlib.sha256().digest_size for digest in digests):
            raise ValueError("not a SHA-256")
    except (ValueError, KeyError, TypeError) as error:
        # The message of the cause would quote the file.
        raise InputError(f"{file} is damaged; delete it, and make a key with 'taxokine keys add NAME'") from error
    return digests
