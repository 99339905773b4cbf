"""Cumulative incidence."""

from __future__ import annotations

import numpy as np

from features.survival import DEATH, EVENT
from training.statistics.arrays import Matrix, Vector
from training.statistics.life_table import draw_weights, followed_beyond, life_table, ratio_or_zero


def cumulative_incidence_at(y: Matrix, score: Vector, weights: Matrix | None = None, *, day: float) -> Vector:
    """Return the cumulative incidence of the event by a day; NaN where nobody is followed so far. No score is used."""
    days, incidence = cumulative_incidence(y, weights)
    at = np.searchsorted(days, day, side="right") - 1
    found = incidence[0, :, at] if at >= 0 else np.zeros(incidence.shape[1])
    return np.where(followed_beyond(y, weights, day), found, np.nan)


def cumulative_incidence(y: Matrix, weights: Matrix | None = None) -> tuple[Vector, Matrix]:
    r"""Return the shares of patients who have had the event, and who have died before it, in the course of time.

    :math:`F_k(t) = \sum_{s \le t} S(s-)\, d_k(s) / n(s)`: death ends the risk, and is not treated as censoring, which
    would overstate the event.

    Parameters
    ----------
    y : ndarray, (n_samples, 2)
    weights : ndarray, (n_draws, n_samples), optional
        How often each patient counts in each draw; once when left out.

    Returns
    -------
    days : ndarray, (n_days,)
        Each day on which anyone's time ends.
    incidence : ndarray, (2, n_draws, n_days)
        Of the event, and of death before it.

    References
    ----------
    Aalen and Johansen 1978, Scandinavian Journal of Statistics 5:141-150.
    """
    weights = draw_weights(y, weights)
    days, at_risk, ended = life_table(y, weights)
    hazards = ratio_or_zero(ended[[EVENT, DEATH]], at_risk)
    left = np.cumprod(1 - hazards.sum(axis=0), axis=1)
    before = np.concatenate([np.ones((len(weights), 1)), left[:, :-1]], axis=1)
    return days, np.cumsum(before * hazards, axis=2)
