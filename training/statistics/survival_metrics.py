"""Discrimination and accuracy of held-out log-hazards and risks, under censoring and death as a competing risk.

An outcome is `y`, (n_samples, 2): days, and how they end, as in `features.survival`. A patient who dies first never has
the event, and counts as free of it from then on. Metrics take and return arrays as `training.statistics.metrics.auroc`
does, so that the same bootstrap applies; the probability of being uncensored is estimated anew in each draw, by
Kaplan and Meier. Given folds, (n_samples,), only patients whom one fold's model predicted are compared: a fold's
log-hazards have a baseline of their own.
"""

from __future__ import annotations

import numpy as np

from features.arrays import Mask, Matrix, Positions, Vector
from features.survival import CENSORED, DEATH, EVENT
from training.statistics.life_table import draw_weights, followed_beyond, life_table, ratio_or_zero

Pairs = Mask
"""Which patient, by row, is compared with which, by column, (n_samples, n_samples)."""


def harrell_c(y: Matrix, score: Vector, weights: Matrix | None = None, folds: Positions | None = None) -> Vector:
    """Return Harrell's concordance: the share of comparable pairs in which the earlier event has the higher score.

    Ties of the score count half.

    See Also
    --------
    uno_c : weighted for censoring.

    References
    ----------
    Harrell, Lee and Mark 1996, Statistics in Medicine 15:361-387; Wolbers, Koller, Witteman and Steyerberg 2009,
    Epidemiology 20:555-561, with competing risks.
    """
    weights, (outlived, dead) = draw_weights(y, weights), _comparable_pairs(y)
    return _concordance([(weights, outlived | dead, weights)], score, folds)


def uno_c(
    y: Matrix,
    score: Vector,
    weights: Matrix | None = None,
    folds: Positions | None = None,
    *,
    horizon: float = np.inf,
) -> Vector:
    """Return Uno's concordance: Harrell's, weighted by the inverse probability of being uncensored.

    Only events before the horizon, in days, count.

    References
    ----------
    Uno, Cai, Pencina, D'Agostino and Wei 2011, Statistics in Medicine 30:1105-1117; Wolbers, Blanche, Koller, Witteman
    and Gerds 2014, Biostatistics 15:526-539, with competing risks.
    """
    weights, (outlived, dead) = draw_weights(y, weights), _comparable_pairs(y)
    uncensored = _probability_uncensored(y, weights, y[:, 0], through=False)
    ipcw = ratio_or_zero(weights, uncensored)
    early = ipcw * (y[:, 0] < horizon)
    return _concordance([(ratio_or_zero(early, uncensored), outlived, weights), (early, dead, ipcw)], score, folds)


def cumulative_dynamic_auc(
    y: Matrix, score: Vector, weights: Matrix | None = None, folds: Positions | None = None, *, day: float
) -> Vector:
    """Return the cumulative/dynamic AUC: patients with the event by a day against patients without.

    NaN in a draw in which no patient is followed beyond the day.

    References
    ----------
    Uno, Cai, Tian and Wei 2007, Journal of the American Statistical Association 102:527-537; Blanche, Dartigues and
    Jacqmin-Gadda 2013, Statistics in Medicine 32:5381-5397, whose second definition holds with competing risks.
    """
    ipcw = _ipcw(y, draw_weights(y, weights), day)
    event = _event_by_day(y, day)
    area = _concordance([(ipcw, event[:, None] & ~event, ipcw)], score, folds)
    return np.where(followed_beyond(y, weights, day), area, np.nan)


def survival_brier_score(y: Matrix, risk: Vector, weights: Matrix | None = None, *, day: float) -> Vector:
    """Return the Brier score at a day: the mean squared difference of the risk and the event by then.

    Weighted by the inverse probability of being uncensored; NaN in a draw in which no patient is followed beyond the
    day.

    References
    ----------
    Graf, Schmoor, Sauerbrei and Schumacher 1999, Statistics in Medicine 18:2529-2545.
    """
    weights = draw_weights(y, weights)
    error = (_event_by_day(y, day) - risk) ** 2
    mean = (_ipcw(y, weights, day) * error).sum(axis=1) / weights.sum(axis=1)
    return np.where(followed_beyond(y, weights, day), mean, np.nan)


def survival_brier_skill(y: Matrix, risks: Matrix, weights: Matrix | None = None, *, day: float) -> Vector:
    """Return the Brier skill score at a day, 1 - B / B_reference; `risks` holds model and reference, (n_samples, 2)."""
    model, reference = (survival_brier_score(y, risk, weights, day=day) for risk in risks.T)
    return 1 - model / reference


def _probability_uncensored(y: Matrix, weights: Matrix, days: Vector, *, through: bool) -> Matrix:
    """Return the probability of being uncensored before each day, or through it, (n_draws, n_days).

    Events and deaths on a day precede the censoring on it.
    """
    steps, at_risk, endings = life_table(y, weights)
    hazard = ratio_or_zero(endings[CENSORED], at_risk - endings[EVENT] - endings[DEATH])
    probability = np.concatenate([np.ones((len(weights), 1)), np.cumprod(1 - hazard, axis=1)], axis=1)
    position = np.searchsorted(steps, days, side="right" if through else "left")
    return np.asarray(probability[:, position], dtype=np.float64)


def _event_by_day(y: Matrix, day: float) -> Mask:
    return np.asarray((y[:, 1] == EVENT) & (y[:, 0] <= day))


def _ipcw(y: Matrix, weights: Matrix, day: float) -> Matrix:
    """Return weights over the probability that a patient's state on a day is observed, (n_draws, n_samples).

    0 for patients censored by then.
    """
    followed = y[:, 0] > day
    probability = np.where(
        followed,
        _probability_uncensored(y, weights, np.array([day]), through=True),
        _probability_uncensored(y, weights, y[:, 0], through=False),
    )
    return ratio_or_zero(weights * (followed | (y[:, 1] != CENSORED)), probability)


def _comparable_pairs(y: Matrix) -> tuple[Pairs, Pairs]:
    """Return which patients outlive a patient's event, and which have died before it."""
    time, code = y.T
    event = (code == EVENT)[:, None]
    dead = event & (code == DEATH) & (time <= time[:, None])
    outlived = event & ((time > time[:, None]) | ((time == time[:, None]) & (code == CENSORED)))
    return outlived, dead


def _concordance(parts: list[tuple[Matrix, Pairs, Matrix]], score: Vector, folds: Positions | None) -> Vector:
    """Return the weighted share of pairs of one fold whose first patient has the higher score, (n_draws,).

    Each part holds the weights of the first patients, the pairs, and the weights of the second patients.
    """
    higher = (score[:, None] > score) + (score[:, None] == score) / 2
    concordant: Vector = np.zeros(1)
    total: Vector = np.zeros(1)
    is_comparable = True if folds is None else folds[:, None] == folds
    for first_weights, all_pairs, second_weights in parts:
        pairs = all_pairs & is_comparable
        concordant = concordant + ((first_weights @ (pairs * higher)) * second_weights).sum(axis=1)
        total = total + ((first_weights @ pairs) * second_weights).sum(axis=1)
    return np.asarray(np.divide(concordant, total, out=np.full(total.shape, np.nan), where=total > 0))
