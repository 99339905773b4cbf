"""Permutations that respect a trial's design, enumerated where they are few and random elsewhere.

The first permutation is always the identity, so that a p-value is a share of the permutations and never 0 (Phipson and
Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39).
"""

from __future__ import annotations

import math
from itertools import combinations, permutations, product

import numpy as np

from features.arrays import Mask, Matrix, Names, Positions, Vector

PERMUTATIONS = 9999
"""Permutations are enumerated up to this number; above it, this many random ones follow the identity."""


def row_orders(n: int, *, seed: int = 0) -> Positions:
    """Return orders of `n` rows, (n_orders, n): all of them up to seven rows, else random ones after the identity."""
    if math.factorial(n) <= PERMUTATIONS:
        return np.array(list(permutations(range(n))), dtype=np.intp).reshape(-1, n)
    rng = np.random.default_rng(seed)
    orders = np.tile(np.arange(n), (PERMUTATIONS + 1, 1))
    rng.permuted(orders[1:], axis=1, out=orders[1:])
    return orders


def row_orders_within_strata(strata: Names, *, seed: int = 0) -> Positions:
    """Return orders of rows that permute within strata, (n_orders, n_rows): all of them where they are few.

    Parameters
    ----------
    strata : ndarray of str, (n_rows,)
    seed : int
    """
    stratum_rows = [np.flatnonzero(strata == name) for name in dict.fromkeys(strata.tolist())]
    rng, total = np.random.default_rng(seed), math.prod(math.factorial(len(rows)) for rows in stratum_rows)
    orders = np.tile(np.arange(len(strata)), (min(total, PERMUTATIONS + 1), 1))
    if total <= PERMUTATIONS:
        for i, combination in enumerate(product(*(permutations(rows) for rows in stratum_rows))):
            for rows, order in zip(stratum_rows, combination, strict=True):
                orders[i, rows] = order
        return orders
    for rows in stratum_rows:
        orders[1:, rows] = rng.permuted(orders[1:, rows], axis=1)
    return orders


def sign_assignments(n: int, *, seed: int = 0) -> Matrix:
    """Return assignments of signs to `n` differences, (n_assignments, n): all of them up to 13, else random ones."""
    if 2**n <= PERMUTATIONS:
        return np.array(list(product((1.0, -1.0), repeat=n))).reshape(-1, n)
    signs = np.random.default_rng(seed).choice((1.0, -1.0), (PERMUTATIONS + 1, n))
    signs[0] = 1
    return signs


def group_assignments(group: Mask, *, seed: int = 0) -> Mask:
    """Return the assignments of rows to a group that keep its size, (n_assignments, n_rows), that of `group` first."""
    n, size = len(group), int(group.sum())
    if math.comb(n, size) > PERMUTATIONS:
        return group[row_orders(n, seed=seed)]
    members = np.array(list(combinations(range(n), size)), dtype=np.intp).reshape(-1, size)
    assignments = np.zeros((len(members), n), dtype=bool)
    np.put_along_axis(assignments, members, True, axis=1)
    is_given = (assignments == group).all(axis=1)
    return np.concatenate([assignments[is_given], assignments[~is_given]])


def permutation_p_value(statistics: Matrix) -> Vector:
    """Return the share of the permutations whose statistic is at least the observed one, which stands first.

    Parameters
    ----------
    statistics : ndarray, (n_permutations,) or (n_permutations, n_columns)

    Returns
    -------
    ndarray, () or (n_columns,)
    """
    # Sums of the same numbers in another order differ in their last digits.
    at_least = statistics >= statistics[0] - 1e-9 * np.abs(statistics).max(axis=0)
    return np.asarray(at_least.mean(axis=0))


def least_permutation_p(statistics: Vector) -> float:
    """Return the smallest p that permutations can give: the share of them that reach the largest statistic.

    Parameters
    ----------
    statistics : ndarray, (n_permutations,)
    """
    return float((statistics >= statistics.max() * (1 - 1e-9)).mean())
