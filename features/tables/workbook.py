"""Excel workbooks: the rows of one sheet, every cell as the text that a CSV file would hold."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from features.errors import FileError
from features.tables.delimited import Row
from features.tables.encoding import MAX_RATIO, MAX_UNPACKED_AT_ANY_RATIO

MAX_CELLS = 20_000_000
"""The most cells of a sheet, empty ones among them."""
_NOTES = re.compile(
    r"^\W*(read[ _-]?me|notes?|legend|cover|abbreviations?|codebook"
    r"|((data|variable)[ _-]?)?(dictionary|descriptions?))\W*$",
    re.IGNORECASE,
)
"""Titles of sheets that explain others."""
_PERHAPS_NOTES = re.compile(r"^\W*(key|info|information|contents?)\W*$", re.IGNORECASE)
_EXPLANATION = re.compile(r"meaning|descri|definition|explanation|bedeutung|signification", re.IGNORECASE)
"""Titles of sheets that explain others, or name the samples, and the words in headers of the former."""
_WORKBOOK_MEMBER = "xl/workbook.xml"


class Sheet(NamedTuple):
    """The sheet of a workbook that is read: its name, the names of the others that hold anything, and its rows."""

    name: str
    unread: tuple[str, ...]
    rows: list[Row]


def is_workbook(path: Path, content: bytes | None = None) -> bool:
    """Tell whether a file is an Excel workbook (.xlsx), whatever its name.

    Raises
    ------
    FileError
        If the file cannot be read.
    """
    try:
        with path.open("rb") if content is None else io.BytesIO(content) as file:
            if file.read(4) != b"PK\x03\x04":
                return False
            with zipfile.ZipFile(file) as archive:
                return _WORKBOOK_MEMBER in archive.namelist()
    except zipfile.BadZipFile:
        return False
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror or error}", file=path) from error


def read_workbook(path: Path, content: bytes | None) -> Sheet:
    """Return the first sheet of a workbook that holds a table; the first that holds anything, where none does.

    Numbers are written with all their digits, dates as '2024-03-31'.

    Parameters
    ----------
    path : Path
        The workbook, named in errors.
    content : bytes or None
        The bytes to read instead of those on the disk.

    Raises
    ------
    FileError
        If the workbook cannot be read, is too large, or holds a formula without its value.
    """
    # openpyxl takes a while to import, and most tables are text.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    problems = (InvalidFileException, zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, AttributeError)
    try:
        data = path.read_bytes() if content is None else content
        _check_size(path, data)
        values, formulas = (
            load_workbook(io.BytesIO(data), read_only=True, data_only=data_only) for data_only in (True, False)
        )
        return _read_sheet(path, values, formulas)
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror or error}", file=path) from error
    except (*problems, SyntaxError, EOFError, RuntimeError) as error:
        raise FileError(
            f"expected an Excel workbook (.xlsx): {error}. Save it anew, or its sheet as CSV", file=path
        ) from error


def _check_size(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > max(MAX_UNPACKED_AT_ANY_RATIO, MAX_RATIO * len(data)):
        raise FileError(f"unpacks to {size:,} bytes, which no table does; save its sheet as CSV", file=path)


def _read_sheet(path: Path, values: Any, formulas: Any) -> Sheet:
    # A sheet that explains the others may have rows and columns too.
    names = sorted((worksheet.title for worksheet in values.worksheets), key=lambda title: _explains(values[title]))
    rows: list[Row] = []
    name = names[0]
    for title in names:
        sheet_rows = list(_sheet_rows(path, values[title], formulas[title]))
        # A note that stands on a sheet of its own is no table.
        is_table = len(sheet_rows) > 1 and len(sheet_rows[0].cells) > 1
        if is_table or (sheet_rows and not rows):
            name, rows = title, sheet_rows
        if is_table:
            break
    unread = tuple(title for title in names if title != name and _holds_anything(values[title]))
    return Sheet(name, unread, rows)


def _explains(worksheet: Any) -> bool:
    if not _PERHAPS_NOTES.search(worksheet.title):
        return _NOTES.search(worksheet.title) is not None
    worksheet.reset_dimensions()
    header = next(worksheet.iter_rows(max_row=1, values_only=True), ())
    return any(_EXPLANATION.search(str(value)) for value in header)


def _holds_anything(worksheet: Any) -> bool:
    worksheet.reset_dimensions()
    return any(value is not None for row in worksheet.iter_rows(max_row=100, values_only=True) for value in row)


def _sheet_rows(path: Path, values: Any, formulas: Any) -> Iterator[Row]:
    """Yield the rows that hold anything, each as long as the widest."""
    for worksheet in (values, formulas):
        # The dimensions that a file states may be wrong.
        worksheet.reset_dimensions()
    n_cells, rows = 0, []
    for line, (value_row, formula_row) in enumerate(
        zip_longest(values.iter_rows(), formulas.iter_rows(), fillvalue=()), 1
    ):
        n_cells += max(1, len(value_row))
        if n_cells > MAX_CELLS:
            raise FileError(f"expected at most {MAX_CELLS:,} cells; save the table as TSV", file=path, row=line)
        for value, formula in zip(value_row, formula_row, strict=False):
            if formula.data_type == "f" and value.value is None and value.data_type != "str":
                raise FileError(
                    f"the formula {str(formula.value)!r} has no value in the file; open and save it in Excel, or save "
                    "the sheet as CSV",
                    file=path,
                    row=line,
                    column=formula.column_letter,
                )
        cells = [_cell_text(value.value) for value in value_row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            rows.append(Row(line, cells))
    width = max((len(row.cells) for row in rows), default=0)
    yield from (Row(row.line, row.cells + [""] * (width - len(row.cells))) for row in rows)


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value).strip()
