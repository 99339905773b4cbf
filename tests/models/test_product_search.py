"""The search of many rows against comparing all of them, whatever the rows are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.arrays import Positions, Vector
from models.product_search import MOST_ADDED, ProductSearch


@st.composite
def rows_of_groups(draw: st.DrawFn) -> tuple[NDArray[np.float32], Positions]:
    """Rows that are clustered, spread alike in all directions, equal, or zero, and their groups."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_rows, n_columns = draw(st.integers(1, 400)), draw(st.integers(1, 80))
    centres = rng.normal(0, draw(st.sampled_from([0.0, 1.0, 30.0])), (draw(st.integers(1, 5)), n_columns))
    rows = centres[rng.integers(len(centres), size=n_rows)]
    rows += rng.normal(0, draw(st.sampled_from([0.0, 1e-6, 1.0])), rows.shape)
    rows[rng.random(n_rows) < draw(st.sampled_from([0.0, 0.3]))] = 0
    # Whole numbers are exact in single precision, so that many rows are equally high.
    rows = np.round(rows) if draw(st.booleans()) else rows
    return rows.astype(np.float32), rng.integers(0, draw(st.integers(1, 6)), n_rows)


def highest(products: Vector, n: int) -> set[int]:
    """Return the positions of the n highest, and of all that equal the lowest of these."""
    return set(np.flatnonzero(products >= np.sort(products)[::-1][:n][-1]).tolist())


@settings(max_examples=300, deadline=None)
@given(
    table=rows_of_groups(),
    seed=st.integers(0, 2**32),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    is_distance=st.booleans(),
    n_each=st.integers(1, 6),
    n_highest=st.integers(1, 30),
)
def test_no_row_is_missed(table, seed: int, scale: float, is_distance: bool, n_each: int, n_highest: int) -> None:
    rows, groups = table
    rng = np.random.default_rng(seed)
    vector = rows[rng.integers(len(rows))] + rng.normal(0, scale, rows.shape[1])
    exact = rows.astype(np.float64)
    offsets = -(exact**2).sum(axis=1) / 2 * is_distance
    products = exact @ vector + offsets
    candidates = ProductSearch(rows, offsets, groups).candidates(vector, n_each, n_highest)
    assert (np.diff(candidates) > 0).all()
    best = highest(products, n_highest)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        best |= set(members[list(highest(products[members], n_each))].tolist())
    assert best <= set(candidates.tolist())


@pytest.mark.parametrize("position", [0, MOST_ADDED - 1, MOST_ADDED, 2 * MOST_ADDED - 1, 2 * MOST_ADDED + 2])
def test_rows_beyond_those_added_at_once_are_compared_too(position: int) -> None:
    rows = np.random.default_rng(0).normal(0, 1, (2 * MOST_ADDED + 3, 4)).astype(np.float32)
    vector = np.array([0.0, 1.0, 2.0, -1.0])
    rows[position] = 9 * vector
    search = ProductSearch(rows, np.zeros(len(rows)), np.zeros(len(rows), dtype=np.intp))
    assert search.candidates(vector, 1, 1).tolist() == [position]


def test_few_rows_are_left_of_clusters_and_of_rows_alike_in_all_directions() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (5000, 100))
    for rows in (noise, 20 * rng.normal(0, 1, (8, 100))[rng.integers(0, 8, 5000)] + noise):
        offsets, groups = -(rows**2).sum(axis=1) / 2, rng.integers(0, 4, 5000)
        search = ProductSearch(rows.astype(np.float32), offsets, groups)
        assert len(search.candidates(rows[0] + 0.1, 5, 25)) < 200


def test_a_vector_that_is_not_a_number_leaves_all_rows() -> None:
    rows = np.eye(10, dtype=np.float32)
    search = ProductSearch(rows, np.zeros(10), np.zeros(10, dtype=np.intp))
    assert search.candidates(np.full(10, np.nan), 1, 1).tolist() == list(range(10))
