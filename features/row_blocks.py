"""Blocks of rows, so that a step over a large table takes little memory beside it, and works within the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from features.arrays import Matrix

ROWS_OF_BLOCK = 256


def row_blocks(n_rows: int) -> Iterator[slice[int, int, None]]:
    """Yield the rows of a table, a block at a time."""
    for start in range(0, n_rows, ROWS_OF_BLOCK):
        yield slice(start, start + ROWS_OF_BLOCK)


def by_row_blocks(function: Callable[[slice[int, int, None]], Matrix], n_rows: int) -> Matrix:
    """Return what a function returns for all rows, computed a block at a time.

    Parameters
    ----------
    function : callable
        Takes rows, and returns a row for each; a row depends on no other.
    n_rows : int

    Returns
    -------
    ndarray, (n_rows, n_columns)
    """
    if n_rows <= ROWS_OF_BLOCK:
        return function(slice(0, n_rows))
    rows = row_blocks(n_rows)
    block = function(next(rows))
    matrix = np.empty((n_rows, *block.shape[1:]), block.dtype)
    matrix[: len(block)] = block
    for block_rows in rows:
        matrix[block_rows] = function(block_rows)
    return matrix
