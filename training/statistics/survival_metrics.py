"""What is measured of left-out log-hazards and risks, where some patients are censored and some die first.

An outcome is `y`, (n_samples, 2): days, and how they end, as in `features.survival`. Who dies first never has the event
and counts as free of it from then on. Metrics take and return arrays as `training.statistics.metrics.auroc` does, so
that `training.statistics.metrics.bootstrap_interval` can resample them; censoring is estimated anew in each draw, by
Kaplan and Meier.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.survival import CENSORED, DEATH, EVENT
from training.statistics.arrays import Matrix, Vector
from training.statistics.life_table import draw_weights, followed_beyond, life_table, ratio_or_zero


def harrell_c(y: Matrix, score: Vector, weights: Matrix | None = None) -> Vector:
    """Return the share of comparable pairs in which who had the event first scores higher, ties counting half.

    References
    ----------
    Harrell, Lee and Mark 1996, Statistics in Medicine 15:361-387; Wolbers, Koller, Witteman and Steyerberg 2009,
    Epidemiology 20:555-561, with competing risks.
    """
    weights, later, dead = draw_weights(y, weights), *_outlived(y)
    return _concordance([(weights, later | dead, weights)], score)


def uno_c(y: Matrix, score: Vector, weights: Matrix | None = None, *, until: float = np.inf) -> Vector:
    """Return Harrell's share freed of censoring by its inverse probability, of events before a day.

    References
    ----------
    Uno, Cai, Pencina, D'Agostino and Wei 2011, Statistics in Medicine 30:1105-1117; Wolbers, Blanche, Koller, Witteman
    and Gerds 2014, Biostatistics 15:526-539, with competing risks.
    """
    weights, later, dead = draw_weights(y, weights), *_outlived(y)
    chance = _uncensored(y, weights, y[:, 0], before=True)
    seen = ratio_or_zero(weights, chance)
    early = seen * (y[:, 0] < until)
    return _concordance([(ratio_or_zero(early, chance), later, weights), (early, dead, seen)], score)


def cumulative_dynamic_auc(y: Matrix, score: Vector, weights: Matrix | None = None, *, day: float) -> Vector:
    """Return the area under the ROC curve of who has the event by a day against who has not (cumulative/dynamic).

    NaN where nobody is followed beyond the day.

    References
    ----------
    Uno, Cai, Tian and Wei 2007, Journal of the American Statistical Association 102:527-537; Blanche, Dartigues and
    Jacqmin-Gadda 2013, Statistics in Medicine 32:5381-5397, whose second definition holds with competing risks.
    """
    seen = _seen_by(y, draw_weights(y, weights), day)
    event = _event_by(y, day)
    area = _concordance([(seen, event[:, None] & ~event, seen)], score)
    return np.where(followed_beyond(y, weights, day), area, np.nan)


def survival_brier_score(y: Matrix, risk: Vector, weights: Matrix | None = None, *, day: float) -> Vector:
    """Return mean squared differences of the risk by a day and whether the event came by then.

    NaN where nobody is followed beyond the day.

    References
    ----------
    Graf, Schmoor, Sauerbrei and Schumacher 1999, Statistics in Medicine 18:2529-2545.
    """
    weights = draw_weights(y, weights)
    error = (_event_by(y, day) - risk) ** 2
    mean = (_seen_by(y, weights, day) * error).sum(axis=1) / weights.sum(axis=1)
    return np.where(followed_beyond(y, weights, day), mean, np.nan)


def survival_brier_skill(y: Matrix, risks: Matrix, weights: Matrix | None = None, *, day: float) -> Vector:
    """Return by what share a risk has a lower Brier score than another; `risks` holds both, (n_samples, 2)."""
    mine, other = (survival_brier_score(y, risk, weights, day=day) for risk in risks.T)
    return 1 - mine / other


def _uncensored(y: Matrix, weights: Matrix, at: Vector, *, before: bool) -> Matrix:
    """Return the chance not to be censored by some days, or before them, (n_draws, n_at).

    Who ends on a day otherwise does so before anyone is censored on it.
    """
    days, at_risk, ended = life_table(y, weights)
    left = np.cumprod(1 - ratio_or_zero(ended[CENSORED], at_risk - ended[EVENT] - ended[DEATH]), axis=1)
    left = np.concatenate([np.ones((len(weights), 1)), left], axis=1)
    return np.asarray(left[:, np.searchsorted(days, at, side="left" if before else "right")], dtype=np.float64)


def _event_by(y: Matrix, day: float) -> NDArray[np.bool_]:
    return np.asarray((y[:, 1] == EVENT) & (y[:, 0] <= day))


def _seen_by(y: Matrix, weights: Matrix, day: float) -> Matrix:
    """Return weights over the chance to be seen with one's state of the day, (n_draws, n_samples); 0 if censored."""
    known = (y[:, 0] > day) | (y[:, 1] != CENSORED)
    chance = np.where(
        y[:, 0] > day,
        _uncensored(y, weights, np.array([day]), before=False),
        _uncensored(y, weights, y[:, 0], before=True),
    )
    return ratio_or_zero(weights * known, chance)


def _outlived(y: Matrix) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which others outlived a patient's event, and which had died before it, both (n_samples, n_samples)."""
    time, code = y.T
    case = (code == EVENT)[:, None]
    dead = case & (code == DEATH) & (time <= time[:, None])
    later = case & ((time > time[:, None]) | ((time == time[:, None]) & (code == CENSORED)))
    return later, dead


def _concordance(parts: list[tuple[Matrix, NDArray[np.bool_], Matrix]], score: Vector) -> Vector:
    """Return the weighted share of pairs whose first scores higher; each part is weights, pairs and weights."""
    higher = (score[:, None] > score) + (score[:, None] == score) / 2
    won = sum((((left @ (pairs * higher)) * right).sum(axis=1) for left, pairs, right in parts), start=np.zeros(1))
    total = sum((((left @ pairs) * right).sum(axis=1) for left, pairs, right in parts), start=np.zeros(1))
    return np.divide(won, total, out=np.full(total.shape, np.nan), where=total > 0)
