"""Text tables: TSV and CSV files read as text, with the line of every row kept for error messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import pandas as pd

from features.errors import FileError
from features.gene_dates import gene_date_problem
from features.tables.decimals import number_advice, parse_number
from features.tables.layout import Layout, open_table

T = TypeVar("T")


@dataclass(frozen=True)
class TextTable:
    """A text table: every cell as text, under the column names of its header.

    Attributes
    ----------
    path : Path
        The file that was read.
    header : tuple of str
        The column names, (n_columns,).
    rows : tuple of tuple of str
        The cells without surrounding blanks, (n_rows, n_columns).
    line_numbers : tuple of int
        The line of the file in which each row begins, counted from 1 with the header, (n_rows,).
    layout : Layout
        How the file writes the table: its encoding, delimiter and decimal mark.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    line_numbers: tuple[int, ...]
    layout: Layout

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The cells as a data frame of str, (n_rows, n_columns), indexed by line number."""
        return pd.DataFrame(list(self.rows), index=list(self.line_numbers), columns=list(self.header), dtype="str")

    def column(self, name: str) -> pd.Series[str]:
        """Return one column.

        Raises
        ------
        FileError
            If there is no such column; the message lists the columns that there are.
        """
        if name not in self.header:
            raise FileError(f"there is no column {name!r}; the columns are {', '.join(self.header)}", file=self.path)
        return self.frame[name]

    def error(self, problem: str, column: str, position: int) -> FileError:
        """Return the error for one cell.

        Parameters
        ----------
        problem : str
            What the cell holds, what was expected and what to do.
        column : str
            The cell's column.
        position : int
            The position of the cell's row in `frame`, counted from 0.
        """
        return FileError(problem, file=self.path, column=column, row=self.line_numbers[position])

    def numbers(self, name: str, missing: Sequence[str], values_key: str = "") -> pd.Series[float]:
        """Return one column as numbers, NaN where the cell is one of `missing`.

        Parameters
        ----------
        name : str
            The column.
        missing : sequence of str
            The cells that mean "not reported".
        values_key : str
            The manifest key under which words of this column could be explained, for the error message.

        Raises
        ------
        FileError
            If another cell is no finite number.
        """
        text = self.column(name)
        is_missing = text.isin(missing)
        values = finite_numbers(text.mask(is_missing))
        is_invalid = values.isna() & ~is_missing
        if is_invalid.any():
            position = int(is_invalid.to_numpy().argmax())
            expectation = f"a number or one of {list(missing)}" if missing else "a number"
            hint = number_advice(text.iloc[position]) or (
                f"; words are explained under the manifest's {values_key!r}" if values_key else ""
            )
            raise self.error(f"expected {expectation}, got {text.iloc[position]!r}{hint}", name, position)
        return values

    def decode(self, name: str, meanings: Mapping[str, T], values_key: str) -> list[T]:
        """Return the meaning of each cell of one column.

        Parameters
        ----------
        name : str
            The column.
        meanings : mapping of str to T
            The meaning of each value that the column may hold.
        values_key : str
            The manifest key that holds `meanings`, for the error message.

        Raises
        ------
        FileError
            If a cell has no meaning; the message names the manifest key to add it to.
        """
        text = self.column(name)
        for position, value in enumerate(text):
            if value not in meanings:
                raise self.error(
                    f"no rule explains {value!r}; the manifest's {values_key!r} explains {list(meanings)}; add it",
                    name,
                    position,
                )
        return [meanings[value] for value in text]

    def one_row_per(self, key: str, constant_columns: Sequence[str]) -> TextTable:
        """Return the first row of each value of a key column.

        Parameters
        ----------
        key : str
            The key column, such as the patient's.
        constant_columns : sequence of str
            The columns that must agree between all rows of one key.

        Raises
        ------
        FileError
            If one of them does not; the message names the first row that differs.
        """
        keys = self.column(key)
        for column in constant_columns:
            first_values = self.column(column).groupby(keys).transform("first")
            differs = first_values != self.frame[column]
            if differs.any():
                position = int(differs.to_numpy().argmax())
                raise self.error(
                    f"{key} {keys.iloc[position]!r} has {self.frame[column].iloc[position]!r} here and "
                    f"{first_values.iloc[position]!r} above; one patient has one value. Correct one of the rows",
                    column,
                    position,
                )
        return self.select(~keys.duplicated())

    def keep_rows(self, cells_by_column: Mapping[str, Sequence[str]]) -> TextTable:
        """Return the rows that hold, in each of these columns, one of its cells.

        Raises
        ------
        FileError
            If there is no such column, no row has one of the cells, or no row is left.
        """
        if not cells_by_column:
            return self
        mask = pd.Series(True, index=self.frame.index)
        for column, cells in cells_by_column.items():
            values = self.column(column)
            if absent := [cell for cell in cells if not (values == cell).any()]:
                raise FileError(
                    f"keep_rows keeps {absent[0]!r}, which no row holds; the cells are "
                    f"{', '.join(map(repr, list(dict.fromkeys(values))[:8]))}. Correct or remove it",
                    file=self.path,
                    column=column,
                )
            mask &= values.isin(cells)
        if not mask.any():
            raise FileError(f"keep_rows leaves no row: none has {dict(cells_by_column)}; correct it", file=self.path)
        return self.select(mask)

    def select(self, mask: pd.Series[bool]) -> Self:
        """Return the rows at which a mask, (n_rows,), is true."""
        positions = np.flatnonzero(mask)
        return replace(
            self,
            rows=tuple(self.rows[position] for position in positions),
            line_numbers=tuple(self.line_numbers[position] for position in positions),
        )


def read_text_table(path: Path, *, may_be_empty: bool = False) -> TextTable:
    """Read a table of text: TSV, CSV or an Excel workbook, as `features.tables.layout.open_table` opens it.

    Parameters
    ----------
    path : Path
        The file.
    may_be_empty : bool
        Whether a header without rows is a valid table, as of adverse events when none occurred.

    Raises
    ------
    FileError
        If the file is no such table, a row is not as long as the header, or two columns have one name.
    """
    with open_table(path) as table:
        header = tuple(table.header.cells)
        names = Counter(filter(None, header))
        name, count = names.most_common(1)[0] if names else ("", 0)
        if count > 1:
            hint = f": {problem}" if (problem := gene_date_problem([name])) else ""
            raise FileError(
                f"{count} columns have this name; expected each once, so rename one{hint}",
                file=path,
                column=name,
                row=table.header.line,
            )
        rows = [(row.line, tuple(map(str.strip, row.cells))) for row in table.rows]
    if not rows and not may_be_empty:
        raise FileError("expected a header and rows, got a header alone", file=path)
    return TextTable(path, header, tuple(cells for _, cells in rows), tuple(line for line, _ in rows), table.layout)


def finite_numbers(text: pd.Series[str]) -> pd.Series[float]:
    """Return the finite number that each text writes, NaN where it writes none."""
    # Publishers typeset minus signs; a table meant for machines has a hyphen.
    values = text.map(parse_number, na_action="ignore").astype(float)
    return values.where(np.isfinite(values))
