"""Kaplan and Meier's curves and cumulative incidences, with intervals that hold at small n."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from features.survival import CENSORED, DEATH, EVENT
from training.statistics.arrays import Matrix, Vector
from training.statistics.cumulative_incidence import cumulative_incidence
from training.statistics.metrics import Estimate
from training.statistics.sample_size import Z


@dataclass(frozen=True)
class Curve:
    """A share of patients in the course of time, a step on each day on which anyone's time ends.

    Attributes
    ----------
    days : ndarray, (n_days,)
    at_risk : ndarray, (n_days,)
        Patients whose time has not ended before the day.
    estimate, low, high : ndarray, (n_days,)
        From the day on, with its pointwise 95% interval, NaN where the data give none.
    """

    days: Vector
    at_risk: Vector
    estimate: Vector
    low: Vector
    high: Vector

    def estimate_on(self, day: float, start: float) -> Estimate:
        """Return the share on a day, `start` before the first step; NaN once nobody is followed."""
        if day > self.days[-1]:
            return Estimate(np.nan, np.nan, np.nan)
        step = int(np.searchsorted(self.days, day, side="right")) - 1
        if step < 0:
            return Estimate(start, np.nan, np.nan)
        return Estimate(float(self.estimate[step]), float(self.low[step]), float(self.high[step]))


def kaplan_meier(time: Vector, event: NDArray[np.bool_]) -> Curve:
    r"""Return survival with Greenwood's variance and complementary log-log intervals.

    :math:`S^{\exp(\pm z\, s / \ln S)}`, :math:`s^2 = \sum d / (n (n - d))`: they stay within 0 and 1. Once all have had
    the event no interval is known, nor before the first event.

    Parameters
    ----------
    time : ndarray, (n_patients,)
        Days, at least one; who is censored on a day was at risk on it.
    event : ndarray of bool, (n_patients,)

    References
    ----------
    Kaplan and Meier 1958, Journal of the American Statistical Association 53:457-481; Kalbfleisch and Prentice 2002,
    The Statistical Analysis of Failure Time Data, 1.4.
    """
    days, at_risk, (events, _) = _life_table(time, np.stack([event, ~event]))
    survival = np.cumprod(1 - events / at_risk)
    spread = np.cumsum(np.divide(events, at_risk * (at_risk - events), out=np.zeros(days.size), where=at_risk > events))
    return Curve(days, at_risk, survival, *_log_log(survival, survival * np.sqrt(spread)))


def beta_product(time: Vector, event: NDArray[np.bool_]) -> Curve:
    r"""Return survival from day 0 on with intervals that hold however few the patients, or the events.

    Of :math:`n_i` at risk :math:`d_i` had the event on day :math:`i`, and :math:`m` are followed on. The upper limit is
    the 97.5% quantile of :math:`\prod B(n_i - d_i + 1, d_i)`, the lower the 2.5% quantile of its product with
    :math:`B(m, 1)`; each product is taken as the beta distribution of the same mean and variance. Without censoring
    these are Clopper and Pearson's limits.

    Parameters
    ----------
    time, event
        As `kaplan_meier` takes them.

    References
    ----------
    Fay, Brittain and Proschan 2013, Biostatistics 14:723-736.
    """
    curve = kaplan_meier(time, event)
    n, d = np.append(time.size, curve.at_risk), np.append(0, _life_table(time, np.stack([event, ~event]))[2][0])
    after = np.append(n[1:], 0)
    after[0] = time.size
    mean = np.cumprod((n - d + 1) / (n + 1))
    square = np.cumprod((n - d + 1) * (n - d + 2) / ((n + 1) * (n + 2)))
    low = _beta_quantile(0.025, mean * after / (after + 1), square * after / (after + 2))
    return Curve(np.append(0, curve.days), n, np.append(1, curve.estimate), low, _beta_quantile(0.975, mean, square))


def median_survival(curve: Curve) -> Estimate:
    """Return the median survival in days, infinite where not reached, with its 95% interval.

    The limits are where the limits of survival fall to one half; the lower is NaN where that is on no day. Where
    survival is exactly one half for a while, its middle is taken, as R's survival does.

    References
    ----------
    Brookmeyer and Crowley 1982, Biometrics 38:29-41.
    """
    value, low, high = (_half(curve.days, share) for share in (curve.estimate, curve.low, curve.high))
    return Estimate(value, low if np.isfinite(low) else np.nan, high)


def aalen_johansen(y: Matrix) -> tuple[Curve, Curve]:
    r"""Return cumulative incidences of the event and of death before it, with complementary log-log intervals.

    Aalen and Johansen's estimate, with the delta method's variance:

    .. math::
        \sum_{s \le t} \Bigl[ (F(t) - F(s))^2 \frac{d}{n (n - d)} + S(s-)^2 \frac{d_k (n - d_k)}{n^3}
        - 2 (F(t) - F(s)) S(s-) \frac{d_k}{n^2} \Bigr]

    Parameters
    ----------
    y : ndarray, (n_patients, 2)
        Days, and how they end, as in `features.survival`; at least one patient.

    References
    ----------
    Marubini and Valsecchi 1995, Analysing Survival Data from Clinical Trials and Observational Studies, 10.2;
    Choudhury 2002, Statistics in Medicine 21:1129-1144.
    """
    _, shares = cumulative_incidence(y)
    days, n, ended = _life_table(y[:, 0], np.stack([y[:, 1] == code for code in (CENSORED, EVENT, DEATH)]))
    gone = ended[1:].sum(axis=0)
    before = np.append(1.0, np.cumprod(1 - gone / n)[:-1])
    weight = np.divide(gone, n * (n - gone), out=np.zeros(days.size), where=n > gone)
    curves = []
    for d, found in zip(ended[1:], shares[:, 0], strict=True):
        square = found**2 * np.cumsum(weight) - 2 * found * np.cumsum(found * weight) + np.cumsum(found**2 * weight)
        own = np.cumsum(before**2 * d * (n - d) / n**3)
        joint = before * d / n**2
        cross = found * np.cumsum(joint) - np.cumsum(found * joint)
        se = np.sqrt(np.maximum(square + own - 2 * cross, 0))
        curves.append(Curve(days, n, found, *_log_log(found, se)))
    return curves[0], curves[1]


def _beta_quantile(q: float, mean: Vector, square: Vector) -> Vector:
    """Return the quantiles of beta distributions of given first and second moments; the mean where that is all."""
    variance = square - mean**2
    spread = variance > 1e-12
    weight = mean * (1 - mean) / np.where(spread, variance, 1) - 1
    a, b = (np.where(spread, part * weight, 1) for part in (mean, 1 - mean))
    return np.where(spread, beta.ppf(q, a, b), mean)


def _life_table(time: Vector, ended: NDArray[np.bool_]) -> tuple[Vector, Vector, Matrix]:
    """Return the days, who is at risk on each, and how many end how, (n_ways, n_days); `ended` is (n_ways, n)."""
    days, at = np.unique(time, return_inverse=True)
    counts: Matrix = np.stack([np.bincount(at, way, minlength=days.size) for way in ended]).astype(float)
    return days, np.cumsum(counts.sum(axis=0)[::-1])[::-1], counts


def _log_log(share: Vector, se: Vector) -> tuple[Vector, Vector]:
    """Return the limits of shares on the scale of ln(-ln), NaN for 0 and 1."""
    known = (share > 1e-12) & (share < 1 - 1e-12)
    inner = np.where(known, share, 0.5)
    reach = np.exp(Z * se / (inner * -np.log(inner)))
    limits = np.where(known, [inner**reach, inner ** (1 / reach)], np.nan)
    return limits[0], limits[1]


def _half(days: Vector, share: Vector) -> float:
    """Return the day on which a share falls to one half, infinite where it does not."""
    below = np.flatnonzero(share <= 0.5 + 1e-9)
    if not below.size:
        return np.inf
    lower = np.flatnonzero(share < 0.5 - 1e-9)
    if abs(share[below[0]] - 0.5) < 1e-9 and lower.size:
        return float(days[below[0]] + days[lower[0]]) / 2
    return float(days[below[0]])
