"""A batch is read in a process of its own, as uploads are: nobody vouches for a file.

The process sends rows as JSON, a chunk at a time, and waits while they are predicted. Neither side holds the file,
whatever Parquet unpacks to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from features.errors import InputError
from serving.batch.files import Header, Row, read_batch
from serving.batch.formats import BatchFormat
from serving.logs import REQUEST_ID
from serving.upload.child import MAX_MEMORY, ReaderLimits, apply_limits, log_child_failure, start_child

CPU_SECONDS = 300
"""Seconds of computing that the reading of one file may take; 100,000 rows of 300 taxa take some 20."""
CHUNK_SECONDS = 30
"""Seconds on the clock that each chunk may take."""

_MAX_CHUNK = 2**26


_HEADER = TypeAdapter(Header)


class BatchReader:
    """The rows of a file, read in a process that is killed at the limits; a context manager, which ends the process.

    Parameters
    ----------
    path : Path
    kind : BatchFormat

    Raises
    ------
    InputError
        The file cannot be read, or reading its header takes more than the limits.
    """

    def __init__(self, path: Path, kind: BatchFormat) -> None:
        self._receiver, self._process = start_child(_send_rows, path, kind, REQUEST_ID.get())
        try:
            self.header = _HEADER.validate_python(self._receive())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def chunks(self) -> Iterator[list[Row]]:
        """Yield the rows, a chunk at a time.

        Raises
        ------
        InputError
            The file cannot be read from here on, or takes more than the limits.
        """
        while rows := self._receive():
            yield rows  # type: ignore[misc]

    def close(self) -> None:
        """End the process."""
        with suppress(ValueError):
            self._process.kill()
            self._process.join()
            self._process.close()
        self._receiver.close()

    def _receive(self) -> object:
        try:
            if not self._receiver.poll(CHUNK_SECONDS):
                raise InputError(f"the file takes longer than {CHUNK_SECONDS} s to read on; send a smaller one")
            content = from_json(self._receiver.recv_bytes(_MAX_CHUNK))
        except (EOFError, OSError) as error:
            self._process.join(CHUNK_SECONDS)
            raise InputError(_LIMIT) from error
        if isinstance(content, dict) and "message" in content:
            raise InputError(content["message"])
        return content


_LIMIT = (
    f"reading broke off: the file is damaged, or takes more than {MAX_MEMORY // 2**20} MB of memory or {CPU_SECONDS} "
    "s; export it again, with fewer rows in each row group or record batch"
)


def _send_rows(sender: Connection, path: Path, kind: BatchFormat, request_id: str | None) -> None:
    try:
        if kind != "csv":
            _import_arrow()
        apply_limits(ReaderLimits(CPU_SECONDS, MAX_MEMORY))
        for part in read_batch(path, kind):
            sender.send_bytes(to_json(part, inf_nan_mode="constants"))
        sender.send_bytes(b"[]")
    except InputError as error:
        sender.send_bytes(to_json({"message": str(error)}))
    except MemoryError:
        os._exit(1)
    except BrokenPipeError:
        # The server has ended the batch.
        os._exit(0)
    except Exception as error:
        log_child_failure("a batch failed", error, request_id)
        os._exit(1)


def _import_arrow() -> None:
    import pyarrow as pa
    import pyarrow.parquet

    # The other pools reserve more address space than they use, which the limit counts.
    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
