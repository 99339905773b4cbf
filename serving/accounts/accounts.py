"""Users and their sessions for the pages; the database holds only hashes of secrets."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import Connection, Engine, delete, exc, insert, select, update

from features.errors import InputError
from features.settings import settings
from serving.accounts.credentials import Role, nfkc, secret_digest, user_name, valid_name, valid_password, valid_role
from serving.accounts.keys import ApiKeys
from serving.database import attempts, exclusive, identities, open_database, read_only, sessions, users
from serving.errors import NotPermitted, TooManyAttempts

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

_UPDATE_LAST_REQUEST = timedelta(minutes=1)
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


class Accounts:
    """Users and their sessions in a database, and its API keys.

    Threads may share an object; processes may share the database.

    Parameters
    ----------
    engine : Engine
        As `serving.database.open_database` returns it.
    only_key : str, optional
        As for `ApiKeys`.
    hasher : PasswordHasher, optional
        Hasher of passwords; by default of RFC 9106's low-memory profile. When a user signs in whose hash has another
        cost, the hash is computed anew.
    now : callable, optional
        Returns the current time, in UTC.

    Attributes
    ----------
    keys : ApiKeys
    """

    def __init__(
        self,
        engine: Engine,
        only_key: str | None = None,
        hasher: PasswordHasher | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.keys = ApiKeys(engine, only_key, now)
        self._engine = engine
        self._hasher = hasher or PasswordHasher()
        self._now = now

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
        name, now = user_name(name), self._now()
        digest_here = secret_digest(f"{name}\0{address}")
        self._count_attempt(digest_here, MAX_FAILURES, now)
        # Second: what is refused here must not count towards refusing the user elsewhere.
        attempt_id = self._count_attempt(secret_digest(name), MAX_FAILURES_EVERYWHERE, now)
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
        digest, now = secret_digest(f"{issuer}\n{subject}"), self._now()
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
        now, has_token = self._now(), sessions.c.digest == secret_digest(token)
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
            connection.execute(delete(sessions).where(sessions.c.digest == secret_digest(token)))

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
        name = valid_name(user_name(name))
        values = {
            "role": valid_role(role),
            "password": self._hash(valid_password(password, name)),
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
        self._change(name, password=self._hash(valid_password(password, user_name(name))))

    def set_role(self, name: str, role: Role) -> None:
        """Change a user's role, and end the user's sessions.

        Raises
        ------
        InputError
            There is no such user or role.
        """
        self._change(name, role=valid_role(role))

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

    def _add_identity(self, connection: Connection, digest: bytes, name: str, role: Role) -> int:
        try:
            name = valid_name(user_name(name))
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
                return self._hasher.verify(password_hash, nfkc(password))
        except VerifyMismatchError:
            return False

    def _hash(self, password: str) -> str:
        with _HASH_SLOTS:
            return self._hasher.hash(nfkc(password))

    def _change(self, name: str, **values: object) -> None:
        name = user_name(name)
        active = (users.c.name == name) & users.c.disabled.is_(None)
        has_user = sessions.c.user_id == select(users.c.id).where(users.c.name == name).scalar_subquery()
        with self._engine.begin() as connection:
            if not connection.execute(update(users).where(active).values(**values)).rowcount:
                raise InputError(f"there is no user {name!r}; 'taxokine users list' lists the users")
            connection.execute(delete(sessions).where(has_user))


def _start_session(connection: Connection, user_id: int, now: datetime) -> str:
    """Start a session, delete those that have ended, and return the token."""
    token = secrets.token_urlsafe(32)
    connection.execute(delete(sessions).where((sessions.c.expires <= now) | (sessions.c.seen <= now - LONGEST_IDLE)))
    connection.execute(
        insert(sessions).values(
            digest=secret_digest(token), user_id=user_id, made=now, seen=now, expires=now + LONGEST_SESSION
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
    accounts.keys.adopt(configuration.home / "api_keys.json")
    return accounts
