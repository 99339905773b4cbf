"""Life tables of bootstrap draws: how many patients are at risk on each day, and how their times end."""

from __future__ import annotations

import numpy as np

from features.arrays import Mask, Matrix, Vector
from features.survival import CENSORED, DEATH, EVENT


def life_table(y: Matrix, weights: Matrix) -> tuple[Vector, Matrix, Matrix]:
    """Return the life table of each draw.

    Parameters
    ----------
    y : ndarray, (n_samples, 2)
        Days, and how they end, as in `features.survival`.
    weights : ndarray, (n_draws, n_samples)
        How often each patient counts in each draw.

    Returns
    -------
    days : ndarray, (n_days,)
        Days on which any patient's time ends.
    at_risk : ndarray, (n_draws, n_days)
    endings : ndarray, (3, n_draws, n_days)
        Patients censored, with the event, and dead before it, indexed by `CENSORED`, `EVENT` and `DEATH`.
    """
    order = np.argsort(y[:, 0], kind="stable")
    days, starts = np.unique(y[order, 0], return_index=True)
    weights, code = weights[:, order], y[order, 1]
    endings = np.stack([np.add.reduceat(weights * (code == k), starts, axis=1) for k in (CENSORED, EVENT, DEATH)])
    total = endings.sum(axis=0)
    return days, np.cumsum(total[:, ::-1], axis=1)[:, ::-1], endings


def events_by_day(time: Vector, event: Mask) -> tuple[Vector, Vector, Vector]:
    """Return the days on which any time ends, and the patients at risk and events on each, all (n_days,)."""
    y = np.column_stack([time, np.where(event, EVENT, CENSORED)])
    days, at_risk, endings = life_table(y, np.ones((1, len(y))))
    return days, at_risk[0], endings[EVENT, 0]


def draw_weights(y: Matrix, weights: Matrix | None) -> Matrix:
    """Return the weights, (n_draws, n_samples); without any, one draw in which each patient counts once."""
    return np.ones((1, len(y))) if weights is None else weights


def followed_beyond(y: Matrix, weights: Matrix | None, day: float) -> Mask:
    """Return in which draws at least one patient is followed beyond a day, (n_draws,)."""
    return np.asarray((draw_weights(y, weights) * (y[:, 0] > day)).any(axis=1))


def ratio_or_zero(numerator: Matrix, denominator: Matrix) -> Matrix:
    """Return the ratio, and 0 where the denominator is 0."""
    shape = np.broadcast(numerator, denominator).shape
    return np.divide(numerator, denominator, out=np.zeros(shape), where=denominator > 0)
