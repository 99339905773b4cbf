"""Exact search of many rows for those whose products with a vector are highest, which reads few of their numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import saxpy

from features.arrays import Matrix, Positions, Vector
from features.row_blocks import row_blocks

MOST_ADDED = 10_000
"""Rows to which a column is added at once; for more, BLAS would wake other threads."""


class ProductSearch:
    r"""Search of rows :math:`y` for those with the highest :math:`x \cdot y + c`, where :math:`c` is a row's offset.

    With the offset :math:`-|y|^2 / 2` these are the rows nearest to :math:`x`. Most taxa are absent from a profile, and
    their coordinates are all equal: with :math:`m` the lowest coordinate of :math:`x`,
    :math:`x \cdot y = (x - m) \cdot y + m \sum y`, so that only the columns of the other coordinates are read. Products
    are of single precision; rows that could be among the highest but for its rounding errors are kept: none is missed.

    Parameters
    ----------
    rows : ndarray, (n_rows, n_columns)
    offsets : ndarray, (n_rows,)
        Each at most half the square of the row's length, positive or negative.
    groups : ndarray of int, (n_rows,)
        Group of each row.

    Attributes
    ----------
    columns : ndarray of float32, (n_columns, n_rows)
        The rows, transposed, in the order of their groups.
    """

    def __init__(self, rows: Matrix | NDArray[np.float32], offsets: Vector, groups: Positions) -> None:
        # All else is in the order of the groups.
        self._order = np.argsort(groups, kind="stable")
        self._ends = np.append(np.unique(groups[self._order], return_index=True)[1], len(rows))
        self._offsets = offsets[self._order]
        self.columns = np.empty(rows.shape[::-1], np.float32)
        self._sums, self._longest = np.empty(len(rows)), 0.0
        for part in row_blocks(len(rows)):
            block = rows[self._order[part]].astype(np.float64)
            self.columns[:, part] = block.T
            self._sums[part] = block.sum(axis=1)
            self._longest = max(self._longest, float(np.linalg.norm(block, axis=1).max()))

    def candidates(self, vector: Vector, n_each: int, n_highest: int) -> Positions:
        """Return the positions of few rows, in order; the highest of each group and of all are among them.

        Parameters
        ----------
        vector : ndarray, (n_columns,)
        n_each, n_highest : int
            How many of each group, and of all.
        """
        values, error = self._products(vector)
        groups = [values[start:end] for start, end in pairwise(self._ends.tolist())]
        # The highest of all are among the highest of the groups, so that all rows are gone through once.
        tops = [_highest(group, max(n_each, n_highest)) for group in groups]
        highest = _nth_highest(np.concatenate(tops), n_highest)
        positions = []
        for start, group, top in zip(self._ends.tolist(), groups, tops, strict=False):
            lowest = min(highest, _nth_highest(top, n_each)) - 2 * error
            # A product that is NaN is not below.
            positions.append(start + np.flatnonzero(~(group < lowest)))
        return np.sort(self._order[np.concatenate(positions)])

    def _products(self, vector: Vector) -> tuple[NDArray[np.float32], float]:
        """Return products plus offsets in single precision, and the largest error that they may have."""
        lowest = float(vector.min())
        positions = np.flatnonzero(vector != lowest)
        weights = (vector[positions] - lowest).astype(np.float32)
        products = (lowest * self._sums + self._offsets).astype(np.float32)
        terms = list(zip(map(self.columns.__getitem__, positions.tolist()), weights.tolist(), strict=True))
        for start in range(0, len(products), MOST_ADDED):
            n_added = min(MOST_ADDED, len(products) - start)
            for column, weight in terms:
                # In place. With names for its arguments a search takes a tenth longer.
                saxpy(column, products, n_added, weight, start, 1, start)
        length = float(np.linalg.norm(weights)) + abs(lowest) * len(vector) ** 0.5
        # Twice the unit roundoff, for each term and for the conversions.
        return products, 2.0**-23 * (len(positions) + 8) * self._longest * (length + self._longest)


def _highest(values: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Return the n highest values, or all where there are fewer, in no order."""
    position = max(0, len(values) - n)
    return np.partition(values, position)[position:] if position else values


def _nth_highest(values: NDArray[np.float32], n: int) -> float:
    """Return the nth highest value, or minus infinity where there are fewer."""
    position = len(values) - n
    return float(np.partition(values, position)[position]) if position >= 0 else -np.inf
