"""Two sheets joined by a key: each row of the first has the columns of the row that it names in the second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd

from features.errors import FileError
from features.tables.text import TextTable


@dataclass(frozen=True)
class JoinedTable(TextTable):
    """A text table with further columns from another file, which errors of their cells name.

    Attributes
    ----------
    lookup : TextTable
        The table of the further columns.
    lookup_columns : frozenset of str
        The further columns.
    lookup_positions : tuple of int
        The position in `lookup` of the row that each row names, (n_rows,).
    """

    lookup: TextTable
    lookup_columns: frozenset[str]
    lookup_positions: tuple[int, ...]

    def error(self, problem: str, column: str, position: int) -> FileError:
        """Return the error for one cell, in the file that holds it."""
        if column in self.lookup_columns:
            return self.lookup.error(problem, column, self.lookup_positions[position])
        return super().error(problem, column, position)

    def select(self, mask: pd.Series[bool]) -> Self:
        """Return the rows at which a mask, (n_rows,), is true."""
        positions = tuple(self.lookup_positions[position] for position in np.flatnonzero(mask))
        return replace(super().select(mask), lookup_positions=positions)


def join(table: TextTable, column: str, lookup: TextTable, key: str) -> JoinedTable:
    """Return a table with the columns of another that it does not have itself.

    Parameters
    ----------
    table : TextTable
        The table.
    column : str
        Its column that names a row of the other table.
    lookup : TextTable
        The other table.
    key : str
        The column of `lookup` that holds these names, each once.

    Raises
    ------
    FileError
        If two rows of the other table have one name, or a row of the table names none of them.
    """
    keys = lookup.column(key)
    is_repeated = (keys.duplicated() & (keys != "")).to_numpy()
    if is_repeated.any():
        position = int(is_repeated.argmax())
        raise lookup.error(f"{keys.iloc[position]!r} stands in two rows; expected each once", key, position)
    position_of_key = {name: position for position, name in enumerate(keys)}
    names = table.column(column)
    is_absent = ~names.isin(keys[keys != ""]).to_numpy()
    if is_absent.any():
        position = int(is_absent.argmax())
        raise table.error(
            f"{names.iloc[position]!r} is in no row of column {key!r} of {lookup.path.name}; add the row, or correct "
            "the name",
            column,
            position,
        )
    positions = tuple(position_of_key[name] for name in names)
    added = [i for i, name in enumerate(lookup.header) if name != key and name not in table.header]
    rows = tuple(
        (*row, *(lookup.rows[position][i] for i in added)) for row, position in zip(table.rows, positions, strict=True)
    )
    columns = tuple(lookup.header[i] for i in added)
    return JoinedTable(
        table.path,
        (*table.header, *columns),
        rows,
        table.line_numbers,
        table.layout,
        lookup,
        frozenset(columns),
        positions,
    )
