"""Difference of the means of two groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_ind

from features.arrays import Mask, Vector
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.permutations import group_assignments, least_permutation_p, permutation_p_value


@dataclass(frozen=True)
class MeanDifference:
    """The mean of a group minus that of the other.

    Attributes
    ----------
    difference : IntervalEstimate
        With Welch's interval; without one where a group has a single value.
    p, least_p : float
        Two-sided, by permutation of the groups, and the smallest that these can give.
    means : tuple of float
        Of the group, and of the other.
    n : tuple of int
        Values of the group, and of the other.
    """

    difference: IntervalEstimate
    p: float
    least_p: float
    means: tuple[float, float]
    n: tuple[int, int]


def mean_difference(values: Vector, group: Mask) -> MeanDifference:
    """Return the difference of two means, with Welch's 95% interval and a permutation test.

    Parameters
    ----------
    values : ndarray, (n_patients,)
    group : ndarray of bool, (n_patients,)
        Members of the first group; each group has a member.

    References
    ----------
    Welch 1947, Biometrika 34:28-35.
    """
    members, controls = values[group], values[~group]
    value = float(members.mean() - controls.mean())
    low = high = np.nan
    if min(members.size, controls.size) > 1 and values.std() > 0:
        low, high = ttest_ind(members, controls, equal_var=False).confidence_interval(0.95)
    assignments = group_assignments(group)
    totals = assignments @ values
    differences = np.abs(totals / members.size - (values.sum() - totals) / controls.size)
    return MeanDifference(
        IntervalEstimate(value, float(low), float(high)),
        float(permutation_p_value(differences)),
        least_permutation_p(differences),
        (float(members.mean()), float(controls.mean())),
        (members.size, controls.size),
    )
