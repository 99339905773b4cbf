"""Difference of two proportions, within strata where there are any."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import fisher_exact

from features.arrays import Labels, Mask
from training.statistics.interval_estimate import IntervalEstimate, Z
from training.statistics.permutations import permutation_p_value, row_orders_within_strata

EDGE = 1e-9
"""Distance of the differences that are tried from -1 and 1, where the score has no variance."""


@dataclass(frozen=True)
class RiskDifference:
    """The share of patients with an event in one arm minus that in the other.

    Attributes
    ----------
    difference : IntervalEstimate
    p : float
        Two-sided: Fisher's exact test, or permutation within strata.
    """

    difference: IntervalEstimate
    p: float


def risk_difference(events: int, n: int, control_events: int, control_n: int) -> RiskDifference:
    """Return the difference of two proportions, with Miettinen and Nurminen's 95% interval and Fisher's exact test.

    The interval holds the differences that the score test does not reject. It is defined where no patient, or every
    patient, has the event. The test is conservative, so that it may not reject where the interval excludes 0.

    Parameters
    ----------
    events, n, control_events, control_n : int
        Patients with the event and all patients of each arm; at least one patient an arm.

    References
    ----------
    Miettinen and Nurminen 1985, Statistics in Medicine 4:213-226; Newcombe 1998, Statistics in Medicine 17:873-890,
    method 6, for examples.
    """
    value = events / n - control_events / control_n

    def excess(difference: float) -> float:
        return _score(difference, events, n, control_events, control_n)

    low = -1.0 if value <= -1 else brentq(lambda difference: excess(difference) - Z, -1 + EDGE, value)
    high = 1.0 if value >= 1 else brentq(lambda difference: excess(difference) + Z, value, 1 - EDGE)
    table = [[events, n - events], [control_events, control_n - control_events]]
    return RiskDifference(IntervalEstimate(value, float(low), float(high)), float(fisher_exact(table).pvalue))


def _score(difference: float, events: int, n: int, control_events: int, control_n: int) -> float:
    """Return the score statistic of a difference: normal, with the variance of the proportions that it constrains."""
    observed = events / n - control_events / control_n
    if difference == observed:
        return 0.0
    total, all_events = n + control_n, events + control_events
    # The control's proportion of greatest likelihood, given the difference, is a root of a x^3 + b x^2 + c x + d.
    a = total
    b = (total + control_n) * difference - total - all_events
    c = (control_n * difference - total - 2 * control_events) * difference + all_events
    d = control_events * difference * (1 - difference)
    q = (b / (3 * a)) ** 3 - b * c / (6 * a**2) + d / (2 * a)
    radius = math.copysign(math.sqrt(max((b / (3 * a)) ** 2 - c / (3 * a), 0)), q)
    angle = math.acos(min(max(q / radius**3, -1), 1)) if radius else 0.0
    control = 2 * radius * math.cos((math.pi + angle) / 3) - b / (3 * a)
    treated = control + difference
    variance = max(treated * (1 - treated) / n + control * (1 - control) / control_n, 1e-300)
    return (observed - difference) / math.sqrt(variance * total / (total - 1))


def stratified_risk_difference(event: Mask, group: Mask, strata: Labels, *, seed: int = 0) -> RiskDifference:
    r"""Return Mantel and Haenszel's common difference of proportions over strata, with Sato's 95% interval.

    .. math:: \hat\delta = \frac{\sum_k (x_{1k} n_{0k} - x_{0k} n_{1k}) / N_k}{\sum_k n_{1k} n_{0k} / N_k}

    A stratum without patients of either group adds nothing. The test permutes the groups within strata.

    Parameters
    ----------
    event, group : ndarray of bool, (n_patients,)
        Some stratum has patients of both groups.
    strata : ndarray of str, (n_patients,)
    seed : int
        Of the permutations, where they are too many to enumerate.

    References
    ----------
    Mantel and Haenszel 1959, Journal of the National Cancer Institute 22:719-748; Sato 1989, Biometrics 45:1323-1324.
    """
    names = np.unique(strata)
    members = strata == names[:, None]
    n, n_group = members.sum(axis=1), (members & group).sum(axis=1)
    x, x_other = (members & group & event).sum(axis=1), (members & ~group & event).sum(axis=1)
    n_other = n - n_group
    total = float((n_group * n_other / n).sum())
    value = float(((x * n_other - x_other * n_group) / n).sum()) / total
    shared = (n_group**2 * x_other - n_other**2 * x + n_group * n_other * (n_other - n_group) / 2) / n**2
    crossed = (x * (n_other - x_other) + x_other * (n_group - x)) / (2 * n)
    half_width = Z * math.sqrt(max(0.0, float((value * shared + crossed).sum()))) / total
    # The sum over strata of the group's observed minus expected events, a permutation a row.
    excess = event - ((members * event).sum(axis=1) / n) @ members
    orders = row_orders_within_strata(strata.astype(object), seed=seed)
    p = float(permutation_p_value(np.abs(group[orders] @ excess)))
    return RiskDifference(IntervalEstimate(value, value - half_width, value + half_width), p)
