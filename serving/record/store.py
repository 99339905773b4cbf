"""The record in the database: entries appended, read and verified; patients' keys made and destroyed."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, Dialect, Engine, Row, Select, bindparam, exc, insert, select, text, update
from sqlalchemy.engine.interfaces import DBAPICursor

from features.errors import InputError
from serving.database import (
    exclusive,
    exclusive_cursor,
    read_only,
    record_entries,
    record_patients,
)
from serving.errors import DatabaseError, NotServed
from serving.record.answer import SEALED, SealedContent
from serving.record.chain import ERASURE, FIRST_LINK, REPORT, Entry, RecordHead, chain_findings, entry_context
from serving.record.contents import content_findings
from serving.record.driver_statement import DriverStatement
from serving.record.keys import KEY_BYTES, RecordKey, seal, unseal

if TYPE_CHECKING:
    from serving.record.question import Question

Keep = Literal["digest", "inputs"]


class RecordStore:
    """The record of questions.

    Threads may share an object; processes may share the database, and write one after another.

    Parameters
    ----------
    engine : Engine
        As `serving.database.open_database` returns it.
    key : RecordKey
    keep : {"digest", "inputs"}
        What is kept of the inputs: a digest, or also the inputs, encrypted under the patient's key.

    Attributes
    ----------
    engine, key
        The parameters.
    """

    def __init__(self, engine: Engine, key: RecordKey, keep: Keep = "digest") -> None:
        self.engine, self.key, self._keep = engine, key, keep
        self._newest: DriverStatement[tuple[int, bytes]] = DriverStatement(_NEWEST, engine.dialect)
        self._insert_patient: DriverStatement[tuple[int]] = DriverStatement(_INSERT_PATIENT, engine.dialect)
        self._insert_entry: DriverStatement[tuple[()]] = DriverStatement(insert(record_entries), engine.dialect)

    def append(self, questions: Sequence[Question], before_commit: Callable[[], None] = lambda: None) -> list[int]:
        """Append an entry for each question, all or none, and return their numbers.

        Parameters
        ----------
        questions : sequence of Question
        before_commit : callable, optional
            Called once nothing remains but the wait for the disk.
        """
        prepared = [(question, question.inputs.to_json()) for question in questions]
        pseudonyms = [self.key.pseudonym(question.patient) for question in questions]
        with exclusive_cursor(self.engine) as cursor:
            number, link = next(iter(self._newest.run(cursor, {})), (0, FIRST_LINK))
            keys = self._patient_keys(cursor, pseudonyms)
            rows = []
            for (question, inputs), pseudonym in zip(prepared, pseudonyms, strict=True):
                number += 1
                entry = self._entry(number, question, inputs, *keys[pseudonym])
                link = entry.link(self.key, link)
                rows.append(vars(entry) | {"link": link})
            self._insert_entry.run_many(cursor, rows)
            before_commit()
        return [row["number"] for row in rows]

    def fits_key(self) -> bool:
        """Return whether the record is of this key: it opens a patient's key, or made the link of an entry.

        A few of each are tried, so that one that was altered does not deny the key. An empty record fits every key.
        """
        with read_only(self.engine) as connection:
            rows = [_entry(row) for row in connection.execute(_ENTRIES.limit(3))]
            patients = connection.execute(_PATIENTS_WITH_KEYS.limit(3)).all()
        links = zip([FIRST_LINK, *(link for _, link in rows)], rows, strict=False)
        return (
            not rows
            or any(entry.link(self.key, previous) == link for previous, (entry, link) in links)
            or any(self.key.unwrap(patient.wrapped_key, patient.pseudonym) for patient in patients)
        )

    def head(self) -> RecordHead:
        """Return the end of the record."""
        with read_only(self.engine) as connection:
            number, link = _end(connection)
        return RecordHead(number, link.hex())

    def entries(self, patient: str | None = None) -> list[Entry]:
        """Return the entries by number, of all patients or of one.

        Parameters
        ----------
        patient : str, optional
            Id of the patient, as it was sent.
        """
        query = _ENTRIES
        if patient is not None:
            has_pseudonym = record_patients.c.pseudonym == self.key.pseudonym(patient)
            query = query.where(
                record_entries.c.patient_id == select(record_patients.c.id).where(has_pseudonym).scalar_subquery()
            )
        with read_only(self.engine) as connection:
            return [_entry(row)[0] for row in connection.execute(query)]

    def verify(self, head: RecordHead | None = None) -> list[str]:
        """Return what is wrong with the record, one sentence each; empty where nothing is.

        Parameters
        ----------
        head : RecordHead, optional
            An earlier end of the record; without one, entries removed from the end leave no trace.
        """
        with read_only(self.engine) as connection:
            rows = connection.execution_options(yield_per=1000).execute(_ENTRIES)
            findings = chain_findings(self.key, map(_entry, rows), head)
            return [*findings, *content_findings(self.key, connection)]

    def open_entry(self, number: int) -> tuple[Entry, bytes, SealedContent]:
        """Return an entry, the key of its patient, and what that key opens.

        Raises
        ------
        NotServed
            There is no entry of this number.
        InputError
            The patient was erased, or the entry cannot be opened: the key of the record is another, or it was altered.
        """
        query = select(record_patients.c.pseudonym, record_patients.c.wrapped_key)
        with read_only(self.engine) as connection:
            row = connection.execute(_ENTRIES.where(record_entries.c.number == number)).one_or_none()
            if row is None:
                raise NotServed(f"the record has no entry {number}; 'taxokine audit list' lists the entries")
            entry = _entry(row)[0]
            patient = connection.execute(query.where(record_patients.c.id == entry.patient_id)).one_or_none()
        if entry.route == ERASURE:
            raise InputError(f"entry {number} is the erasure of a patient, not a question")
        if entry.route == REPORT:
            raise InputError(f"entry {number} reports an outcome, and is no question")
        if patient is not None and patient.wrapped_key is None:
            raise InputError(f"entry {number} is of a patient who was erased; nothing can open it any more")
        key = None if patient is None else self.key.unwrap(patient.wrapped_key, patient.pseudonym)
        content = None if key is None else unseal(key, entry.sealed, entry_context(number))
        if key is None or content is None:
            raise InputError(
                f"entry {number} cannot be opened; see that TAXOKINE_RECORD_KEY or record.key is the key of this "
                "record, and run 'taxokine audit verify'"
            )
        return entry, key, SEALED.validate_json(content)

    def erase(self, patient: str, asker: str) -> int:
        """Destroy the key of a patient, so that nothing opens the entries; return how many there are.

        The entries stay in the chain, and a further one says that the key was destroyed.

        Parameters
        ----------
        patient : str
            Id of the patient, as it was sent.
        asker : str
            Who erases.

        Raises
        ------
        InputError
            The record has no such patient.
        DatabaseError
            Another program reads the database's files, which therefore still hold the key, encrypted.
        """
        count = self._destroy_key(self.key.pseudonym(patient), asker)
        # Also where the patient was erased already: an earlier purge may have failed.
        self._purge()
        if count is None:
            raise InputError("the record has no entry of this patient, or the patient was erased already")
        return count

    def _destroy_key(self, pseudonym: bytes, asker: str) -> int | None:
        """Remove the key of a patient, and return the number of entries; None where there is no such patient."""
        with exclusive(self.engine) as connection:
            has_pseudonym = record_patients.c.pseudonym == pseudonym
            patient_id = connection.scalar(select(record_patients.c.id).where(has_pseudonym))
            if patient_id is None:
                return None
            of_patient = record_entries.c.patient_id == patient_id
            count = len(connection.scalars(select(record_entries.c.number).where(of_patient)).all())
            request_id, now = secrets.token_hex(8), datetime.now(UTC)
            self.append_entry(
                connection,
                lambda number: Entry(number, now, asker, request_id, ERASURE, patient_id, "[]", bytes(32), b""),
            )
            connection.execute(update(record_patients).where(has_pseudonym).values(pseudonym=None, wrapped_key=None))
        return count

    def append_entry(self, connection: Connection, entry_of: Callable[[int], Entry]) -> Entry:
        """Append the entry that a function returns for its number, within an exclusive transaction."""
        number, link = _end(connection)
        entry = entry_of(number + 1)
        connection.execute(insert(record_entries).values(vars(entry) | {"link": entry.link(self.key, link)}))
        return entry

    def _purge(self) -> None:
        """Remove from the database's files what an update replaced."""
        try:
            if self.engine.dialect.name == "sqlite":
                # SQLAlchemy would begin a transaction, in which there is no checkpoint.
                with closing(self.engine.raw_connection()) as connection:
                    is_busy, _, _ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            else:
                with self.engine.connect() as connection:
                    autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
                    autocommit.execute(text("VACUUM FULL record_patients"))
                is_busy = False
        except exc.OperationalError:
            is_busy = True
        if is_busy:
            # SQLite says so in a row, and raises nothing.
            raise DatabaseError(
                "the key is removed from the record, but the files of the database still hold it, encrypted, because "
                "another program is reading them; end that, such as a backup, and erase the patient again"
            )

    def _entry(self, number: int, question: Question, inputs: bytes, patient_id: int, patient_key: bytes) -> Entry:
        versions = sorted({f"{item.model}/{item.version}" for item in question.answer})
        content = SealedContent(question.answer, inputs.decode() if self._keep == "inputs" else None)
        return Entry(
            number=number,
            time=datetime.now(UTC),
            asker=question.asker,
            request_id=question.request_id,
            route=question.route,
            patient_id=patient_id,
            models=json.dumps(versions),
            digest=hmac.digest(patient_key, inputs, "sha256"),
            sealed=seal(patient_key, SEALED.dump_json(content), entry_context(number)),
        )

    def _patient_keys(self, cursor: DBAPICursor, pseudonyms: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
        """Return the row and the key of each patient; a new patient gets both."""
        keys: dict[bytes, tuple[int, bytes]] = {}
        distinct = set(pseudonyms)
        patients = _patients(self.engine.dialect, len(distinct))
        for patient_id, pseudonym, wrapped_key in patients.run(
            cursor, dict(zip(patients.names, distinct, strict=True))
        ):
            key = self.key.unwrap(wrapped_key, pseudonym)
            if key is None:
                raise InputError("the key of the record is not the one under which patients' keys were stored")
            keys[pseudonym] = patient_id, key
        for pseudonym in distinct - keys.keys():
            key = secrets.token_bytes(KEY_BYTES)
            values = {"pseudonym": pseudonym, "wrapped_key": self.key.wrap(key, pseudonym)}
            ((patient_id,),) = self._insert_patient.run(cursor, values)
            keys[pseudonym] = patient_id, key
        return keys


def count_entries(engine: Engine) -> int:
    """Return how many entries the record in a database has; no key is needed for it."""
    with read_only(engine) as connection:
        return _end(connection)[0]


_NEWEST = select(record_entries.c.number, record_entries.c.link).order_by(record_entries.c.number.desc()).limit(1)
_PATIENTS_WITH_KEYS = select(record_patients).where(record_patients.c.wrapped_key.is_not(None))
_INSERT_PATIENT = (
    insert(record_patients)
    .values(pseudonym=bindparam("pseudonym"), wrapped_key=bindparam("wrapped_key"))
    .returning(record_patients.c.id)
)
_COLUMNS = [column for column in record_entries.c if column.name != "link"]
_ENTRIES: Select[tuple[object, ...]] = select(*_COLUMNS, record_entries.c.link).order_by(record_entries.c.number)


@lru_cache
def _patients(dialect: Dialect, count: int) -> DriverStatement[tuple[int, bytes, bytes]]:
    """Return the statement that selects this number of patients by their pseudonyms."""
    return DriverStatement(select(record_patients).where(record_patients.c.pseudonym.in_([b""] * count)), dialect)


def _entry(row: Row[tuple[object, ...]]) -> tuple[Entry, bytes]:
    values = dict(row._mapping)
    link = values.pop("link")
    return Entry(**values), link


def _end(connection: Connection) -> tuple[int, bytes]:
    """Return the number and the link of the last entry."""
    row = connection.execute(_NEWEST).one_or_none()
    return (0, FIRST_LINK) if row is None else (row.number, row.link)
