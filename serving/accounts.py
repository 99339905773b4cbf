"""Who may ask: users and their sessions for the pages, keys for the API. Of every secret only a hash is kept."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import Engine, delete, exc, insert, select, update

from features.errors import InputError
from features.settings import settings
from serving.database import api_keys, attempts, exclusive, open_database, sessions, users
from serving.errors import TooManyAttempts

Role = Literal["clinician", "researcher"]

SESSION = timedelta(hours=8)
"""How long a session lasts at most."""
IDLE = timedelta(hours=1)
"""How long a session lasts without being used."""
WINDOW = timedelta(minutes=15)
"""How long a failed attempt to sign in counts."""
MOST_FAILURES = 5
"""How many attempts under one name may fail within the window before its next is refused unheard."""
KEYS_FOR = timedelta(seconds=5)
"""How long the keys read from the database are held in memory: a key revoked elsewhere opens no longer than that."""
SHORTEST_PASSWORD = 12

_SEEN_EVERY = timedelta(minutes=1)
_NAME = re.compile(r"[\w.@+-]{1,64}")
# Each takes 64 MiB while it lasts.
_HASHING = threading.BoundedSemaphore(4)


@dataclass(frozen=True)
class User:
    """A person who may sign in, or once might.

    Attributes
    ----------
    name : str
    role : {"clinician", "researcher"}
    created : datetime
    disabled : datetime or None
        When the user was removed.
    """

    name: str
    role: Role
    created: datetime
    disabled: datetime | None


@dataclass(frozen=True)
class Visitor:
    """The user of a session, for one request.

    Attributes
    ----------
    name : str
    role : {"clinician", "researcher"}
    csrf : str
        What every form of this session must send back: a keyed hash of the session's token, which does not tell it.
    expires : datetime
        When the session ends if nothing more is asked.
    """

    name: str
    role: Role
    csrf: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True)
class Key:
    """What is known of an API key, which is not the key.

    Attributes
    ----------
    name : str
    last_four : str or None
        Its last four characters, to tell keys apart; unknown of those that an older version kept.
    made : datetime
    revoked : datetime or None
    """

    name: str
    last_four: str | None
    made: datetime
    revoked: datetime | None


class Accounts:
    """The users, sessions and API keys of a database.

    Safe to share between threads; other processes may use the same database.

    Parameters
    ----------
    engine : Engine
        As `serving.database.open_database` returns it.
    only_key : str, optional
        The one API key to accept instead of those kept.
    hasher : PasswordHasher, optional
        The cost of a password's hash; RFC 9106's low-memory profile when left out. Hashes of another cost are made anew
        when their user next signs in.
    now : callable, optional
        Returns the time, in UTC.
    """

    def __init__(
        self,
        engine: Engine,
        only_key: str | None = None,
        hasher: PasswordHasher | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._only = None if only_key is None else frozenset({_digest(only_key)})
        self._hasher = hasher or PasswordHasher()
        self._now = now
        self._held: tuple[datetime, frozenset[bytes]] | None = None

    def sign_in(self, name: str, password: str) -> str | None:
        """Return the token of a new session, the only time it is seen, or None if name and password do not belong.

        An unknown name takes as long as a wrong password: about a tenth of a second, so call it in a thread.

        Raises
        ------
        TooManyAttempts
            `MOST_FAILURES` attempts under this name, known or not, failed within `WINDOW`.
        """
        name, now = _user_name(name), self._now()
        attempted = _digest(name)
        self._count_attempt(attempted, now)
        known = (users.c.name == name) & users.c.disabled.is_(None)
        with self._engine.begin() as connection:
            user = connection.execute(select(users.c.id, users.c.password).where(known)).one_or_none()
        if user is None:
            self._hash(password)
            return None
        if not self._belongs(user.password, password):
            return None
        token = secrets.token_urlsafe(32)
        kept = self._hash(password) if self._hasher.check_needs_rehash(user.password) else user.password
        unchanged = known & (users.c.password == user.password)
        with self._engine.begin() as connection:
            # While the hash was computed, the password may have been changed or the user removed.
            if not connection.execute(update(users).where(unchanged).values(password=kept)).rowcount:
                return None
            connection.execute(delete(attempts).where(attempts.c.name_digest == attempted))
            connection.execute(delete(sessions).where((sessions.c.expires <= now) | (sessions.c.seen <= now - IDLE)))
            connection.execute(
                insert(sessions).values(
                    digest=_digest(token), user_id=user.id, made=now, seen=now, expires=now + SESSION
                )
            )
        return token

    def visitor(self, token: str) -> Visitor | None:
        """Return whose session a token opens, or None if it opens none, or none any more."""
        now, mine = self._now(), sessions.c.digest == _digest(token)
        lasting = (sessions.c.expires > now) & (sessions.c.seen > now - IDLE)
        with self._engine.begin() as connection:
            found = connection.execute(
                select(users.c.name, users.c.role, sessions.c.seen, sessions.c.expires)
                .join_from(sessions, users)
                .where(mine, lasting)
            ).one_or_none()
            if found is None:
                return None
            seen = found.seen
            if now - seen >= _SEEN_EVERY:
                seen = now
                connection.execute(update(sessions).where(mine).values(seen=now))
        csrf = hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()
        return Visitor(found.name, found.role, csrf, min(found.expires, seen + IDLE))

    def sign_out(self, token: str) -> None:
        """End a session."""
        with self._engine.begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.digest == _digest(token)))

    def add_user(self, name: str, role: Role, password: str) -> None:
        """Let a person sign in; one who was removed comes back, with this role and password.

        Parameters
        ----------
        name : str
            Up to 64 letters, digits and `.`, `@`, `+`, `-`, `_`; upper and lower case are the same.
        role : {"clinician", "researcher"}
        password : str
            At least `SHORTEST_PASSWORD` characters, and not the name.

        Raises
        ------
        InputError
            Name, role or password will not do, or the name is taken.
        """
        name = _checked_name(_user_name(name))
        values = {
            "role": _checked_role(role),
            "password": self._hash(_checked_password(password, name)),
            "created": self._now(),
        }
        removed = (users.c.name == name) & users.c.disabled.is_not(None)
        try:
            with self._engine.begin() as connection:
                if not connection.execute(update(users).where(removed).values(**values, disabled=None)).rowcount:
                    connection.execute(insert(users).values(name=name, **values))
        except exc.IntegrityError:
            raise InputError(
                f"there is a user {name!r} already; choose another name, or change this user's password or role"
            ) from None

    def set_password(self, name: str, password: str) -> None:
        """Change a user's password, and end the user's sessions.

        Raises
        ------
        InputError
            There is no such user, or the password will not do.
        """
        self._change(name, password=self._hash(_checked_password(password, _user_name(name))))

    def set_role(self, name: str, role: Role) -> None:
        """Change a user's role, and end the user's sessions.

        Raises
        ------
        InputError
            There is no such user or role.
        """
        self._change(name, role=_checked_role(role))

    def remove_user(self, name: str) -> None:
        """Let a user sign in no more, and end the user's sessions. The name stays listed, as removed.

        Raises
        ------
        InputError
            There is no such user.
        """
        self._change(name, disabled=self._now())

    def users(self) -> list[User]:
        """Return every user by name, the removed ones too."""
        query = select(users.c.name, users.c.role, users.c.created, users.c.disabled).order_by(users.c.name)
        with self._engine.begin() as connection:
            return [User(*row) for row in connection.execute(query)]

    def accept_key(self, key: str) -> bool:
        """Tell whether an API key opens.

        The keys are read again once what is held of them is older than `KEYS_FOR`; that long a key revoked, or made, by
        another process may go unnoticed.
        """
        # A key is 256 random bits, which no one can guess from a fast hash; slow hashes are for passwords. Nor does the
        # time that a set takes tell anything of a key: no one can choose how its hash begins and learn from it.
        return _digest(key) in (self._only or self._digests())

    def make_key(self, name: str) -> str:
        """Make an API key and return it, the only time it is seen.

        Parameters
        ----------
        name : str
            Up to 64 letters, digits and `.`, `@`, `+`, `-`, `_`.

        Raises
        ------
        InputError
            The name will not do, or a key that is not revoked has it.
        """
        key = secrets.token_urlsafe(32)
        values = {
            "name": _checked_name(name),
            "digest": _digest(key),
            "last_four": key[-4:],
            "made": self._now(),
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(api_keys).values(values))
        except exc.IntegrityError:
            raise InputError(f"there is a key {name!r} already; choose another name, or revoke it first") from None
        self._held = None
        return key

    def known_keys(self) -> list[Key]:
        """Return what is known of every API key, the oldest first, the revoked ones too."""
        query = select(api_keys.c.name, api_keys.c.last_four, api_keys.c.made, api_keys.c.revoked)
        with self._engine.begin() as connection:
            return [Key(*row) for row in connection.execute(query.order_by(api_keys.c.id))]

    def revoke_key(self, name: str) -> None:
        """Let an API key open nothing any more, within `KEYS_FOR` in every process.

        Raises
        ------
        InputError
            No key that is not revoked has this name.
        """
        valid = (api_keys.c.name == name) & api_keys.c.revoked.is_(None)
        with self._engine.begin() as connection:
            if not connection.execute(update(api_keys).where(valid).values(revoked=self._now())).rowcount:
                raise InputError(f"there is no key {name!r} to revoke; 'taxokine keys list' names those there are")
        self._held = None

    def adopt_keys(self, file: Path) -> None:
        """Take over the keys that an older version kept in a file, and remove it; do nothing if there is none.

        Raises
        ------
        InputError
            The file is damaged.
        """
        try:
            with exclusive(self._engine) as connection:
                digests = _file_digests(file)
                known = set(connection.scalars(select(api_keys.c.digest)))
                for digest in dict.fromkeys(digests):
                    if digest not in known:
                        values = {"name": f"earlier-{digest.hex()[:8]}", "digest": digest, "made": self._now()}
                        connection.execute(insert(api_keys).values(values))
        except FileNotFoundError:
            return
        file.unlink(missing_ok=True)

    def _count_attempt(self, attempted: bytes, now: datetime) -> None:
        mine = attempts.c.name_digest == attempted
        # Counted before it is judged: of many at once, all could otherwise be judged before the first is counted.
        with self._engine.begin() as connection:
            connection.execute(delete(attempts).where(attempts.c.at <= now - WINDOW))
            added = connection.scalar(insert(attempts).values(name_digest=attempted, at=now).returning(attempts.c.id))
        with self._engine.begin() as connection:
            times = connection.scalars(select(attempts.c.at).where(mine).order_by(attempts.c.at)).all()
            if len(times) <= MOST_FAILURES:
                return
            # A refused attempt does not put off the next.
            connection.execute(delete(attempts).where(attempts.c.id == added))
        minutes = -((now - WINDOW - times[-MOST_FAILURES - 1]) // timedelta(minutes=1))
        raise TooManyAttempts(f"signing in under this name failed {MOST_FAILURES} times; try again in {minutes} min")

    def _belongs(self, kept: str, password: str) -> bool:
        try:
            with _HASHING:
                return self._hasher.verify(kept, _nfkc(password))
        except VerifyMismatchError:
            return False

    def _hash(self, password: str) -> str:
        with _HASHING:
            return self._hasher.hash(_nfkc(password))

    def _change(self, name: str, **values: object) -> None:
        name = _user_name(name)
        known = (users.c.name == name) & users.c.disabled.is_(None)
        mine = sessions.c.user_id == select(users.c.id).where(users.c.name == name).scalar_subquery()
        with self._engine.begin() as connection:
            if not connection.execute(update(users).where(known).values(**values)).rowcount:
                raise InputError(f"there is no user {name!r}; 'taxokine users list' names those there are")
            connection.execute(delete(sessions).where(mine))

    def _digests(self) -> frozenset[bytes]:
        held, now = self._held, self._now()
        # A clock set back must not make the memory last.
        if held is None or not timedelta(0) <= now - held[0] < KEYS_FOR:
            with self._engine.begin() as connection:
                valid = connection.scalars(select(api_keys.c.digest).where(api_keys.c.revoked.is_(None)))
                self._held = held = now, frozenset(valid)
        return held[1]


def open_accounts() -> Accounts:
    """Return the accounts of the database that the settings name, with the keys that older versions kept in a file.

    Raises
    ------
    InputError
        The settings name no database, or the file of keys is damaged.
    DatabaseError
        The database cannot be opened.
    """
    said = settings()
    accounts = Accounts(open_database(said.database), said.api_key)
    accounts.adopt_keys(said.home / "api_keys.json")
    return accounts


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _nfkc(text: str) -> str:
    # Keyboards and browsers differ in how they write an accent.
    return unicodedata.normalize("NFKC", text)


def _user_name(text: str) -> str:
    return _nfkc(text).strip().casefold()


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(f"the name {name!r} will not do; use up to 64 letters, digits and . @ + - _, without spaces")
    return name


def _checked_role(role: str) -> str:
    if role not in get_args(Role):
        raise InputError(f"there is no role {role!r}; choose one of {', '.join(get_args(Role))}")
    return role


def _checked_password(password: str, name: str) -> str:
    if len(_nfkc(password)) < SHORTEST_PASSWORD:
        raise InputError(f"the password is too short; use at least {SHORTEST_PASSWORD} characters, a few words say")
    if _user_name(password) == name:
        raise InputError("the password is the user's name; choose another")
    return password


def _file_digests(file: Path) -> tuple[bytes, ...]:
    try:
        digests = tuple(bytes.fromhex(text) for text in json.loads(file.read_text())["sha256"])
        if any(len(digest) != hashlib.sha256().digest_size for digest in digests):
            raise ValueError("not a SHA-256")
    except (ValueError, KeyError, TypeError) as error:
        # The cause's words would quote the file.
        raise InputError(f"{file} is damaged; delete it, and make a key with 'taxokine keys add NAME'") from error
    return digests
