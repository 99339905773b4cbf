"""Cumulative incidence of an event with death as a competing risk."""

from __future__ import annotations

import numpy as np

from features.arrays import Matrix, Vector
from features.survival import DEATH, EVENT
from training.statistics.life_table import draw_weights, followed_beyond, life_table, ratio_or_zero
from training.statistics.survival_curves import Curve, complementary_log_log_limits


def cumulative_incidence(y: Matrix, weights: Matrix | None = None) -> tuple[Vector, Matrix]:
    r"""Return the cumulative incidences of the event, and of death before it.

    .. math:: F_k(t) = \sum_{s \le t} S(s-)\, \frac{d_k(s)}{n(s)}

    Death ends the risk. Treating it as censoring would overestimate the incidence of the event.

    Parameters
    ----------
    y : ndarray, (n_samples, 2)
        Days, and how they end, as in `features.survival`.
    weights : ndarray, (n_draws, n_samples), optional
        How often each patient counts in each draw; without weights, one draw in which each counts once.

    Returns
    -------
    days : ndarray, (n_days,)
        Days on which any patient's time ends.
    incidence : ndarray, (2, n_draws, n_days)
        Of the event, and of death before it.

    See Also
    --------
    aalen_johansen : the same with analytic intervals.

    References
    ----------
    Aalen and Johansen 1978, Scandinavian Journal of Statistics 5:141-150.
    """
    weights = draw_weights(y, weights)
    days, at_risk, endings = life_table(y, weights)
    hazards = ratio_or_zero(endings[[EVENT, DEATH]], at_risk)
    survival = np.cumprod(1 - hazards.sum(axis=0), axis=1)
    survival_before = np.concatenate([np.ones((len(weights), 1)), survival[:, :-1]], axis=1)
    return days, np.cumsum(survival_before * hazards, axis=2)


def cumulative_incidence_at(y: Matrix, score: Vector, weights: Matrix | None = None, *, day: float) -> Vector:
    """Return the cumulative incidence of the event by a day, (n_draws,); NaN in a draw without longer follow-up.

    The score is ignored; it is an argument so that the incidence can be averaged over cohorts as metrics are.
    """
    days, incidence = cumulative_incidence(y, weights)
    step = np.searchsorted(days, day, side="right") - 1
    value = incidence[0, :, step] if step >= 0 else np.zeros(incidence.shape[1])
    return np.where(followed_beyond(y, weights, day), value, np.nan)


def aalen_johansen(y: Matrix) -> tuple[Curve, Curve]:
    r"""Return the cumulative incidence curves of the event and of death before it, with 95% intervals.

    The intervals are complementary log-log, with the delta method's variance

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
    _, incidence = cumulative_incidence(y)
    days, at_risk, endings = life_table(y, np.ones((1, len(y))))
    n, failures = at_risk[0], endings[[EVENT, DEATH], 0]
    d = failures.sum(axis=0)
    survival_before = np.append(1.0, np.cumprod(1 - d / n)[:-1])
    greenwood = np.divide(d, n * (n - d), out=np.zeros(days.size), where=n > d)
    curves = []
    for d_k, f in zip(failures, incidence[:, 0], strict=True):
        survival_term = f**2 * np.cumsum(greenwood) - 2 * f * np.cumsum(f * greenwood) + np.cumsum(f**2 * greenwood)
        binomial_term = np.cumsum(survival_before**2 * d_k * (n - d_k) / n**3)
        cross = survival_before * d_k / n**2
        covariance_term = f * np.cumsum(cross) - np.cumsum(f * cross)
        se = np.sqrt(np.maximum(survival_term + binomial_term - 2 * covariance_term, 0))
        curves.append(Curve(days, n, f, *complementary_log_log_limits(f, se)))
    return curves[0], curves[1]
