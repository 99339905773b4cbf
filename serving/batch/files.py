"""Readers of a batch: the header, then rows, a part of the file at a time."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter, ValidationError

from features.errors import InputError
from serving.batch.formats import BatchFormat

if TYPE_CHECKING:
    from pyarrow import DataType, RecordBatch, Schema

Kind = Literal["text", "integer", "number", "boolean"]
Cell = str | int | float | bool
Row = tuple[list[int], list[Cell]] | str
"""The positions of a row's cells that are not empty and their values; or why the row cannot be read."""

MAX_COLUMNS = 20_000
"""Columns of the widest file; stool profiles have some thousands of taxa."""
CHUNK_ROWS, CHUNK_CELLS = 128, 200_000
"""Most rows, and most cells, that are read at once."""


@dataclass(frozen=True)
class Header:
    """What a file says before its rows.

    Attributes
    ----------
    names : tuple of str
        Names of the columns.
    kinds : tuple of {"text", "integer", "number", "boolean"}
        What their cells hold; in CSV all are text.
    units : dict of str to str
        Unit of immune measurements by name, where the schema of the file states them as `taxokine features` does.
    profilers : dict of str to str or None
        Profiler of the stool of each cohort, likewise.
    """

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    units: dict[str, str] = field(default_factory=dict)
    profilers: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Context:
    profiler: str | None = None


@dataclass(frozen=True)
class _Metadata:
    units: dict[str, str] = field(default_factory=dict)
    cohorts: dict[str, _Context] = field(default_factory=dict)


_METADATA = TypeAdapter(_Metadata)


def read_batch(path: Path, kind: BatchFormat) -> Iterator[Header | list[Row]]:
    """Yield the header of a file, then its rows, a chunk at a time.

    Raises
    ------
    InputError
        The file is not of this format, is damaged from some row on, or is too wide.
    """
    try:
        yield from {"csv": _read_csv, "parquet": _read_parquet, "arrow": _read_arrow}[kind](path)
    except (InputError, MemoryError):
        raise
    except (
        csv.Error,
        UnicodeDecodeError,
        OSError,
        ValueError,
        OverflowError,
        RecursionError,
        NotImplementedError,
    ) as error:
        # All of these come from pyarrow, of damaged or nested content; their texts may quote the file.
        raise InputError(f"the file breaks off or is not {kind} ({type(error).__name__}): export it again") from error


def _read_csv(path: Path) -> Iterator[Header | list[Row]]:
    csv.field_size_limit(2**17)
    # Bytes are decoded as they come, and a mark of the byte order is left out.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        names = next(reader, [])
        _check_width(len(names))
        if len(names) == 1 and (separator := next((mark for mark in ";\t" if mark in names[0]), None)):
            raise InputError(f"the header is one column with {separator!r} in it; separate the columns by commas")
        yield Header(tuple(names), tuple("text" for _ in names))
        rows = (_csv_row(cells, len(names)) for cells in reader if cells)
        while chunk := list(islice(rows, _chunk_rows(len(names)))):
            yield chunk


def _csv_row(cells: list[str], width: int) -> Row:
    if len(cells) != width:
        return f"the row has {len(cells)} cells, the header {width}; quote cells that contain commas"
    positions = [i for i, cell in enumerate(cells) if cell]
    return positions, [cells[i] for i in positions]


def _read_parquet(path: Path) -> Iterator[Header | list[Row]]:
    import pyarrow.parquet as pq

    # Small buffers: each of thousands of columns has one.
    with pq.ParquetFile(path, buffer_size=2**15, pre_buffer=False) as file:
        schema = file.schema_arrow
        yield _arrow_header(schema)
        rows = _chunk_rows(len(schema.names))
        for batch in file.iter_batches(rows, use_threads=False):
            yield _arrow_rows(batch)


def _read_arrow(path: Path) -> Iterator[Header | list[Row]]:
    import pyarrow as pa

    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
        yield _arrow_header(stream.schema)
        rows = _chunk_rows(len(stream.schema.names))
        for batch in stream:
            # Offsets of a hostile stream may point anywhere.
            batch.validate(full=True)
            for start in range(0, batch.num_rows, rows):
                yield _arrow_rows(batch.slice(start, rows))


def _arrow_header(schema: Schema) -> Header:
    _check_width(len(schema.names))
    kinds = tuple(_kind(arrow_field.type, arrow_field.name) for arrow_field in schema)
    text = (schema.metadata or {}).get(b"taxokine", b"{}")
    try:
        metadata = _METADATA.validate_python({key: value for key, value in json.loads(text).items() if value})
    except (ValidationError, ValueError, AttributeError) as error:
        raise InputError("the schema's metadata 'taxokine' is not what 'taxokine features' writes") from error
    profilers = {cohort: context.profiler for cohort, context in metadata.cohorts.items()}
    return Header(tuple(schema.names), kinds, metadata.units, profilers)


def _kind(data_type: DataType, name: str) -> Kind:
    from pyarrow import types

    if types.is_dictionary(data_type):
        data_type = data_type.value_type
    if types.is_boolean(data_type):
        return "boolean"
    if types.is_integer(data_type):
        # The answer's integers have a sign, and the largest without one do not fit.
        return "text" if types.is_uint64(data_type) else "integer"
    if types.is_floating(data_type) or types.is_decimal(data_type):
        return "number"
    if types.is_string(data_type) or types.is_large_string(data_type) or types.is_null(data_type):
        return "text"
    if types.is_temporal(data_type):
        return "text"
    raise InputError(f"column {name!r} is of type {data_type}; expected numbers, text, booleans or dates")


def _arrow_rows(batch: RecordBatch) -> list[Row]:
    positions: list[list[int]] = [[] for _ in range(batch.num_rows)]
    values: list[list[Cell]] = [[] for _ in range(batch.num_rows)]
    for position, column in enumerate(batch.columns):
        for row, cell in enumerate(column.to_pylist()):
            if cell is None or cell == "" or cell != cell:
                continue
            positions[row].append(position)
            values[row].append(cell if isinstance(cell, str | int | float) else _plain(cell))
    return list(zip(positions, values, strict=True))


def _plain(cell: object) -> Cell:
    number = float(cell) if type(cell).__name__ == "Decimal" else math.nan  # type: ignore[arg-type]
    return str(cell) if math.isnan(number) else number


def _check_width(width: int) -> None:
    if not width:
        raise InputError("the file has no columns; expected a header, and a row for each patient")
    if width > MAX_COLUMNS:
        raise InputError(f"the file has {width:,} columns; a batch has at most {MAX_COLUMNS:,}")


def _chunk_rows(width: int) -> int:
    return max(1, min(CHUNK_ROWS, CHUNK_CELLS // width))
