"""Published sheets, read as text, with the place of each value kept for error messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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
        Its cells as str, stripped; the row with index i stands on line i + 2 of the file.
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
        return FileError(problem, file=self.file, column=column, row=int(self.frame.index[position]) + 2)

    def numbers(self, name: str, missing: tuple[str, ...]) -> pd.Series[float]:
        """Return a column of numbers; NaN where the value is one of `missing`, an error where it is no number."""
        # Publishers typeset minus signs; a table meant for machines has a hyphen.
        text = self.column(name).str.replace("\N{MINUS SIGN}", "-")
        absent = text.isin(missing)
        values = pd.to_numeric(text.mask(absent), errors="coerce").astype(float)
        wrong = values.isna() & ~absent
        if wrong.any():
            at = int(wrong.to_numpy().argmax())
            raise self.error(f"expected a number or one of {list(missing)}, got {text.iloc[at]!r}", name, at)
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

    def one_per(self, key: str, columns: list[str]) -> Sheet:
        """Return the first row of each key, after checking that the columns named agree within a key."""
        self.column(key)
        for column in columns:
            known = self.column(column).groupby(self.frame[key]).transform("first")
            differs = known != self.frame[column]
            if differs.any():
                at = int(differs.to_numpy().argmax())
                raise self.error(
                    f"{key} {self.frame[key].iloc[at]!r} has {self.frame[column].iloc[at]!r} here and "
                    f"{known.iloc[at]!r} above; one patient has one value",
                    column,
                    at,
                )
        return Sheet(self.file, self.frame.drop_duplicates(key))

    def where(self, keep: Callable[[pd.DataFrame], pd.Series[bool]]) -> Sheet:
        """Return the rows for which `keep` says true."""
        return Sheet(self.file, self.frame[keep(self.frame)])


def read_sheet(path: Path) -> Sheet:
    """Read a TSV or CSV file as text; the delimiter is the header's tab, semicolon or comma, whichever it has first."""
    try:
        with path.open(encoding="utf-8-sig") as handle:
            header = handle.readline()
        delimiter = next((mark for mark in "\t;," if mark in header), ",")
        frame = pd.read_csv(path, sep=delimiter, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FileError(f"this is not a table of text in UTF-8: {error}", file=path) from error
    return Sheet(path, frame.apply(lambda column: column.str.strip()))
