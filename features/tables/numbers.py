"""Tables of numbers in text files: TSV and CSV tables with a label for every row and column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.errors import FileError
from features.tables.decimals import number_advice, parse_number
from features.tables.layout import Layout, OpenTable, open_table

_TAXID_COLUMNS = ("NCBI_tax_id", "clade_taxid")
_ABUNDANCE_COLUMN = "relative_abundance"
"""The one column of amounts in MetaPhlAn's profile of a single sample; columns of coverage and reads follow it."""


@dataclass(frozen=True)
class Axis:
    """The labels along one side of a table, and where they stand in the file.

    Attributes
    ----------
    labels : sequence of str
        The labels as they stand in the file.
    path : Path
        The file.
    line_numbers : sequence of int, optional
        The line of each label; None where the labels are column names.
    """

    labels: Sequence[str]
    path: Path
    line_numbers: Sequence[int] | None = None

    def error(self, problem: str, position: int) -> FileError:
        """Return the error for the label at a position."""
        if self.line_numbers is None:
            return FileError(problem, file=self.path, column=self.labels[position])
        return FileError(problem, file=self.path, row=self.line_numbers[position])

    def check_unique(self, names: Sequence[str], noun: str) -> None:
        """Raise an error that names both places where two labels come to the same name.

        Parameters
        ----------
        names : sequence of str
            The name that each label comes to.
        noun : str
            What the names are, such as 'taxon', for the message.
        """
        positions: dict[str, int] = {}
        for position, name in enumerate(names):
            if positions.setdefault(name, position) != position:
                raise self.error(
                    f"{self._place(positions[name])} and {self._place(position)} are the same {noun}, {name!r}; "
                    f"expected each {noun} once. Remove or merge one of the two",
                    position,
                )

    def _place(self, position: int) -> str:
        line = f" on row {self.line_numbers[position]}" if self.line_numbers else ""
        return f"{self.labels[position]!r}{line}"


@dataclass(frozen=True)
class NumberTable:
    """Numbers with a label for each row and column.

    Attributes
    ----------
    values : ndarray of float32
        Finite numbers not below zero, (n_rows, n_columns).
    rows, columns : Axis
        The labels.
    skipped : list of str
        The labels of the rows that were not wanted.
    comments : list of str
        The lines above the header, without the '#'.
    layout : Layout
        How the file writes the table: its encoding, delimiter and decimal mark.
    """

    values: NDArray[np.float32]
    rows: Axis
    columns: Axis
    skipped: list[str]
    comments: list[str]
    layout: Layout


def read_number_table(path: Path, is_wanted: Callable[[str], bool] = lambda label: True) -> NumberTable:
    """Read a table of numbers whose first column labels the rows, as `features.tables.layout.open_table` opens it.

    The rows are read one by one: no more than the numbers is held in memory.

    Parameters
    ----------
    path : Path
        The file.
    is_wanted : callable
        Whether to read the row of a label.

    Returns
    -------
    NumberTable
        The rows that are wanted.

    Raises
    ------
    FileError
        If the file is no such table, or a cell holds no finite number of at least zero.
    """
    with open_table(path) as table:
        columns, first_value = _columns(table)
        return _read_values(table, columns, first_value, is_wanted)


def _columns(table: OpenTable) -> tuple[Axis, int]:
    """Return the columns of numbers, and the position of the first."""
    header = table.header.cells
    if len(header) < 2:
        raise FileError(
            f"expected columns parted by tab, comma or semicolon, got {''.join(header)[:80]!r}",
            file=table.path,
            row=table.header.line,
        )
    first_value = 2 if len(header) > 2 and header[1] in _TAXID_COLUMNS else 1
    stop = first_value + 1 if header[first_value] == _ABUNDANCE_COLUMN else len(header)
    columns = Axis(header[first_value:stop], table.path)
    if "" in columns.labels:
        number = first_value + columns.labels.index("") + 1
        raise FileError(f"column {number} of the header has no name; name it", file=table.path, row=table.header.line)
    columns.check_unique(columns.labels, "column")
    return columns, first_value


def _read_values(table: OpenTable, columns: Axis, first_value: int, is_wanted: Callable[[str], bool]) -> NumberTable:
    labels, line_numbers, skipped, values = [], [], [], []
    stop = first_value + len(columns.labels)
    for row in table.rows:
        label = row.cells[0].strip()
        if not label:
            raise FileError("the row has no label in the first column; name it", file=table.path, row=row.line)
        if not is_wanted(label):
            skipped.append(label)
            continue
        values.append(_numbers(row.cells[first_value:stop], columns, row.line))
        labels.append(label)
        line_numbers.append(row.line)
    matrix = np.vstack(values) if values else np.empty((0, len(columns.labels)), np.float32)
    comments = [" ".join(comment.cells).lstrip("#").strip() for comment in table.comments]
    return NumberTable(matrix, Axis(labels, table.path, line_numbers), columns, skipped, comments, table.layout)


def _numbers(cells: list[str], columns: Axis, line: int) -> NDArray[np.float32]:
    # A number too large for float32 becomes infinite, and is refused below.
    with np.errstate(over="ignore"):
        text = "".join(cells)
        try:
            if "_" in text or not text.isascii():
                raise ValueError("Python reads more than numbers")
            numbers = np.array(cells, dtype=np.float32)
        except ValueError:
            numbers = np.array([parse_number(cell) for cell in cells], dtype=np.float32)
    is_valid = (numbers >= 0) & (numbers < np.inf)
    if not is_valid.all():
        position = int(is_valid.argmin())
        cell = cells[position]
        raise FileError(
            f"expected a finite number of at least zero, got {cell!r}{number_advice(cell)}. Correct it; an absent "
            "taxon is 0",
            file=columns.path,
            column=columns.labels[position],
            row=line,
        )
    return numbers
