"""The answers of a batch as CSV, Parquet or Arrow, written a chunk at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Protocol

from features.errors import InputError
from models.predict import ServedModel
from models.prediction_rows import COLUMNS, PredictionRow
from serving.batch.files import Cell, Kind
from serving.batch.formats import BatchFormat
from serving.schemas import NOTICE

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_OF_GROUP = 4096
"""Rows of a row group of Parquet, and of a record batch of Arrow."""


@dataclass(frozen=True)
class BatchAnswer:
    """One row of the answer: one outcome of one row of the batch, or why that row has no prediction.

    Attributes
    ----------
    returned : tuple of str, int, float, bool or None
        Cells of the row's columns that are no measurements.
    row : int
        Number of the row in the batch, from 1.
    outcome : str or None
    prediction : PredictionRow or None
    evidence : str or None
        How the model performed on held-out patients, in a sentence.
    record : int or None
        Number of the entry in the record of questions.
    error : str or None
        Why the row has no prediction.
    """

    returned: tuple[Cell | None, ...]
    row: int
    outcome: str | None = None
    prediction: PredictionRow | None = None
    evidence: str | None = None
    record: int | None = None
    error: str | None = None

    def cells(self) -> tuple[Cell | None, ...]:
        """Return the cells, in the order of the columns returned and of `ANSWER_COLUMNS`."""
        predicted = (None,) * len(COLUMNS) if self.prediction is None else astuple(self.prediction)
        return (*self.returned, self.row, self.outcome, *predicted, self.evidence, self.record, self.error)


_KINDS: Mapping[str, Kind] = {
    "row": "integer",
    "outcome": "text",
    **dict.fromkeys(COLUMNS, "text"),
    "probability": "number",
    "margin": "number",
    "model_landmark": "number",
    "simulated": "boolean",
    "in_training_set": "boolean",
    "evidence": "text",
    "record": "integer",
    "error": "text",
}
ANSWER_COLUMNS = tuple(_KINDS)
"""Columns that the answer adds."""


class AnswerWriter(Protocol):
    """Writes answers in one format; `close` returns what ends the file."""

    def write(self, answers: Sequence[BatchAnswer]) -> bytes:
        """Return the next bytes of the file, which may be none yet."""
        ...

    def close(self) -> bytes:
        """Return the last bytes of the file."""
        ...


def open_writer(kind: BatchFormat, returned: Mapping[str, Kind], models: Iterable[ServedModel]) -> AnswerWriter:
    """Return the writer of a format.

    Parameters
    ----------
    kind : BatchFormat
    returned : mapping of str to Kind
        The columns that are returned as they came.
    models : iterable of ServedModel
        The models that may predict; the schema of Parquet and Arrow states their evidence, as JSON under `taxokine`.
    """
    columns = {**returned, **_KINDS}
    evidence = {f"{served.name}/{served.version}": served.model.evidence.sentence for served in models}
    metadata = {"evidence": evidence, "notice": NOTICE}
    return _CsvWriter(tuple(columns)) if kind == "csv" else _ArrowWriter(kind, columns, metadata)


class _CsvWriter:
    def __init__(self, names: Sequence[str]) -> None:
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(names)

    def write(self, answers: Sequence[BatchAnswer]) -> bytes:
        self._writer.writerows([_text(cell) for cell in answer.cells()] for answer in answers)
        return self.close()

    def close(self) -> bytes:
        content = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return content


class _ArrowWriter:
    def __init__(self, kind: BatchFormat, columns: Mapping[str, Kind], metadata: Mapping[str, object]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
        schema_fields = [pa.field(name, types[column_kind]) for name, column_kind in columns.items()]
        self._schema = pa.schema(schema_fields, {b"taxokine": json.dumps(metadata).encode()})
        self._rows: list[tuple[Cell | None, ...]] = []
        self._sink = _Sink()
        open_file: Callable[[], pq.ParquetWriter | pa.RecordBatchStreamWriter] = (
            (lambda: pq.ParquetWriter(self._sink, self._schema))
            if kind == "parquet"
            else (lambda: pa.ipc.new_stream(self._sink, self._schema))
        )
        self._file = open_file()

    def write(self, answers: Sequence[BatchAnswer]) -> bytes:
        self._rows += [answer.cells() for answer in answers]
        if len(self._rows) >= ROWS_OF_GROUP:
            self._write_group()
        return self._sink.take()

    def close(self) -> bytes:
        if self._rows:
            self._write_group()
        self._file.close()
        return self._sink.take()

    def _write_group(self) -> None:
        import pyarrow as pa

        columns = zip(self._schema, zip(*self._rows, strict=True), strict=True)
        arrays = [_array(cells, column.name, column.type) for column, cells in columns]
        self._file.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._rows = []


class _Sink(io.RawIOBase):
    """Keeps what was written until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, content: bytes | memoryview) -> int:  # type: ignore[override]
        part = bytes(content)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    def take(self) -> bytes:
        content = b"".join(self._parts)
        self._parts = []
        return content


def _array(cells: Sequence[Cell | None], name: str, data_type: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_string(data_type):
        return pa.array([None if cell is None else str(cell) for cell in cells], data_type)
    try:
        return pa.array(cells, data_type)
    except (pa.ArrowException, OverflowError) as error:
        raise InputError(f"column {name!r} cannot be written as {data_type}") from error


def _text(cell: Cell | None) -> Cell | None:
    return str(cell).lower() if isinstance(cell, bool) else cell
