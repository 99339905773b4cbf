"""AUROCs and rates of several cohorts, and what they say together of a cohort not yet seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, ndtr

from training.statistics.arrays import Vector

N_LEVELS = 400


@dataclass(frozen=True)
class RandomEffects:
    """A mean over cohorts with its 95% interval, and a 95% prediction interval for one cohort more.

    Attributes
    ----------
    k : int
        Cohorts.
    mean : float or None
        None without a cohort.
    low, high : float or None
        None below two cohorts.
    prediction_low, prediction_high : float or None
        None below three cohorts.
    tau2 : float or None
        Variance between cohorts, on the scale that was combined (log-odds for AUROCs); None below two cohorts.
    i2 : float or None
        Share of the variation between estimates that is not sampling error, 0 to 1; None below two cohorts.
    """

    k: int
    mean: float | None
    low: float | None
    high: float | None
    prediction_low: float | None
    prediction_high: float | None
    tau2: float | None
    i2: float | None


def random_effects(estimates: Vector, variances: Vector) -> RandomEffects:
    """Return the random-effects mean of independent estimates, on their own scale.

    The variance between cohorts is Paule and Mandel's; the interval is Hartung and Knapp's, never narrower than their
    factor of 1 allows. At Paule and Mandel's estimate that factor is 1, unless cohorts differ less than chance alone
    would have them, where it would shrink the interval without end: so it does not appear below.

    The prediction interval averages over every variance between cohorts that their heterogeneity is compatible with
    (the Q profile); taken at the one estimated variance, as Higgins has it, it covers a new cohort about 90 times in
    100 when six differ. Without sampling error it is the t interval of one more value. It always holds the interval.

    Parameters
    ----------
    estimates, variances : ndarray, (n_cohorts,)

    References
    ----------
    Paule and Mandel 1982, Journal of Research of the National Bureau of Standards 87:377-385; Hartung and Knapp 2001,
    Statistics in Medicine 20:3875-3889; Röver, Knapp and Friede 2015, BMC Medical Research Methodology 15:99;
    Viechtbauer 2007, Statistics in Medicine 26:37-52; Higgins, Thompson and Spiegelhalter 2009, Journal of the Royal
    Statistical Society A 172:137-159; Nagashima, Noma and Furukawa 2019, Statistical Methods in Medical Research
    28:1689-1702.
    """
    k = len(estimates)
    if k < 2:
        return RandomEffects(k, float(estimates[0]) if k else None, *[None] * 6)
    tau2 = _between(estimates, variances, np.array([k - 1.0]))
    mean, error = (float(at[0]) for at in _combined(estimates, variances, tau2))
    reach = float(stats.t.ppf(0.975, k - 1)) * error
    low, high = mean - reach, mean + reach
    surplus = max(0.0, float(_heterogeneity(estimates, variances, np.zeros(1))[0]) - (k - 1))
    found = RandomEffects(k, mean, low, high, None, None, float(tau2[0]), surplus / (surplus + k - 1))
    if k < 3:
        return found
    farthest = _predicted(estimates, variances)
    return replace(found, prediction_low=min(low, farthest[0]), prediction_high=max(high, farthest[1]))


def rate_random_effects(events: Vector, patients: Vector) -> RandomEffects:
    """Return the random-effects mean of cohorts' rates, combined as log-odds.

    Half a patient is added to the events and to the others of each cohort, which takes most of the bias from the
    log-odds of few patients, and gives a cohort without events its finite weight.

    Parameters
    ----------
    events, patients : ndarray, (n_cohorts,)

    References
    ----------
    Gart and Zweifel 1967, Biometrika 54:181-187.
    """
    had, had_not = events + 0.5, patients - events + 0.5
    return from_log_odds(random_effects(np.log(had / had_not), 1 / had + 1 / had_not))


def from_log_odds(found: RandomEffects) -> RandomEffects:
    """Return what was combined as log-odds on the scale of a share; the variance between cohorts stays as it was."""
    return replace(
        found,
        mean=_share(found.mean),
        low=_share(found.low),
        high=_share(found.high),
        prediction_low=_share(found.prediction_low),
        prediction_high=_share(found.prediction_high),
    )


def _share(log_odds: float | None) -> float | None:
    return None if log_odds is None else float(expit(log_odds))


def _combined(estimates: Vector, variances: Vector, tau2: Vector) -> tuple[Vector, Vector]:
    """Return the weighted mean and its standard error at each variance between cohorts, both (n_tau2,)."""
    weights = 1 / (variances + tau2[:, None])
    return weights @ estimates / weights.sum(axis=1), weights.sum(axis=1) ** -0.5


def _heterogeneity(estimates: Vector, variances: Vector, tau2: Vector) -> Vector:
    """Return Cochran's Q at each variance between cohorts, (n_tau2,)."""
    mean, _ = _combined(estimates, variances, tau2)
    return np.asarray(((estimates - mean[:, None]) ** 2 / (variances + tau2[:, None])).sum(axis=1))


def _between(estimates: Vector, variances: Vector, q: Vector) -> Vector:
    """Return the variance between cohorts at which Cochran's Q, which falls with it, is `q`; 0 if it never is."""
    low, high = np.zeros(len(q)), np.sum((estimates - estimates.mean()) ** 2) / q
    for _ in range(60):
        middle = (low + high) / 2
        above = _heterogeneity(estimates, variances, middle) > q
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low


def _predicted(estimates: Vector, variances: Vector) -> tuple[float, float]:
    """Return the 95% prediction interval: quantiles of the new cohort's distribution, mixed over tau2."""
    levels = (np.arange(N_LEVELS) + 0.5) / N_LEVELS
    tau2 = _between(estimates, variances, stats.chi2.ppf(levels, len(estimates) - 1))
    mean, error = _combined(estimates, variances, tau2)
    spread = np.sqrt(error**2 + tau2)

    def reached(at: float, share: float) -> float:
        return float(np.mean(ndtr((at - mean) / spread))) - share

    ends = float(np.min(mean - 9 * spread)), float(np.max(mean + 9 * spread))
    return float(brentq(reached, *ends, args=(0.025,))), float(brentq(reached, *ends, args=(0.975,)))
