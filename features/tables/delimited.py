"""Delimited text, as in TSV and CSV files: the delimiter found, and lines parted into rows that know their line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from features.errors import FileError
from features.tables.decimals import is_number

_DELIMITERS = "\t;,|"
"""The delimiters, in order of precedence; runs of spaces come last, and only where they make a table of numbers."""

MOST_TITLES, LEAST_NAMES = 5, 3
"""The most lines above a header that are a title, and the fewest names of a header below a title."""


class Row(NamedTuple):
    """One row of a table: the line in which it begins, counted from 1, and its cells as written."""

    line: int
    cells: list[str]


def find_delimiter(lines: Sequence[str]) -> str | None:
    """Return the delimiter of a table's first lines, the header first; None where it has a single column.

    It is the one that gives every row the header's number of cells, or one more, as R's `write.table` does. Tabs come
    first; of several others, the one that makes most columns. Where none does, it is the most frequent in the header.
    """
    widths = {delimiter: _widths(lines, delimiter) for delimiter in _DELIMITERS}
    fitting = [delimiter for delimiter in _DELIMITERS if _fits(widths[delimiter])]
    if fitting:
        if widths["\t"][:1] > [1] and "\t" in fitting:
            return "\t"
        return max(fitting, key=lambda delimiter: widths[delimiter][0])
    table = _cells(lines, " ")
    if table and _fits([len(cells) for cells in table]) and len(table[0]) > 1:
        holds_numbers = len(table) > 1 and any(is_number(cell) for cell in table[1])
        if holds_numbers or lines[0].lstrip().startswith('"'):
            return " "
    if cut := [delimiter for delimiter in _DELIMITERS if _fits_mostly(widths[delimiter])]:
        return max(cut, key=lambda delimiter: widths[delimiter][0])
    if delimiter := _delimiter_below_titles(lines):
        return delimiter
    header_widths = {delimiter: width[0] for delimiter, width in widths.items() if width and width[0] > 1}
    return max(header_widths, key=lambda delimiter: header_widths[delimiter], default=None)


def _delimiter_below_titles(lines: Sequence[str]) -> str:
    """Return the delimiter of a table below lines without it; empty where there is none."""
    for n_titles in range(1, min(MOST_TITLES, len(lines) - 2) + 1):
        for delimiter in _DELIMITERS:
            widths = _widths(lines[n_titles:], delimiter)
            has_titles = not any(delimiter in line for line in lines[:n_titles])
            if has_titles and _fits(widths) and widths[0] >= LEAST_NAMES:
                return delimiter
    return ""


def _widths(lines: Sequence[str], delimiter: str) -> list[int]:
    """Return the number of cells of each row; of a short header that names one column, only where it is no number."""
    table = _cells(lines, delimiter)
    widths = [len(cells) for cells in table]
    if widths and widths[0] == 1 and any(is_number(cells[0]) for cells in table[1:]):
        return []
    return widths


def _cells(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Return the cells of each row that holds anything; none if quotes do not pair, but for a last row that is cut."""
    rows: list[list[str]] = []
    try:
        rows.extend(cells for cells in _reader(lines, delimiter) if any(cells))
    except csv.Error as error:
        return rows if "end of data" in str(error) else []
    return rows


def _fits(widths: Sequence[int]) -> bool:
    if not widths or set(widths) == {1}:
        return False
    return set(widths[1:]) in ({widths[0]}, {widths[0] + 1}, set())


def _fits_mostly(widths: Sequence[int]) -> bool:
    """Tell whether the first row is a header, of which most rows have the length: a row that is cut hides no table."""
    return bool(widths) and widths[0] >= LEAST_NAMES and 2 * widths[1:].count(widths[0]) > len(widths) - 1


def read_rows(path: Path, lines: Iterable[str], delimiter: str, *, first_line: int = 1) -> Iterator[Row]:
    """Part lines of text into rows; a quoted cell may hold the delimiter and go over several lines.

    Parameters
    ----------
    path : Path
        The file, named in errors.
    lines : iterable of str
        The text, line by line.
    delimiter : str
        The character between two cells; a space stands for a run of spaces.
    first_line : int
        The number of the first of these lines in the file.

    Raises
    ------
    FileError
        If quotes do not pair.
    """
    reader, line = _reader(lines, delimiter), first_line
    try:
        for cells in reader:
            yield Row(line, cells)
            line = first_line + reader.line_num
    except csv.Error as error:
        raise FileError(
            f"expected cells, each within a pair of quotes or without any: {error}. Remove or double the quotes that "
            "belong to the text",
            file=path,
            row=line,
        ) from error


def _reader(lines: Iterable[str], delimiter: str) -> csv._reader:  # type: ignore[name-defined]
    if delimiter == " ":
        stripped = (line.strip() + "\n" for line in lines)
        return csv.reader(stripped, delimiter=" ", skipinitialspace=True, strict=True)
    return csv.reader(lines, delimiter=delimiter, strict=True)


def unequal_length(path: Path, row: Row, n_columns: int) -> FileError:
    """Return the error for a row that has not as many cells as the header."""
    is_title = n_columns == 1 < len(row.cells)
    advice = "Remove the lines above the names of the columns" if is_title else "Add or remove cells"
    return FileError(
        f"expected {n_columns} cells, as in the header, got {len(row.cells)}. {advice}, or put a cell that holds the "
        "delimiter in quotes",
        file=path,
        row=row.line,
    )
