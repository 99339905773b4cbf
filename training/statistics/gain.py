"""The gain in AUROC of one score over another on the same patients: pooled, and over centres by random effects."""

from __future__ import annotations

import numpy as np

from features.arrays import Matrix, Names, Positions, Vector
from models.evidence import RandomEffectsSummary
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.meta_analysis import random_effects
from training.statistics.metrics import N_BOOTSTRAP, auroc, bootstrap_weights, mean_over_seeds, percentile_interval

INDEPENDENT_VARIANCE = 1 / 6
"""Variance of the difference of two independent placement values, each uniform from 0 to 1."""


def auroc_gain(
    y: Vector,
    score_a: Vector | Matrix,
    score_b: Vector | Matrix,
    centres: Names,
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
    *,
    folds: Positions | None = None,
) -> IntervalEstimate:
    """Return the within-centre AUROC of `score_a` minus that of `score_b`, with a paired bootstrap interval.

    Patients are resampled within centre, and both scores are evaluated on the same draws, so that variation common to
    both cancels. Predictions are held fixed.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    score_a, score_b : ndarray, (n_samples,) or (n_seeds, n_samples)
        With several seeds, the mean of their AUROCs is compared; the numbers of seeds may differ without folds.
    centres : ndarray of str, (n_samples,)
    folds : ndarray of int, (n_samples,) or (n_seeds, n_samples), optional
        Folds of different models, the same for both scores; patients are ranked within them.
    n_bootstrap, seed : int
    """
    gain, bootstrap_gains = (
        np.subtract(
            mean_over_seeds(auroc, y, score_a, centres, weights, folds),
            mean_over_seeds(auroc, y, score_b, centres, weights, folds),
        )
        for weights in (None, bootstrap_weights(centres, n_bootstrap, seed))
    )
    return percentile_interval(gain[0], bootstrap_gains)


def gain_random_effects(
    y: Vector, score_a: Vector | Matrix, score_b: Vector | Matrix, centres: Names, folds: Positions | None = None
) -> RandomEffectsSummary:
    """Return the random-effects mean over centres of the AUROC of `score_a` minus that of `score_b`.

    The pooled interval of `auroc_gain` is that of these centres; this one allows for gains that differ between centres.
    A centre's variance is DeLong's of a paired difference (see `_fold_gain`). Parameters are those of `auroc_gain`.

    References
    ----------
    Hartung and Knapp 2001, Statistics in Medicine 20:3875-3889, for the interval.
    """
    seeds_a, seeds_b = np.atleast_2d(score_a), np.atleast_2d(score_b)
    seed_folds = np.zeros(seeds_a.shape, dtype=np.intp) if folds is None else np.atleast_2d(folds)
    gains = []
    for name in dict.fromkeys(centres.tolist()):
        mask = centres == name
        seeds = [
            _centre_gain(y[mask], a[mask], b[mask], fold[mask])
            for a, b, fold in zip(seeds_a, seeds_b, seed_folds, strict=True)
        ]
        gain, variance = np.mean(seeds, axis=0)
        if np.isfinite(gain):
            gains.append((gain, variance))
    estimates, variances = np.array(gains).reshape(-1, 2).T
    return random_effects(estimates, variances)


def _centre_gain(y: Vector, score_a: Vector, score_b: Vector, folds: Positions) -> tuple[float, float]:
    """Return a centre's gain and its variance: the mean over folds, weighted by their pairs; NaN without a pair."""
    masks = [folds == fold for fold in np.unique(folds)]
    pairs = np.array([y[mask].sum() * (1 - y[mask]).sum() for mask in masks])
    if not pairs.any():
        return np.nan, np.nan
    weights = pairs / pairs.sum()
    gains = [
        _fold_gain(y[mask], score_a[mask], score_b[mask]) if weight else (0.0, 0.0)
        for mask, weight in zip(masks, weights, strict=True)
    ]
    estimates, variances = np.array(gains).T
    return float(weights @ estimates), float(weights**2 @ variances)


def _fold_gain(y: Vector, score_a: Vector, score_b: Vector) -> tuple[float, float]:
    r"""Return the gain among patients of both classes, and its variance.

    DeLong's variance is :math:`s_{10}^2 / m + s_{01}^2 / n`, where :math:`s_{10}^2` is the variance over the :math:`m`
    events of the difference of their placement values, and :math:`s_{01}^2` that over the :math:`n` non-events. It is 0
    where the two scores rank all patients alike, and the centre would have all the weight. Each variance therefore
    counts as though one more patient had been seen whose two placement values are independent.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837-845.
    """
    difference = _wins(y, score_a) - _wins(y, score_b)
    variance = 0.0
    for placements in (difference.mean(axis=1), difference.mean(axis=0)):
        squares = float(((placements - placements.mean()) ** 2).sum())
        variance += (squares + INDEPENDENT_VARIANCE) / len(placements) ** 2
    return float(difference.mean()), variance


def _wins(y: Vector, score: Vector) -> Matrix:
    """Return 1 where an event has the higher score, a half where scores tie, else 0, (n_events, n_non_events)."""
    wins: Matrix = np.sign(np.subtract.outer(score[y == 1], score[y == 0])) / 2 + 0.5
    return wins
