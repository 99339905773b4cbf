"""Kaplan-Meier curves with intervals that hold in small samples, and their median."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from features.arrays import Mask, Vector
from training.statistics.interval_estimate import IntervalEstimate, Z
from training.statistics.life_table import events_by_day


@dataclass(frozen=True)
class Curve:
    """A proportion of patients over time, a step function of the days on which any patient's time ends.

    Attributes
    ----------
    days : ndarray, (n_days,)
    at_risk : ndarray, (n_days,)
        Patients whose time has not ended before the day.
    estimate, low, high : ndarray, (n_days,)
        The proportion from the day on, with its pointwise 95% interval; NaN where the data give none.
    """

    days: Vector
    at_risk: Vector
    estimate: Vector
    low: Vector
    high: Vector

    def estimate_on(self, day: float, start: float) -> IntervalEstimate:
        """Return the proportion on a day; `start` before the first step, and NaN after the end of follow-up."""
        if day > self.days[-1]:
            return IntervalEstimate(np.nan, np.nan, np.nan)
        step = int(np.searchsorted(self.days, day, side="right")) - 1
        if step < 0:
            return IntervalEstimate(start, np.nan, np.nan)
        return IntervalEstimate(float(self.estimate[step]), float(self.low[step]), float(self.high[step]))


def kaplan_meier(time: Vector, event: Mask) -> Curve:
    r"""Return the Kaplan-Meier survival curve, with Greenwood's variance and complementary log-log intervals.

    .. math:: \hat S^{\exp(\pm z\, s / \ln \hat S)}, \qquad s^2 = \sum_i \frac{d_i}{n_i (n_i - d_i)},

    which lie between 0 and 1. There is no interval before the first event, nor once all patients have had it.

    Parameters
    ----------
    time : ndarray, (n_patients,)
        Days, at least one patient; a patient censored on a day is at risk on it.
    event : ndarray of bool, (n_patients,)

    See Also
    --------
    beta_product : intervals that hold with few events.

    References
    ----------
    Kaplan and Meier 1958, Journal of the American Statistical Association 53:457-481; Kalbfleisch and Prentice 2002,
    The Statistical Analysis of Failure Time Data, 1.4.
    """
    days, at_risk, events = events_by_day(time, event)
    survival = np.cumprod(1 - events / at_risk, dtype=np.float64)
    variance = np.cumsum(
        np.divide(events, at_risk * (at_risk - events), out=np.zeros(days.size), where=at_risk > events)
    )
    return Curve(days, at_risk, survival, *complementary_log_log_limits(survival, survival * np.sqrt(variance)))


def beta_product(time: Vector, event: Mask) -> Curve:
    r"""Return the Kaplan-Meier curve from day 0 on, with beta product intervals, which hold with few events.

    With :math:`n_i` patients at risk and :math:`d_i` events on day :math:`i`, and :math:`m` patients followed further,
    the upper limit is the 97.5% quantile of :math:`\prod_i B(n_i - d_i + 1, d_i)`, and the lower limit the 2.5%
    quantile of the product with :math:`B(m, 1)`. Each product is approximated by the beta distribution of the same mean
    and variance. Without censoring these are the Clopper-Pearson limits.

    Parameters
    ----------
    time, event
        As `kaplan_meier` takes them.

    References
    ----------
    Fay, Brittain and Proschan 2013, Biostatistics 14:723-736.
    """
    curve = kaplan_meier(time, event)
    n, d = np.append(time.size, curve.at_risk), np.append(0, events_by_day(time, event)[2])
    followed_further = np.append(n[1:], 0)
    followed_further[0] = time.size
    mean = np.cumprod((n - d + 1) / (n + 1))
    second_moment = np.cumprod((n - d + 1) * (n - d + 2) / ((n + 1) * (n + 2)))
    low = _beta_quantile(
        0.025,
        mean * followed_further / (followed_further + 1),
        second_moment * followed_further / (followed_further + 2),
    )
    high = _beta_quantile(0.975, mean, second_moment)
    return Curve(np.append(0, curve.days), n, np.append(1, curve.estimate), low, high)


def median_survival(curve: Curve) -> IntervalEstimate:
    """Return the median survival in days with its 95% interval; infinite where it is not reached.

    The limits are the days on which the limits of survival fall to one half; the lower limit is NaN where there is no
    such day. Where survival equals one half over an interval, its midpoint is taken, as in R's survival.

    References
    ----------
    Brookmeyer and Crowley 1982, Biometrics 38:29-41.
    """
    median, low, high = (_day_of_half(curve.days, values) for values in (curve.estimate, curve.low, curve.high))
    return IntervalEstimate(median, low if np.isfinite(low) else np.nan, high)


def complementary_log_log_limits(proportion: Vector, se: Vector) -> tuple[Vector, Vector]:
    """Return the 95% limits of proportions on the scale of ln(-ln), both (n,); NaN where a proportion is 0 or 1."""
    interior = (proportion > 1e-12) & (proportion < 1 - 1e-12)
    p = np.where(interior, proportion, 0.5)
    factor = np.exp(Z * se / (p * -np.log(p)))
    low, high = np.where(interior, [p**factor, p ** (1 / factor)], np.nan)
    return low, high


def _beta_quantile(q: float, mean: Vector, second_moment: Vector) -> Vector:
    """Return quantiles of the beta distributions with these moments; the mean where the variance is 0."""
    variance = second_moment - mean**2
    varies = variance > 1e-12
    size = mean * (1 - mean) / np.where(varies, variance, 1) - 1
    a, b = (np.where(varies, p * size, 1) for p in (mean, 1 - mean))
    return np.where(varies, beta.ppf(q, a, b), mean)


def _day_of_half(days: Vector, proportion: Vector) -> float:
    """Return the day on which a proportion falls to one half; infinite where it does not."""
    at_most_half = np.flatnonzero(proportion <= 0.5 + 1e-9)
    if not at_most_half.size:
        return np.inf
    below_half = np.flatnonzero(proportion < 0.5 - 1e-9)
    if abs(proportion[at_most_half[0]] - 0.5) < 1e-9 and below_half.size:
        return float(days[at_most_half[0]] + days[below_half[0]]) / 2
    return float(days[at_most_half[0]])
