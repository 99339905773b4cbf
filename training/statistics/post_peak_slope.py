"""What follows a peak, which was chosen because it is one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.statistics.arrays import Matrix, Vector


def post_peak_slope(time: Vector, level: Vector) -> tuple[int, float]:
    """Return where the highest level stands, and the slope of least squares from there on; 0 where it stands last.

    Parameters
    ----------
    time, level : ndarray, (n_draws,)
        One patient's draws, at rising times.
    """
    peak = int(level.argmax())
    return peak, float(_falls(time, level[None])[0][0])


def post_peak_slope_test(draws: Sequence[tuple[Vector, Vector]], *, n: int = 999, seed: int = 0) -> tuple[float, float]:
    """Return the mean slope after each patient's peak in shuffled draws, and p of a fall as marked as observed.

    Whatever peaks falls afterwards. The null is therefore within patients: each one's levels change places in time, and
    the peak is sought anew. A fall is measured by the cross-products of times and levels from the peak on, the slope
    weighted by the stretch that it spans: a long descent counts for more than a last draw below its neighbour.

    Parameters
    ----------
    draws : sequence of (times, levels)
        For each patient, two arrays of (n_draws,), at rising times.
    n, seed : int
        How many shuffles, and their seed.

    Returns
    -------
    null_mean, p : float
        p is one-sided, for a fall more marked than chance makes it (Phipson and Smyth 2010, Statistical Applications in
        Genetics and Molecular Biology 9:39).
    """
    rng, total, seen, shuffled = np.random.default_rng(seed), np.zeros(n), 0.0, 0.0
    for time, level in draws:
        seen += float(_falls(time, level[None])[1][0])
        slopes, falls = _falls(time, rng.permuted(np.tile(level, (n, 1)), axis=1))
        shuffled += float(slopes.mean()) / len(draws)
        total += falls
    slack = 1e-12 * (1 + abs(seen))
    return shuffled, float((1 + (total <= seen + slack).sum()) / (1 + n))


def _falls(time: Vector, levels: Matrix) -> tuple[Vector, Vector]:
    """Return each row's slope of least squares from its highest level on, and its cross-products, (n_rows,)."""
    m = len(time)
    centred = np.zeros((m, m))
    for start in range(m):
        centred[start, start:] = time[start:] - time[start:].mean()
    peak, square = levels.argmax(axis=1), (centred**2).sum(axis=1)
    products = (levels * centred[peak]).sum(axis=1)
    return products / np.where(square > 0, square, 1.0)[peak], products
