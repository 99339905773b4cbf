"""The slope of a marker after its peak, tested against the fall that follows the maximum of any series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.arrays import Matrix, Vector


def post_peak_slope(time: Vector, level: Vector) -> tuple[int, float]:
    """Return the position of one patient's highest level, and the least-squares slope from there on.

    Parameters
    ----------
    time, level : ndarray, (n_measurements,)
        In ascending order of time.

    Returns
    -------
    peak : int
    slope : float
        0 where the peak is the last measurement.
    """
    peak = int(level.argmax())
    return peak, float(_slopes_and_cross_products(time, level[None])[0][0])


def post_peak_slope_test(
    series: Sequence[tuple[Vector, Vector]], *, n: int = 999, seed: int = 0
) -> tuple[float, float]:
    """Test for a fall after the peak, by permutation of each patient's levels in time.

    A maximum is followed by lower levels by construction, in pure noise too. Under the null hypothesis a patient's
    levels are therefore exchangeable in time, and each permutation has a peak of its own. The statistic is the sum of
    the cross-products of times and levels from the peak on, which weights each slope by the spread of its times: a
    long descent counts for more than one last measurement below its neighbour.

    Parameters
    ----------
    series : sequence of (time, level)
        For each patient, two arrays of (n_measurements,), in ascending order of time.
    n : int
        Number of permutations.
    seed : int

    Returns
    -------
    null_mean : float
        Mean slope after the peak over patients and permutations.
    p : float
        One-sided, for a steeper fall than under the null hypothesis.

    References
    ----------
    Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39, for p.
    """
    rng, null, observed, null_mean = np.random.default_rng(seed), np.zeros(n), 0.0, 0.0
    for time, level in series:
        observed += float(_slopes_and_cross_products(time, level[None])[1][0])
        slopes, products = _slopes_and_cross_products(time, rng.permuted(np.tile(level, (n, 1)), axis=1))
        null_mean += float(slopes.mean()) / len(series)
        null += products
    tolerance = 1e-12 * (1 + abs(observed))
    return null_mean, float((1 + (null <= observed + tolerance).sum()) / (1 + n))


def _slopes_and_cross_products(time: Vector, levels: Matrix) -> tuple[Vector, Vector]:
    """Return each row's least-squares slope from its highest level on, and its cross-product, both (n_rows,)."""
    n = len(time)
    centred = np.zeros((n, n))
    for start in range(n):
        centred[start, start:] = time[start:] - time[start:].mean()
    peak, square = levels.argmax(axis=1), (centred**2).sum(axis=1)
    products = (levels * centred[peak]).sum(axis=1)
    return products / np.where(square > 0, square, 1.0)[peak], products
