"""The log-rank test of two arms, within strata where there are any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import chi2

from features.arrays import Labels, Mask, Vector
from features.survival import CENSORED, EVENT
from training.statistics.life_table import life_table
from training.statistics.permutations import (
    group_assignments,
    least_permutation_p,
    permutation_p_value,
    row_orders_within_strata,
)

PERMUTED_BELOW = 50
"""Events below which p is that of permutations: the chi-squared distribution is then too rough."""


@dataclass(frozen=True)
class LogRank:
    """A log-rank test.

    Attributes
    ----------
    statistic : float
        Chi-squared with one degree of freedom; NaN where no event discriminates.
    p : float
        Two-sided.
    method : str
        "permutation" of the arms, or "chi-squared".
    least_p : float
        The smallest p that the permutations can give; 0 by chi-squared.
    """

    statistic: float
    p: float
    method: Literal["permutation", "chi-squared"]
    least_p: float


def log_rank(time: Vector, event: Mask, group: Mask, strata: Labels | None = None, *, seed: int = 0) -> LogRank:
    r"""Return the log-rank test of a group against the others.

    The observed minus the expected events of the group are the sum of its patients' scores
    :math:`\delta_i - \hat\Lambda(t_i)`, with Nelson and Aalen's cumulative hazard of all patients, so that permuting
    the arms permutes the scores. The permutation test assumes that censoring does not differ between arms.

    Parameters
    ----------
    time : ndarray, (n_patients,)
        Days.
    event, group : ndarray of bool, (n_patients,)
    strata : ndarray of str, (n_patients,), optional
        Within which events are expected, and arms are permuted.
    seed : int
        Of the assignments to arms, where they are too many to enumerate.

    References
    ----------
    Mantel 1966, Cancer Chemotherapy Reports 50:163-170; Peto and Peto 1972, Journal of the Royal Statistical Society A
    135:185-207.
    """
    scores, variance = np.zeros(len(time)), 0.0
    labels = np.zeros(len(time), dtype=int) if strata is None else strata
    for name in np.unique(labels):
        stratum = labels == name
        scores[stratum], part = _scores(time[stratum], event[stratum], group[stratum])
        variance += part
    excess = float(scores[group].sum())
    statistic = excess**2 / variance if variance > 0 else np.nan
    if event.sum() >= PERMUTED_BELOW:
        return LogRank(statistic, float(chi2.sf(statistic, 1)), "chi-squared", 0.0)
    if strata is None:
        assignments = group_assignments(group, seed=seed)
    else:
        assignments = group[row_orders_within_strata(strata.astype(object), seed=seed)]
    excesses = np.abs(assignments @ scores)
    return LogRank(statistic, float(permutation_p_value(excesses)), "permutation", least_permutation_p(excesses))


def _scores(time: Vector, event: Mask, group: Mask) -> tuple[Vector, float]:
    """Return each patient's score, (n_patients,), and the variance of the group's sum of scores."""
    y = np.column_stack([time, np.where(event, EVENT, CENSORED)])
    days, at_risk, endings = life_table(y, np.stack([np.ones(len(time)), group.astype(float)]))
    (n, n_group), d = at_risk, endings[EVENT, 0]
    cumulative_hazard = np.cumsum(d / n)
    scores = event - cumulative_hazard[np.searchsorted(days, time)]
    share = n_group / n
    return scores, float((d * share * (1 - share) * (n - d) / np.maximum(n - 1, 1)).sum())
