"""Rows of files that are no plain tables, and the plain tables made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from features.errors import FileError
from features.tables.decimals import find_decimal_mark, with_decimal_point
from features.tables.delimited import Row, read_rows
from features.tables.encoding import find_encoding, open_binary, open_text
from features.tables.layout import Layout
from features.tables.text import TextTable
from features.tables.workbook import MAX_CELLS, is_workbook, read_workbook

PARQUET = b"PAR1"
"""The first bytes of a Parquet file."""
_LINES_SAMPLED = 60
"""Lines in which the delimiter is found."""
_BYTES_SAMPLED = 2**16
"""Bytes of the first rows."""


def read_first_rows(path: Path) -> list[Row]:
    """Return the first rows of a text file, as `read_raw_rows` does, without reading the rest of it."""
    if is_workbook(path):
        return read_raw_rows(path)
    with open_binary(path) as file:
        start = file.read(_BYTES_SAMPLED)
    if len(start) < _BYTES_SAMPLED:
        return read_raw_rows(path, start)
    # In UTF-16 a line ends in two bytes: cutting at a multiple of four keeps characters whole.
    end = start.rfind(b"\n") + 1
    return read_raw_rows(path, start[: end + -end % 4])[:-1]


def read_raw_rows(path: Path, content: bytes | None = None) -> list[Row]:
    """Return the rows of a text file or workbook, whatever their lengths, with cells without surrounding blanks.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes, optional
        The bytes to read instead of those on the disk.
    """
    if is_workbook(path, content):
        rows = read_workbook(path, content).rows
    else:
        with open_text(path, find_encoding(path, content), content) as text:
            lines = list(text)
        sample = "".join(lines[:_LINES_SAMPLED])
        rows = list(read_rows(path, lines, max("\t;,|", key=sample.count)))
    return [Row(row.line, [cell.strip() for cell in row.cells]) for row in rows if row.cells]


def read_parquet(path: Path) -> TextTable:
    """Read a Parquet file, as Olink's NPX Explore writes it, as a table of text.

    Raises
    ------
    FileError
        If it cannot be read as Parquet.
    """
    # pyarrow takes a while to import, and most tables are text.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        size = pq.read_metadata(path)
        if size.num_rows * size.num_columns > MAX_CELLS:
            raise FileError(
                f"expected at most {MAX_CELLS:,} cells, got {size.num_rows:,} rows of {size.num_columns} columns. Keep "
                "the rows of the cohort",
                file=path,
            )
        columns = pq.read_table(path).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"expected a Parquet file: {error}. Export it again, or save it as CSV", file=path) from error
    texts = [["" if value is None else _cell_text(value) for value in values] for values in columns.values()]
    return to_text_table(
        path, list(columns), (Row(i, list(cells)) for i, cells in enumerate(zip(*texts, strict=True), 2)), "Parquet"
    )


def _cell_text(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value).strip()


def to_text_table(path: Path, names: Sequence[str], rows: Iterable[Row], software: str) -> TextTable:
    """Return a table of text with these columns and rows, each as long as the header.

    Raises
    ------
    FileError
        If there is no row, or two columns have one name.
    """
    layout = Layout("UTF-8", "", notes=(f"an export of {software}",))
    table_rows = list(rows)
    # The notes above a table hold numbers of versions and dates, which tell nothing of its decimal mark.
    if find_decimal_mark(row.cells for row in table_rows) == ",":
        table_rows = [Row(row.line, [with_decimal_point(cell) for cell in row.cells]) for row in table_rows]
    cells = [(row.line, tuple(cell.strip() for cell in row.cells)) for row in table_rows]
    if not cells:
        raise FileError("expected measurements of samples, got a header alone", file=path)
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise FileError(f"{count} columns have this name; rename one", file=path, column=name)
    return TextTable(path, tuple(names), tuple(row for _, row in cells), tuple(line for line, _ in cells), layout)
