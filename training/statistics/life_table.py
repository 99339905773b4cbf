"""Life tables of bootstrap draws: who is at risk on each day, and whose time ends how."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.survival import CENSORED, DEATH, EVENT
from training.statistics.arrays import Matrix, Vector


def draw_weights(y: Matrix, weights: Matrix | None) -> Matrix:
    """Return the weights, (n_draws, n_samples); where there are none, one draw in which each patient counts once."""
    return np.ones((1, len(y))) if weights is None else weights


def ratio_or_zero(part: Matrix, whole: Matrix) -> Matrix:
    """Return `part / whole`, and 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)


def life_table(y: Matrix, weights: Matrix) -> tuple[Vector, Matrix, Matrix]:
    """Return the days, who is at risk on each, (n_draws, n_days), and whose time ends how, (3, n_draws, n_days)."""
    order = np.argsort(y[:, 0], kind="stable")
    days, starts = np.unique(y[order, 0], return_index=True)
    weights, code = weights[:, order], y[order, 1]
    ended = np.stack([np.add.reduceat(weights * (code == k), starts, axis=1) for k in (CENSORED, EVENT, DEATH)])
    leaving = ended.sum(axis=0)
    return days, np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1], ended


def followed_beyond(y: Matrix, weights: Matrix | None, day: float) -> NDArray[np.bool_]:
    """Return in which draws at least one patient is followed beyond a day, (n_draws,)."""
    return np.asarray((draw_weights(y, weights) * (y[:, 0] > day)).any(axis=1))
