"""Tables of numbers in text files: TSV and CSV tables with a label for every row and column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.errors import FileError
from features.tables.decimals import number_advice, parse_number
from features.tables.delimited import Row
from features.tables.kraken import KrakenReport
from features.tables.layout import Layout, open_table
from features.tables.other_outputs import check_holds_abundances
from features.tables.taxa_layouts import LayoutName, TaxaLayout, find_layout, read_head

MAX_LABELS = 100_000
"""The most rows, and the most columns, of a table of numbers; stool profiles have at most some 40,000 taxa."""


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

    def take(self, positions: Sequence[int]) -> Axis:
        """Return the labels at some positions."""
        lines = None if self.line_numbers is None else [self.line_numbers[position] for position in positions]
        return Axis([self.labels[position] for position in positions], self.path, lines)

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
    clades : list of str or None
        The clade string of each row, where columns of the table state it.
    report : str
        What the file is: a plain table, or a report of Bracken or Kraken.
    layout : Layout
        How the file writes its text.
    skipped : list of str
        The labels of the rows that were not wanted.
    set_aside : list of str
        The names of columns and rows that are neither a sample's nor a taxon's.
    comments : list of str
        The lines above the header, without the '#'.
    """

    values: NDArray[np.float32]
    rows: Axis
    columns: Axis
    clades: list[str] | None
    report: LayoutName
    layout: Layout
    skipped: list[str]
    set_aside: list[str]
    comments: list[str]


class _LabelledRow(NamedTuple):
    """A row of a table: its line, its label, the cells of its numbers, and its clade string where columns state it."""

    line: int
    label: str
    cells: Sequence[str]
    clade: str


def read_number_table(path: Path, is_wanted: Callable[[str], bool] = lambda label: True) -> NumberTable:
    """Read a TSV or CSV table of numbers, gzip-compressed or not, in any of the layouts of taxa tables.

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
        head = read_head(table)
        check_holds_abundances(path, head)
        return _read_values(path, table.layout, find_layout(path, head), head.rows(), is_wanted)


def _read_values(
    path: Path, text_layout: Layout, layout: TaxaLayout, rows: Iterator[Row], is_wanted: Callable[[str], bool]
) -> NumberTable:
    columns = Axis(layout.column_names, path)
    columns.check_unique(columns.labels, "column")
    if len(columns.labels) > MAX_LABELS:
        raise _too_many(path, "columns", f"{len(columns.labels):,}")
    labels, line_numbers, clades = [], [], []
    # One buffer that grows, since stacking rows would hold every number twice.
    numbers = bytearray()
    skipped: list[str] = []
    set_aside = list(layout.set_aside)
    for row in _labelled_rows(path, layout, rows):
        if layout.is_set_aside(row.label):
            set_aside.append(row.label)
        elif not is_wanted(row.label):
            skipped.append(row.label)
        else:
            numbers += _numbers(row.cells, columns, row.line).tobytes()
            labels.append(row.label)
            if len(labels) > MAX_LABELS:
                raise _too_many(path, "rows", "more", row.line)
            line_numbers.append(row.line)
            clades.append(row.clade)
    return NumberTable(
        np.frombuffer(numbers, np.float32).reshape(len(labels), len(columns.labels)),
        Axis(labels, path, line_numbers),
        columns,
        clades if layout.has_taxonomy else None,
        layout.name,
        text_layout,
        skipped,
        set_aside,
        layout.comments,
    )


def _too_many(path: Path, noun: str, number: str, line: int | None = None) -> FileError:
    return FileError(
        f"expected at most {MAX_LABELS:,} {noun} of numbers, got {number}. Sum features to species or genera, as "
        "'qiime taxa collapse' does, or give a BIOM table",
        file=path,
        row=line,
    )


def _labelled_rows(path: Path, layout: TaxaLayout, rows: Iterator[Row]) -> Iterator[_LabelledRow]:
    report = KrakenReport() if layout.name == "kraken" else None
    for row in rows:
        label = layout.label_of(row)
        if report is not None:
            label = report.clade_string(row.cells[layout.rank_column], row.cells[-1])
        if not label:
            raise FileError("the row has no label in the first column; name it", file=path, row=row.line)
        yield _LabelledRow(row.line, label, layout.numbers_of(row.cells), layout.clade_of(row.cells))


def _numbers(cells: Sequence[str], columns: Axis, line: int) -> NDArray[np.float32]:
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
        advice = (
            "Give the amounts before a log or a log-ratio (CLR) was taken"
            if parse_number(cell) < 0
            else "Correct it; an absent taxon is 0"
        )
        raise FileError(
            f"expected a finite number of at least zero, got {cell!r}{number_advice(cell)}. {advice}",
            file=columns.path,
            column=columns.labels[position],
            row=line,
        )
    return numbers
