"""Published sheets, read as text, with the place of each value kept for error messages."""

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
class Sheet:
    """A TSV or CSV file as text.

    Attributes
    ----------
    file : Path
        Where it was read from.
    frame : pandas.DataFrame
        Its cells as str, stripped; the index is each row's line in the file, counted from 1 with the header.
    """

    file: Path
    frame: pd.DataFrame

    def column(self, name: str) -> pd.Series[str]:
        """Return a column, or say which columns there are."""
        if name not in self.frame:
            known = ", ".join(map(str, self.frame.columns))
            raise FileError(f"there is no column {name!r}; the columns are {known}", file=self.file)
        return self.frame[name]

    def error(self, problem: str, column: str, position: int) -> FileError:
        """Return the error for the value at a row's position."""
        return FileError(problem, file=self.file, column=column, row=int(self.frame.index[position]))

    def numbers(self, name: str, missing: Sequence[str], words: str = "") -> pd.Series[float]:
        """Return a column of numbers; NaN where the value is one of `missing`, an error where it is no number.

        `words` is where the manifest could explain words instead.
        """
        text = self.column(name)
        absent = text.isin(missing)
        values = finite_numbers(text.mask(absent))
        wrong = values.isna() & ~absent
        if wrong.any():
            at = int(wrong.to_numpy().argmax())
            expected = f"a number or one of {list(missing)}" if missing else "a number"
            hint = f"; words are explained under the manifest's {words!r}" if words else ""
            raise self.error(f"expected {expected}, got {text.iloc[at]!r}{hint}", name, at)
        return values

    def meanings(self, name: str, meaning: Mapping[str, T], where: str) -> list[T]:
        """Return what each value of a column means; a value without a meaning is an error that says where to add it."""
        text = self.column(name)
        for at, value in enumerate(text):
            if value not in meaning:
                raise self.error(
                    f"no rule explains {value!r}; the manifest's '{where}' explains {list(meaning)}. Add it there",
                    name,
                    at,
                )
        return [meaning[value] for value in text]

    def one_per(self, key: str, columns: Sequence[str]) -> Sheet:
        """Return the first row of each key, after checking that the columns named agree within a key."""
        owner = self.column(key)
        for column in columns:
            known = self.column(column).groupby(owner).transform("first")
            differs = known != self.frame[column]
            if differs.any():
                at = int(differs.to_numpy().argmax())
                raise self.error(
                    f"{key} {owner.iloc[at]!r} has {self.frame[column].iloc[at]!r} here and "
                    f"{known.iloc[at]!r} above; one patient has one value",
                    column,
                    at,
                )
        return Sheet(self.file, self.frame.drop_duplicates(key))

    def where(self, keep: pd.Series[bool]) -> Sheet:
        """Return the rows for which `keep` is true."""
        return Sheet(self.file, self.frame[keep])


def read_sheet(path: Path, *, may_be_empty: bool = False) -> Sheet:
    """Read a TSV or CSV file as text; the delimiter is the tab, else the semicolon, else the comma of its header.

    Parameters
    ----------
    path : Path
    may_be_empty : bool
        Whether a header without rows says something: that nothing happened.

    Raises
    ------
    FileError
        If the file is no such table, a row is not as long as the header, or a column's name stands twice.
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
    return Sheet(path, pd.DataFrame(rows[1:], index=lines[1:], columns=header, dtype="str"))


def finite_numbers(text: pd.Series[str]) -> pd.Series[float]:
    """Return the numbers that texts write, NaN where one writes none."""
    # Publishers typeset minus signs; a table meant for machines has a hyphen.
    values = pd.to_numeric(text.str.replace("\N{MINUS SIGN}", "-"), errors="coerce").astype(float)
    return values.where(np.isfinite(values))
