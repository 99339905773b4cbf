"""Tables of numbers in text files: TSV and CSV tables with a label for every row and column."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from features.errors import FileError
from features.tables.delimited import find_delimiter, open_text, read_rows, unequal_length

DELIMITERS = "\t,;"
"""The delimiters of tables with taxa, in order of precedence: clade strings hold semicolons, but no tab."""
_LABEL_COLUMNS = ("clade_name", "ID", "SampleID", "OTU ID", "Feature ID")
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
    """

    values: NDArray[np.float32]
    rows: Axis
    columns: Axis
    skipped: list[str]
    comments: list[str]


def read_number_table(path: Path, is_wanted: Callable[[str], bool] = lambda label: True) -> NumberTable:
    """Read a TSV or CSV table of numbers, gzip-compressed or not, whose first column labels the rows.

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
    with open_text(path) as text:
        layout = _read_layout(path, text)
        return _read_values(path, layout, is_wanted)


class _Layout(NamedTuple):
    """The layout of a table, and its lines below the header."""

    columns: Axis
    first_value: int
    n_cells: int
    delimiter: str
    comments: list[str]
    lines: Iterable[str]
    first_line: int


def _read_layout(path: Path, text: TextIO) -> _Layout:
    comments: list[str] = []
    line = ""
    for line in text:
        if line.strip() and not line.startswith("#"):
            break
        comments.append(line)
    else:
        raise FileError("expected a header and rows of numbers, got no such line: the file is empty", file=path)
    delimiter = find_delimiter(line, DELIMITERS)
    if delimiter is None:
        raise FileError(f"expected columns parted by tab, comma or semicolon, got {line.strip()[:80]!r}", file=path)
    header, *commented = [next(csv.reader([text_line], delimiter=delimiter)) for text_line in (line, *comments[-1:])]
    lines: Iterable[str] = text
    header_line = len(comments) + 1
    # The text exports of BIOM and QIIME mark the header itself as a comment.
    if commented and len(commented[0]) == len(header) and header[0] not in _LABEL_COLUMNS:
        header, lines, header_line = commented[0], itertools.chain([line], text), len(comments)
        comments.pop()
    first_value = 2 if len(header) > 2 and header[1] in _TAXID_COLUMNS else 1
    stop = first_value + 1 if header[first_value] == _ABUNDANCE_COLUMN else len(header)
    columns = Axis([name.strip() for name in header[first_value:stop]], path)
    if "" in columns.labels:
        number = first_value + columns.labels.index("") + 1
        raise FileError(f"column {number} of the header has no name; name it", file=path, row=header_line)
    columns.check_unique(columns.labels, "column")
    notes = [comment.lstrip("#").strip() for comment in comments]
    return _Layout(columns, first_value, len(header), delimiter, notes, lines, header_line + 1)


def _read_values(path: Path, layout: _Layout, is_wanted: Callable[[str], bool]) -> NumberTable:
    labels, line_numbers, skipped, values = [], [], [], []
    stop = layout.first_value + len(layout.columns.labels)
    for row in read_rows(layout.lines, layout.delimiter, first_line=layout.first_line):
        if not any(row.cells):
            continue
        if len(row.cells) != layout.n_cells:
            raise unequal_length(path, row, layout.n_cells)
        label = row.cells[0].strip()
        if not label:
            raise FileError("the row has no label in the first column; name it", file=path, row=row.line)
        if not is_wanted(label):
            skipped.append(label)
            continue
        values.append(_numbers(row.cells[layout.first_value : stop], layout.columns, row.line))
        labels.append(label)
        line_numbers.append(row.line)
    matrix = np.vstack(values) if values else np.empty((0, len(layout.columns.labels)), np.float32)
    return NumberTable(matrix, Axis(labels, path, line_numbers), layout.columns, skipped, layout.comments)


def _numbers(cells: list[str], columns: Axis, line: int) -> NDArray[np.float32]:
    # A number too large for float32 becomes infinite, and is refused below.
    with np.errstate(over="ignore"):
        try:
            numbers = np.array(cells, dtype=np.float32)
        except ValueError:
            numbers = np.array([_number_or_nan(cell) for cell in cells], dtype=np.float32)
    is_valid = (numbers >= 0) & (numbers < np.inf)
    if not is_valid.all():
        position = int(is_valid.argmin())
        raise FileError(
            f"expected a finite number of at least zero, got {cells[position]!r}. Correct it; an absent taxon is 0",
            file=columns.path,
            column=columns.labels[position],
            row=line,
        )
    return numbers


def _number_or_nan(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
