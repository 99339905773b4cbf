"""Restricted mean survival time: the area under a survival curve up to a day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from features.arrays import Mask, Vector
from training.statistics.interval_estimate import IntervalEstimate, wald_interval
from training.statistics.life_table import events_by_day


@dataclass(frozen=True)
class RestrictedMeanDifference:
    """The restricted mean survival time of a group minus that of the others, in days.

    Attributes
    ----------
    horizon : float
        The day up to which time counts: the last day on which both groups are followed.
    means : tuple of float
        Of the group, and of the others.
    difference : IntervalEstimate
    p : float
        Two-sided, normal approximation.
    """

    horizon: float
    means: tuple[float, float]
    difference: IntervalEstimate
    p: float


def restricted_mean_difference(time: Vector, event: Mask, group: Mask) -> RestrictedMeanDifference:
    """Return the difference of restricted mean survival times, up to the smaller of the groups' longest times.

    Parameters
    ----------
    time : ndarray, (n_patients,)
        Days.
    event, group : ndarray of bool, (n_patients,)
        Both groups have patients.

    References
    ----------
    Royston and Parmar 2013, BMC Medical Research Methodology 13:152; Uno et al. 2014, Journal of Clinical Oncology
    32:2380-2385.
    """
    horizon = float(min(time[group].max(), time[~group].max()))
    (mean, variance), (control_mean, control_variance) = (
        restricted_mean(time[members], event[members], horizon) for members in (group, ~group)
    )
    value, error = mean - control_mean, float(np.sqrt(variance + control_variance))
    p = float(2 * norm.sf(abs(value) / error)) if error else np.nan
    return RestrictedMeanDifference(horizon, (mean, control_mean), wald_interval(value, error), p)


def restricted_mean(time: Vector, event: Mask, horizon: float) -> tuple[float, float]:
    r"""Return the area under the Kaplan-Meier curve up to a day, and its variance.

    .. math:: \widehat{\mathrm{var}} = \sum_{t_i \le \tau} \Bigl[\int_{t_i}^{\tau} \hat S\Bigr]^2
        \frac{d_i}{n_i (n_i - d_i)}

    Parameters
    ----------
    time : ndarray, (n_patients,)
        Days.
    event : ndarray of bool, (n_patients,)
    horizon : float
    """
    days, n, d = events_by_day(time, event)
    survival = np.append(1, np.cumprod(1 - d / n))
    edges = np.minimum(np.concatenate([[0], days, [np.inf]]), horizon)
    areas = survival * np.diff(edges)
    later_area = areas[::-1].cumsum()[::-1][1:]
    counts = (days <= horizon) & (n > d)
    variance = float((later_area[counts] ** 2 * d[counts] / (n[counts] * (n[counts] - d[counts]))).sum())
    return float(areas.sum()), variance
