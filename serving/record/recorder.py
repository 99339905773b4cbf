"""The writer of the record: one thread a process, which commits together all questions that wait."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from features.errors import InputError
from features.settings import settings
from serving.database import open_database
from serving.errors import NotRecorded
from serving.instruments import RECORD_QUEUE, UNRECORDED
from serving.logs import LOG
from serving.record.keys import read_key
from serving.record.store import Keep, RecordStore, count_entries

if TYPE_CHECKING:
    from serving.record.question import Question

MAX_BATCH = 100
"""Questions of one transaction."""

_WITHHELD = (
    "the question cannot be recorded, so it is not answered; try again shortly, and if that does not help, tell the "
    "operator that the record of questions cannot be written"
)


class _Waiting(NamedTuple):
    """A question that waits for its entry, the entry's number, and what is called before the wait for the disk."""

    question: Question
    number: Future[int | None]
    before_commit: Callable[[], object]


class Recorder:
    """Records questions before they are answered.

    Threads may share an object. A transaction lasts as long for ten questions as for one, nearly all of it the wait for
    the disk; so those that arrive during one are committed together by the next.

    Parameters
    ----------
    store : RecordStore
    required : bool
        Whether an answer that cannot be recorded is withheld.

    Attributes
    ----------
    store
        The parameter.
    """

    def __init__(self, store: RecordStore, required: bool = True) -> None:
        self.store, self._required = store, required
        self._waiting: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    async def record(self, question: Question, idle_work: Callable[[], object] | None = None) -> int | None:
        """Record a question beside other requests, and return the number of its entry.

        Parameters
        ----------
        question : Question
        idle_work : callable, optional
            Called by the event loop while the disk writes. Recording may fail after that: what the call returns must
            not be sent before this method has returned.

        Raises
        ------
        NotRecorded
            It could not be recorded, and must be.
        """
        if idle_work is None:
            return await asyncio.wrap_future(self._enqueue(question))
        begin_work = partial(asyncio.get_running_loop().call_soon_threadsafe, idle_work)
        return await asyncio.wrap_future(self._enqueue(question, begin_work))

    async def record_all(self, questions: Sequence[Question]) -> list[int | None]:
        """Record questions as `record` does, and return the numbers of their entries.

        Raises
        ------
        NotRecorded
            At least one could not be recorded, and must be; others may have been.
        """
        return list(await asyncio.gather(*(asyncio.wrap_future(self._enqueue(question)) for question in questions)))

    def record_in_thread(self, question: Question) -> int | None:
        """Record a question as `record` does, while this thread waits."""
        return self._enqueue(question).result()

    def _enqueue(self, question: Question, before_commit: Callable[[], object] = lambda: None) -> Future[int | None]:
        future: Future[int | None] = Future()
        RECORD_QUEUE.inc()
        self._waiting.put(_Waiting(question, future, before_commit))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="record", daemon=True)
                self._thread.start()
        return future

    def _write(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get())
            RECORD_QUEUE.dec(len(batch))
            # A future that runs can no longer be cancelled: its client may go away, its entry stays.
            batch = [item for item in batch if item.number.set_running_or_notify_cancel()]
            if batch:
                self._write_batch(batch)

    def _write_batch(self, batch: list[_Waiting]) -> None:
        def before_commit() -> None:
            for item in batch:
                # The client may be gone, and the loop that answered it.
                with suppress(RuntimeError):
                    item.before_commit()

        try:
            numbers: list[int] | list[None] = self.store.append([item.question for item in batch], before_commit)
        except Exception as error:  # The thread must outlive whatever fails.
            # The error may quote the address of the database and a query.
            UNRECORDED.inc(len(batch))
            LOG.error("%d questions could not be recorded: %s", len(batch), type(error).__name__)
            if self._required:
                for item in batch:
                    item.number.set_exception(NotRecorded(_WITHHELD))
                return
            numbers = [None] * len(batch)
        for item, number in zip(batch, numbers, strict=True):
            item.number.set_result(number)


def open_store() -> RecordStore:
    """Return the record in the database that the settings name.

    Raises
    ------
    InputError
        The settings name no database, a key that is none, or a way of keeping that does not exist; or the key of the
        record's entries is missing, or is another.
    DatabaseError
        The database cannot be opened.
    """
    configuration = settings()
    keep: Keep
    match configuration.record:
        case "digest" | "inputs":
            keep = configuration.record
        case other:
            raise InputError(f"TAXOKINE_RECORD is {other!r}; expected digest, or inputs to keep them encrypted too")
    engine, file = open_database(configuration.database), configuration.home / "record.key"
    if configuration.record_key is None and not file.exists() and (count := count_entries(engine)):
        entries = "1 entry" if count == 1 else f"{count} entries"
        raise InputError(
            f"{file} is missing, and the record has {entries} under its key: restore the file from its copy, or give "
            "TAXOKINE_RECORD_KEY. Where it is lost, nothing opens them: begin a new record in another database"
        )
    store = RecordStore(engine, read_key(configuration.record_key, file), keep)
    if not store.fits_key():
        place = file if configuration.record_key is None else "TAXOKINE_RECORD_KEY"
        raise InputError(
            f"{place} is not the key under which the record's entries were made: restore that key from its copy. Where "
            "it is lost, nothing opens them: begin a new record in another database"
        )
    return store


def open_recorder() -> Recorder:
    """Return the writer of the record that the settings name.

    Raises
    ------
    InputError, DatabaseError
        As `open_store` does; or the settings say of unrecorded answers neither "refuse" nor "give".
    """
    unrecorded = settings().unrecorded
    if unrecorded not in {"refuse", "give"}:
        raise InputError(
            f"TAXOKINE_UNRECORDED is {unrecorded!r}; expected refuse, or give to answer also what cannot be recorded"
        )
    return Recorder(open_store(), required=unrecorded == "refuse")
