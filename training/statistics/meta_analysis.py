"""AUROCs and rates of several cohorts, and what they say together of a cohort not yet seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr

from training.statistics.metrics import Estimate, Matrix, Vector, auroc

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


def auroc_variance(area: Vector | float, events: Vector | float, others: Vector | float) -> Vector:
    """Return sampling variances of AUROCs.

    They rest on the AUROC and the two counts alone. DeLong's variance, which the patients' ranks would allow, is 0 for
    a cohort ranked without a fault and erratic for one of three events; cohorts are weighted by this.

    Parameters
    ----------
    area : ndarray, (n_cohorts,), or float
    events, others : ndarray, (n_cohorts,), or float
        Patients with the event and without.

    References
    ----------
    Newcombe 2006, method 4, Statistics in Medicine 25:559-573; Debray et al. 2019, Statistical Methods in Medical
    Research 28:2768-2786.
    """
    size = (np.asarray(events) + others) / 2 - 1
    spread = 1 + size * (1 - area) / (2 - area) + size * area / (1 + area)
    variance: Vector = area * (1 - area) * spread / (np.asarray(events) * others)
    return variance


def logit_auroc(area: Vector, events: Vector, others: Vector) -> tuple[Vector, Vector]:
    """Return log-odds of AUROCs and their variances, as `auroc_variance` takes its arrays.

    An AUROC of 0 or 1, whose log-odds are infinite, counts as half of one pair of patients away from it. The variance
    of log-odds grows without end towards both, so that a small cohort ranked almost without a fault weighs little.
    """
    half = 0.5 / (events * others)
    area = np.clip(area, half, 1 - half)
    return logit(area), auroc_variance(area, events, others) / (area * (1 - area)) ** 2


def cohort_aurocs(y: Vector, score: Vector | Matrix, cohorts: NDArray[np.object_]) -> dict[str, Estimate]:
    """Return each cohort's AUROC with its interval; a cohort of one class has none.

    An end of the interval is the AUROC that is just compatible with the one found, by the variance that it, not the one
    found, would have: few patients ranked without a fault do not make a narrow interval.

    References
    ----------
    Newcombe 2006, method 5, Statistics in Medicine 25:559-573.
    """
    found = zip(*_measurable(y, score, cohorts), strict=True)
    return {
        name: Estimate(float(area), _lowest(area, *counts), 1 - _lowest(1 - area, *counts))
        for name, area, *counts in found
    }


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


def auroc_random_effects(y: Vector, score: Vector | Matrix, cohorts: NDArray[np.object_]) -> RandomEffects:
    """Return the random-effects AUROC, combined as log-odds; a cohort of one class is left out.

    Cohorts left out in turn share most of the patients they were predicted from. That they are not quite independent
    shows in a refitted null, not here.
    """
    _, area, events, others = _measurable(y, score, cohorts)
    return _from_log_odds(random_effects(*logit_auroc(area, events, others)))


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
    return _from_log_odds(random_effects(np.log(had / had_not), 1 / had + 1 / had_not))


def mantel_haenszel(tables: NDArray[np.int_]) -> Estimate | None:
    """Return the odds ratio that cohorts have in common, with its 95% interval; None where it is 0 or has no end.

    Cohorts' differing rates, which would make an association of their own in a pooled table, cancel.

    Parameters
    ----------
    tables : ndarray of int, (n_cohorts, 4)
        Patients with the first outcome alone, both, neither, and the second alone.

    References
    ----------
    Mantel and Haenszel 1959, Journal of the National Cancer Institute 22:719-748; Robins, Breslow and Greenland 1986,
    Biometrics 42:311-323.
    """
    first, both, neither, second = tables.T.astype(np.float64)
    n = tables.sum(axis=1)
    for_it, against = both * neither / n, first * second / n
    if not for_it.sum() * against.sum():
        return None
    p, q = (both + neither) / n, (first + second) / n
    r, s = for_it.sum(), against.sum()
    variance = (p @ for_it / r**2 + (p @ against + q @ for_it) / (r * s) + q @ against / s**2) / 2
    reach = stats.norm.ppf(0.975) * np.sqrt(variance)
    return Estimate(*(float(end) for end in r / s * np.exp([0.0, -reach, reach])))


def _from_log_odds(found: RandomEffects) -> RandomEffects:
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


def _lowest(area: float, events: float, others: float) -> float:
    """Return the lowest AUROC whose 95% sampling interval reaches the one found."""

    def gap(at: float) -> float:
        return float(area - at - stats.norm.ppf(0.975) * np.sqrt(auroc_variance(at, events, others)))

    # Just below the AUROC found: at 1 itself the variance is 0, and so would be the gap.
    return float(brentq(gap, 0, area * (1 - 1e-9))) if area else 0.0


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


def _measurable(
    y: Vector, score: Vector | Matrix, cohorts: NDArray[np.object_]
) -> tuple[list[str], Vector, Vector, Vector]:
    """Return the cohorts that have both classes: their names, AUROCs (the seeds' mean), events and others."""
    rows = {name: cohorts == name for name in dict.fromkeys(cohorts.tolist())}
    rows = {name: mine for name, mine in rows.items() if 0 < y[mine].sum() < mine.sum()}
    area = np.array([np.mean([auroc(y[mine], one[mine]) for one in np.atleast_2d(score)]) for mine in rows.values()])
    events = np.array([y[mine].sum() for mine in rows.values()])
    return list(rows), area, events, np.array([mine.sum() for mine in rows.values()]) - events
