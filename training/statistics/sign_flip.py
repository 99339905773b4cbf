"""The exact sign-flip permutation test of paired changes, and the interval that inverts it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Matrix, Vector
from training.statistics.permutations import permutation_p_value, sign_assignments

LEVEL = 0.95
"""Nominal confidence of intervals."""


@dataclass(frozen=True)
class MeanChange:
    """A mean change with its interval and tests.

    Attributes
    ----------
    n : int
        Patients.
    estimate, low, high : float
        On the scale of the changes; the interval is NaN where `n` is too small for one.
    confidence : float
        Confidence that the interval attains: with n = 5 no exact interval attains more than 0.9375.
    p : float
        Two-sided.
    p_greater : float
        One-sided, for a change above 0.
    """

    n: int
    estimate: float
    low: float
    high: float
    confidence: float
    p: float
    p_greater: float

    @property
    def has_interval(self) -> bool:
        """Whether the limits are an interval of `LEVEL`; else they are the lowest and the highest change."""
        return attains_level(self.confidence)


def attains_level(confidence: float) -> bool:
    """Return whether an interval of this confidence is one of `LEVEL`."""
    return confidence > LEVEL - 1e-9


def sign_flip_test(change: Vector, *, level: float = LEVEL, seed: int = 0) -> MeanChange:
    r"""Return the mean of paired changes, its exact sign-flip permutation test and the interval that inverts the test.

    Under the null hypothesis the changes are symmetric about 0, and every assignment of signs to them is equally
    likely. A change of 0 is its own negative.

    Parameters
    ----------
    change : ndarray, (n_patients,)
    level : float
        Nominal confidence; where few patients allow less, the widest interval is returned.
    seed : int
        Of the random sign assignments, where they are too many to enumerate.

    Notes
    -----
    The limits are means of subsets of the changes. The :math:`2^n - 1` subset means divide the line into :math:`2^n`
    intervals, each of which contains the centre of symmetry with equal probability; the interval consists of the
    centres that the test does not reject.

    References
    ----------
    Fisher 1935, The Design of Experiments, section 21; Hartigan 1969, Journal of the American Statistical Association
    64:1303-1317, for the subset means.
    """
    n = len(change)
    subsets = sign_assignments(n, seed=seed) < 0
    subsets = subsets[subsets.any(axis=1)]
    # Flipping the signs of a subset lowers the total by twice the subset's sum.
    sums = subsets @ change
    # Sums that differ by rounding alone are ties.
    tolerance, assignments = 1e-12 * np.abs(change).sum(), len(sums) + 1
    p_greater, p_less = (float((1 + (side * sums <= tolerance).sum()) / assignments) for side in (1, -1))
    means = np.sort(sums / subsets.sum(axis=1))
    tail = max(1, int((1 - level) / 2 * assignments + 1e-9))
    confidence = max(0.0, 1 - 2 * tail / assignments)
    low, high = (float(means[tail - 1]), float(means[-tail])) if confidence else (np.nan, np.nan)
    return MeanChange(n, float(change.mean()), low, high, confidence, min(1.0, 2 * min(p_greater, p_less)), p_greater)


def rise_then_fall_p(rise: Vector, fall: Vector, net: Vector) -> float:
    """Return p of the pattern that levels rise early, fall later, and end above baseline.

    This is an intersection-union test: each of the three one-sided sign-flip tests must reject, so the largest of
    their p-values is that of the pattern, without correction for multiplicity.

    Parameters
    ----------
    rise, fall, net : ndarray, (n_patients,)
        Changes of log levels from baseline to the early window, from the early to the late window, and from baseline
        to the late window, of patients measured in all three.

    References
    ----------
    Berger 1982, Technometrics 24:295-300.
    """
    return max(sign_flip_test(change).p_greater for change in (rise, -fall, net))


def sign_flip_p_values(differences: Matrix, *, seed: int = 0) -> Vector:
    r"""Return two-sided p-values of the exact sign-flip permutation test, (n_columns,).

    The smallest possible p of `n` pairs is :math:`2^{1 - n}`, 0.0625 with five.

    Parameters
    ----------
    differences : ndarray, (n_pairs, n_columns)
    seed : int
        Of the random sign assignments, where they are too many to enumerate.
    """
    return permutation_p_value(np.abs(sign_assignments(len(differences), seed=seed) @ differences))
