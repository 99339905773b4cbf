"""The exact sign-flip permutation test of paired changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.statistics.arrays import Matrix, Vector
from training.statistics.permutations import permutation_p_value, sign_assignments


@dataclass(frozen=True)
class MeanChange:
    """A mean change with its interval and tests.

    Attributes
    ----------
    n : int
        Patients.
    estimate, low, high : float
        On the scale of the changes; NaN where `n` is too small for an interval.
    confidence : float
        What the interval attains: at n = 5 no exact one attains more than 0.9375.
    p, p_greater, p_less : float
        Two-sided, and one-sided for a change above and below 0.
    """

    n: int
    estimate: float
    low: float
    high: float
    confidence: float
    p: float
    p_greater: float
    p_less: float


def sign_flip_test(change: Vector, *, level: float = 0.95, seed: int = 0) -> MeanChange:
    """Return the mean of paired changes, with the sign-flip permutation test and the interval that belongs to it.

    Under the null of changes symmetric about 0, every assignment of signs is as likely. A tie, a change of 0, keeps its
    value whichever sign it gets. The interval's ends are means of subsets of the changes, which part the line into 2ⁿ
    pieces that are equally likely to hold the centre; it holds exactly the centres that the test does not reject.

    Parameters
    ----------
    change : ndarray, (n_patients,)
    level : float
        The confidence asked for; the widest interval is returned where that is beyond reach.
    seed : int
        Of the signs that are drawn where not all are gone through; `training.statistics.permutations.sign_assignments`.

    References
    ----------
    Fisher 1935, The Design of Experiments, section 21; Hartigan 1969, Journal of the American Statistical Association
    64:1303-1317, for the subset means.
    """
    n = len(change)
    subsets = sign_assignments(n, seed=seed) < 0
    subsets = subsets[subsets.any(axis=1)]
    # To turn a subset's signs takes twice its sum off the whole.
    sums = subsets @ change
    # Sums that differ by rounding alone are ties.
    slack, ways = 1e-12 * np.abs(change).sum(), len(sums) + 1
    greater, less = (float((1 + (side * sums <= slack).sum()) / ways) for side in (1, -1))
    means = np.sort(sums / subsets.sum(axis=1))
    out = max(1, int((1 - level) / 2 * ways + 1e-9))
    confidence = max(0.0, 1 - 2 * out / ways)
    low, high = (float(means[out - 1]), float(means[-out])) if confidence else (np.nan, np.nan)
    return MeanChange(n, float(change.mean()), low, high, confidence, min(1.0, 2 * min(greater, less)), greater, less)


def rise_then_fall_p(rise: Vector, fall: Vector, above: Vector, *, seed: int = 0) -> float:
    """Return p of the pattern that levels rise early, then fall, and end above baseline.

    An intersection-union test: each of the three one-sided sign-flip tests must reject, so that the largest p is that
    of the whole, without correction (Berger 1982, Technometrics 24:295-300).

    Parameters
    ----------
    rise, fall, above : ndarray, (n_patients,)
        Changes of log levels from baseline to the early window, to the late one, and from baseline to the late one, of
        patients drawn in all three.
    """
    return max(sign_flip_test(part, seed=seed).p_greater for part in (rise, -fall, above))


def sign_flip_p_values(differences: Matrix, *, seed: int = 0) -> Vector:
    """Return two-sided p-values of paired differences whose signs are exchangeable, (n_columns,).

    Parameters
    ----------
    differences : ndarray, (n_pairs, n_columns)

    Notes
    -----
    Exact: of `n` pairs none is below 2 ** (1 - n), 0.0625 at five.
    """
    return permutation_p_value(np.abs(sign_assignments(len(differences), seed=seed) @ differences))
