"""The database of accounts, questions and outcomes: its tables, and the connection, which upgrades them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import (
    URL,
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    event,
    exc,
    func,
    make_url,
    select,
)
from sqlalchemy.engine.interfaces import DBAPICursor

from features.errors import InputError
from serving.errors import DatabaseError

_LOCK = int.from_bytes(b"taxokine")
_WAIT_SECONDS = 3
# A transaction that reads before it writes would fail, not wait, while another one writes.
_BEGIN_WRITING = "BEGIN IMMEDIATE"
_EXPECTED = "expected sqlite:////path/of/taxokine.db or postgresql://user:password@host/database"


class Instant(TypeDecorator[datetime]):
    """A time in UTC: SQLite stores no time zone, and PostgreSQL returns times in the server's."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time to store."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored time, in UTC."""
        if value is None or value.tzinfo:
            return value and value.astimezone(UTC)
        return value.replace(tzinfo=UTC)


metadata = MetaData(
    # A migration can change a constraint only by its name.
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password", String(255), nullable=False, comment="Argon2id"),
    Column("created", Instant, nullable=False),
    Column("disabled", Instant),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True, comment="SHA-256 of the token"),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("made", Instant, nullable=False),
    Column("seen", Instant, nullable=False),
    Column("expires", Instant, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    # A user may type the password into the field of the name: store no name as typed. Each attempt has two rows, of the
    # name alone and of the name at an address.
    Column("name_digest", LargeBinary(32), nullable=False, index=True, comment="SHA-256 of the name"),
    Column("at", Instant, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True, comment="SHA-256 of the key"),
    Column("last_four", String(4)),
    Column("made", Instant, nullable=False),
    Column("revoked", Instant),
)
record_patients = Table(
    "record_patients",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("pseudonym", LargeBinary(32), unique=True, comment="Keyed hash of the id; null once erased"),
    Column("wrapped_key", LargeBinary(60), comment="The patient's key, encrypted; null once erased"),
)

record_entries = Table(
    "record_entries",
    metadata,
    # Without gaps, which a database's own numbers may have.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time", Instant, nullable=False),
    Column("asker", String(80), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("route", String(80), nullable=False),
    Column("patient_id", ForeignKey("record_patients.id"), nullable=False, index=True),
    Column("models", Text, nullable=False, comment="Names and versions, as JSON"),
    Column("digest", LargeBinary(32), nullable=False, comment="Of the inputs, under the patient's key"),
    Column("sealed", LargeBinary, nullable=False, comment="Answer and inputs, under the patient's key"),
    Column("link", LargeBinary(32), nullable=False, comment="Keyed hash of the entry and of the link before it"),
)

cds_tokens = Table(
    "cds_tokens",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True, comment="SHA-256 of issuer and id of the token"),
    Column("expires", Instant, nullable=False),
)

cds_feedback = Table(
    "cds_feedback",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("time", Instant, nullable=False),
    Column("client", String(64), nullable=False),
    Column("card", String(64), nullable=False, comment="Id of the request in the record of questions"),
    Column("outcome", String(16), nullable=False),
    # Without the comment that a clinician may add: it may say anything about the patient.
    Column("reason", String(64), comment="Code of the reason for which the card was overridden"),
)

identities = Table(
    "identities",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True, comment="SHA-256 of issuer and subject"),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
)

outcome_reports = Table(
    "outcome_reports",
    metadata,
    Column("number", ForeignKey("record_entries.number"), primary_key=True, autoincrement=False),
    Column("prediction", ForeignKey("record_entries.number"), nullable=False, index=True),
)
_valid = api_keys.c.revoked.is_(None)
# A new key may have the name of a revoked one.
Index("uq_api_keys_name", api_keys.c.name, unique=True, sqlite_where=_valid, postgresql_where=_valid)


def open_database(uri: str) -> Engine:
    """Connect to a database and create or upgrade its tables.

    Several processes may open one database at once: one of them upgrades the tables, the others wait.

    Parameters
    ----------
    uri : str
        `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/DATABASE`. A new SQLite file is readable by its owner only.

    Raises
    ------
    InputError
        The URL is neither of these, or the driver is not installed.
    DatabaseError
        The database cannot be reached, or a newer version of Taxokine has upgraded it.
    """
    url = _valid_url(uri)
    name = url.set(query={}).render_as_string(hide_password=True)
    try:
        engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
        with exclusive(engine) as connection:
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", "serving:migrations")
            command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseError(
            f"the database {name} was upgraded by a newer version of Taxokine ({error}); "
            "install that version, or set TAXOKINE_DATABASE to another database"
        ) from error
    except (exc.DatabaseError, OSError) as error:
        cause = str(error.orig if isinstance(error, exc.DatabaseError) else error).strip()
        raise DatabaseError(
            f"the database {name} cannot be opened: {cause}; see that it exists and that this user may write to it, "
            "or set TAXOKINE_DATABASE to another"
        ) from error
    return engine


@contextmanager
def exclusive(engine: Engine) -> Iterator[Connection]:
    """Yield a transaction; of all processes that ask for one, one at a time has it and the others wait."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        yield connection


@contextmanager
def exclusive_cursor(engine: Engine) -> Iterator[DBAPICursor]:
    """Yield a cursor of the driver in a transaction like that of `exclusive`."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(
            f"SELECT pg_advisory_xact_lock({_LOCK})" if engine.dialect.name == "postgresql" else _BEGIN_WRITING
        )
        yield cursor
        connection.commit()
    finally:
        # What was not committed is rolled back.
        connection.close()


@contextmanager
def read_only(engine: Engine) -> Iterator[Connection]:
    """Yield a transaction that only reads, all of it one state of the database; it waits for none that writes."""
    with engine.connect() as connection:
        connection.execution_options(read_only=True)
        if engine.dialect.name == "postgresql":
            # By default each query would see what was committed before it.
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


def _valid_url(uri: str) -> URL:
    try:
        url = make_url(uri)
    except (exc.ArgumentError, ValueError):
        # The URL and the message of the cause may contain the password.
        raise InputError(f"TAXOKINE_DATABASE is not the URL of a database; {_EXPECTED}") from None
    if "@" in (url.host or ""):
        raise InputError("TAXOKINE_DATABASE has more than one '@'; write one within a password as %40")
    match url.get_backend_name():
        case "sqlite" if url.database and url.database != ":memory:":
            return url.set(drivername="sqlite")
        case "postgresql":
            return url.set(drivername="postgresql+psycopg")
        case "sqlite":
            raise InputError(f"TAXOKINE_DATABASE names no file for SQLite; {_EXPECTED}")
        case kind:
            raise InputError(f"TAXOKINE_DATABASE names a database of {kind}, which is not supported; {_EXPECTED}")


def _sqlite(url: URL) -> Engine:
    path = Path(str(url.database))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, record: object) -> None:
        # By default the driver begins transactions itself, but none before it creates a table.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted or replaced, such as the key of an erased patient, is overwritten.
        connection.execute("PRAGMA secure_delete = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        only_reads = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if only_reads else _BEGIN_WRITING)

    return engine


def _postgresql(url: URL) -> Engine:
    try:
        options = f"{url.query.get('options', '')} -c lock_timeout={_WAIT_SECONDS}s".strip()
        return create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            connect_args={"connect_timeout": _WAIT_SECONDS, "options": options},
        )
    except ModuleNotFoundError as error:
        raise InputError("PostgreSQL needs a driver; pip install 'psycopg[binary]'") from error
