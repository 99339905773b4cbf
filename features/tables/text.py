"""Text tables: TSV and CSV files read as text, with the line of every row kept for error messages."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from features.errors import FileError

T = TypeVar("T")


@dataclass(frozen=True)
class TextTable:
    """A text table: every cell as text, under the column names of its header.

    Attributes
    ----------
    path : Path
        The file that was read.
    frame : pandas.DataFrame of str
        The cells without surrounding blanks, (n_rows, n_columns). The index is the line number of each row in the
        file, counted from 1 with the header.
    """

    path: Path
    frame: pd.DataFrame

    @property
    def header(self) -> list[str]:
        """The column names, in the order of the file."""
        return list(map(str, self.frame.columns))

    def column(self, name: str) -> pd.Series[str]:
        """Return one column.

        Raises
        ------
        FileError
            If there is no such column; the message lists the columns that there are.
        """
        if name not in self.frame:
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
        return FileError(problem, file=self.path, column=column, row=int(self.frame.index[position]))

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
            hint = f"; words are explained under the manifest's {values_key!r}" if values_key else ""
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
        return TextTable(self.path, self.frame.drop_duplicates(key))

    def select(self, mask: pd.Series[bool]) -> TextTable:
        """Return the rows at which a mask, (n_rows,), is true."""
        return TextTable(self.path, self.frame[mask])


def read_text_table(path: Path, *, may_be_empty: bool = False) -> TextTable:
    """Read a TSV or CSV file; the delimiter is the tab, else the semicolon, else the comma of its header.

    Parameters
    ----------
    path : Path
        The file, in UTF-8.
    may_be_empty : bool
        Whether a header without rows is a valid table, as of adverse events when none occurred.

    Raises
    ------
    FileError
        If the file is no such table, a row is not as long as the header, or two columns have one name.
    """
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
        header_line = text.lstrip().partition("\n")[0]
        delimiter = next((mark for mark in "\t;," if mark in header_line), ",")
        reader, line = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True), 1
        for cells in reader:
            # A line of nothing but delimiters is what a spreadsheet leaves below its table.
            if any(map(str.strip, cells)):
                rows.append([cell.strip() for cell in cells])
                lines.append(line)
            line = reader.line_num + 1
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror}", file=path) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"this is not a table of text in UTF-8: {error}", file=path) from error
    if len(rows) < (1 if may_be_empty else 2):
        raise FileError(f"expected a header and rows, got {len(rows)} lines with text", file=path)
    header = rows[0]
    name, times = Counter(filter(None, header)).most_common(1)[0]
    if times > 1:
        raise FileError(f"{times} columns have this name; expected each once", file=path, column=name, row=lines[0])
    for line, cells in zip(lines, rows, strict=True):
        if len(cells) != len(header):
            raise FileError(f"expected {len(header)} cells, as in the header, got {len(cells)}", file=path, row=line)
    return TextTable(path, pd.DataFrame(rows[1:], index=lines[1:], columns=header, dtype="str"))


def finite_numbers(text: pd.Series[str]) -> pd.Series[float]:
    """Return the finite number that each text writes, NaN where it writes none."""
    # Publishers typeset minus signs; a table meant for machines has a hyphen.
    values = pd.to_numeric(text.str.replace("\N{MINUS SIGN}", "-"), errors="coerce").astype(float)
    return values.where(np.isfinite(values))
