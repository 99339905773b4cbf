"""Delimited text, as in TSV and CSV files: opened, decoded and parted into rows that know their line."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from features.errors import FileError

_BINARY_FORMATS = {b"PK\x03\x04": "a ZIP archive (.qza, .xlsx)", b"\x89HDF": "an HDF5 file (.biom)"}
"""Formats that are no text, by the first four bytes of their files."""


class Row(NamedTuple):
    """One row of a text table: the line in which it begins, counted from 1, and its cells as written."""

    line: int
    cells: list[str]


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file in UTF-8, with or without a byte order mark, gzip-compressed or not.

    Whatever goes wrong with the text while it is open is raised as a `FileError` too.

    Raises
    ------
    FileError
        If the file cannot be read, is of a binary format, or holds no delimited text in UTF-8.
    """
    try:
        with path.open("rb") as file:
            signature = file.read(4)
        if signature in _BINARY_FORMATS:
            raise FileError(
                f"expected a table of text, got {_BINARY_FORMATS[signature]}. State its format, or save it as CSV",
                file=path,
            )
        is_gzip = signature.startswith(b"\x1f\x8b")
        with gzip.open(path, "rt", encoding="utf-8-sig") if is_gzip else path.open(encoding="utf-8-sig") as text:
            yield text
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"expected a table of text in UTF-8: {error}", file=path) from error
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror or error}", file=path) from error


def find_delimiter(header: str, candidates: str) -> str | None:
    """Return the first of the candidate delimiters that a header line holds, None where it holds none of them."""
    return next((delimiter for delimiter in candidates if delimiter in header), None)


def read_rows(lines: Iterable[str], delimiter: str, *, first_line: int = 1) -> Iterator[Row]:
    """Part lines of text into rows; a quoted cell may hold the delimiter and go over several lines.

    Parameters
    ----------
    lines : iterable of str
        The text, line by line.
    delimiter : str
        The character between two cells.
    first_line : int
        The number of the first of these lines in the file.
    """
    reader, line = csv.reader(lines, delimiter=delimiter, strict=True), first_line
    for cells in reader:
        yield Row(line, cells)
        line = first_line + reader.line_num


def unequal_length(path: Path, row: Row, n_columns: int) -> FileError:
    """Return the error for a row that has not as many cells as the header."""
    return FileError(
        f"expected {n_columns} cells, as in the header, got {len(row.cells)}. Add or remove cells, or put a cell that "
        "holds the delimiter in quotes",
        file=path,
        row=row.line,
    )
