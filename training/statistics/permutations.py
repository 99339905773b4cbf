"""Permutations that keep what a trial's design fixed, in full where they are few.

The first is always the data as they stand, so that a p-value is the share of permutations that reach as far, and never
0 (Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39).
"""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np

from training.statistics.arrays import Matrix, Names, Positions, Vector

PERMUTATIONS = 9999


def row_orders(n: int, *, seed: int = 0) -> Positions:
    """Return orders of `n` units, (n_orders, n): all of them up to seven units, else random ones after the identity."""
    if math.factorial(n) <= PERMUTATIONS:
        return np.array(list(permutations(range(n))), dtype=np.intp).reshape(-1, n)
    rng = np.random.default_rng(seed)
    drawn = np.tile(np.arange(n), (PERMUTATIONS + 1, 1))
    rng.permuted(drawn[1:], axis=1, out=drawn[1:])
    return drawn


def row_orders_within_blocks(blocks: Names, *, seed: int = 0) -> Positions:
    """Return orders of rows that stay within their block, (n_orders, n_rows); all of them where they are few."""
    rows = [np.flatnonzero(blocks == name) for name in dict.fromkeys(blocks.tolist())]
    rng, total = np.random.default_rng(seed), math.prod(math.factorial(len(mine)) for mine in rows)
    found = np.tile(np.arange(len(blocks)), (min(total, PERMUTATIONS + 1), 1))
    if total <= PERMUTATIONS:
        for at, chosen in enumerate(product(*(permutations(mine) for mine in rows))):
            for mine, order in zip(rows, chosen, strict=True):
                found[at, mine] = order
        return found
    for mine in rows:
        found[1:, mine] = rng.permuted(found[1:, mine], axis=1)
    return found


def sign_assignments(n: int, *, seed: int = 0) -> Matrix:
    """Return signs for `n` differences, (n_signs, n): all of them up to 13 differences, else random ones."""
    if 2**n <= PERMUTATIONS:
        return np.array(list(product((1.0, -1.0), repeat=n))).reshape(-1, n)
    drawn = np.random.default_rng(seed).choice((1.0, -1.0), (PERMUTATIONS + 1, n))
    drawn[0] = 1
    return drawn


def permutation_p_value(statistics: Matrix) -> Vector:
    """Return the share of permutations whose statistic is at least the first one's, by column."""
    # Sums of the same numbers in another order differ in their last digits.
    reached = statistics >= statistics[0] - 1e-9 * np.abs(statistics).max(axis=0)
    return np.asarray(reached.mean(axis=0))
