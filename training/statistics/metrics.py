"""Discrimination and accuracy of predictions, each with a bootstrap interval.

A metric takes outcomes, scores and, for the bootstrap, how often each sample counts in each draw, and returns one value
for each draw. Where models of several folds predicted the samples, a metric of ranking takes the folds too, and never
ranks the prediction of one model against that of another: each fold's model has a prevalence of its own, which is the
lower the more events are held out, so that ranks across folds would be wrong even where nothing is predicted (Parker,
Günter and Bedo 2007, BMC Bioinformatics 8:326).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from features.arrays import Matrix, Names, Positions, Vector
from training.statistics.interval_estimate import IntervalEstimate

Metric = Callable[..., Vector]
"""`metric(y, score, weights)`, and of a metric of ranking `metric(y, score, weights, folds)`."""
N_BOOTSTRAP = 1000


def auroc(y: Vector, score: Vector, weights: Matrix | None = None, folds: Positions | None = None) -> Vector:
    """Return areas under the ROC curve, ties counting half; NaN in a draw without both classes.

    Parameters
    ----------
    y, score : ndarray, (n_samples,)
    weights : ndarray, (n_draws, n_samples), optional
        How often each sample counts in each draw; without weights, one draw in which each counts once.
    folds : ndarray of int, (n_samples,), optional
        The area is the share of all pairs of one fold, an event and a non-event, that are ranked rightly.

    Returns
    -------
    ndarray, (n_draws,)

    References
    ----------
    Hanley and McNeil 1982, Radiology 143:29-36.
    """
    ranked, pairs = np.zeros(1), np.zeros(1)
    for events, non_events in _weights_by_score(y, score, weights, folds):
        lower = np.cumsum(non_events, axis=1) - non_events
        ranked = ranked + (events * (lower + non_events / 2)).sum(axis=1)
        pairs = pairs + events.sum(axis=1) * non_events.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Vector = ranked / pairs
    return area


def auprc(y: Vector, score: Vector, weights: Matrix | None = None, folds: Positions | None = None) -> Vector:
    """Return average precisions, with the arrays of `auroc`; NaN in a draw without events.

    The precision at an event is that among the samples of its fold.
    """
    precisions, n_events = np.zeros(1), np.zeros(1)
    for ascending in _weights_by_score(y, score, weights, folds):
        events, non_events = (weight[:, ::-1] for weight in ascending)
        true_positives = np.cumsum(events, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.nan_to_num(true_positives / (true_positives + np.cumsum(non_events, axis=1)))
        precisions = precisions + (events * precision).sum(axis=1)
        n_events = n_events + events.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        average: Vector = precisions / n_events
    return average


def brier_score(y: Vector, probability: Vector, weights: Matrix | None = None) -> Vector:
    """Return mean squared differences of probability and outcome, with the arrays of `auroc`."""
    weights = np.ones((1, len(y))) if weights is None else weights
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Vector = weights @ (probability - y) ** 2 / weights.sum(axis=1)
    return mean


def calibration_in_the_large(y: Vector, probability: Vector, weights: Matrix | None = None) -> Vector:
    """Return the prevalence minus the mean probability, with the arrays of `auroc`."""
    weights = np.ones((1, len(y))) if weights is None else weights
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(weights @ (y - probability) / weights.sum(axis=1))


def log_loss(y: Vector, margin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean log loss of log-odds along the last axis, (..., n_samples) to (...)."""
    return np.asarray(np.mean(np.logaddexp(0, margin) - y * margin, axis=-1))


def mean_within_centres(
    metric: Metric,
    y: Vector,
    score: Vector,
    centres: Names,
    weights: Matrix | None = None,
    folds: Positions | None = None,
) -> Vector:
    """Return the mean of a metric over centres, weighted by their number of patients, (n_draws,).

    Patients of different centres are never ranked against each other, since a difference in prevalence between centres
    would then count as skill; nor, given folds, are those that different models predicted. A centre in which the metric
    is undefined has no weight.
    """
    total, size = np.zeros(1), np.zeros(1)
    for name in dict.fromkeys(centres.tolist()):
        mask = centres == name
        of_folds = () if folds is None else (folds[mask],)
        value = metric(y[mask], score[mask], None if weights is None else weights[:, mask], *of_folds)
        total = total + np.where(np.isfinite(value), value, 0) * mask.sum()
        size = size + np.isfinite(value) * mask.sum()
    return np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0)


def mean_over_seeds(
    metric: Metric,
    y: Vector,
    scores: Vector | Matrix,
    centres: Names,
    weights: Matrix | None = None,
    folds: Positions | None = None,
) -> Vector:
    """Return `mean_within_centres` averaged over seeds; scores and folds are (n_samples,) or (n_seeds, n_samples)."""
    seeds = np.atleast_2d(scores)
    folds_by_seed = [None] * len(seeds) if folds is None else np.atleast_2d(folds)
    values = [
        mean_within_centres(metric, y, score, centres, weights, seed_folds)
        for score, seed_folds in zip(seeds, folds_by_seed, strict=True)
    ]
    return np.asarray(np.mean(values, axis=0))


def bootstrap_weights(centres: Names, n_bootstrap: int = N_BOOTSTRAP, seed: int = 0) -> Matrix:
    """Return how often each patient is drawn, with replacement within the centre, (n_bootstrap, n_samples)."""
    return _drawn_weights(tuple(centres.tolist()), n_bootstrap, seed)


# Every metric of a model is resampled by the same weights, and drawing them takes longer than most metrics.
@lru_cache(maxsize=8)
def _drawn_weights(names: tuple[str, ...], n_bootstrap: int, seed: int) -> Matrix:
    rng, centres = np.random.default_rng(seed), np.array(names, dtype=object)
    weights = np.empty((n_bootstrap, len(names)))
    for name in dict.fromkeys(names):
        mask = centres == name
        n = int(mask.sum())
        weights[:, mask] = rng.multinomial(n, np.full(n, 1 / n), size=n_bootstrap)
    weights.setflags(write=False)
    return weights


def percentile_interval(value: float, bootstrap_values: Vector) -> IntervalEstimate:
    """Return a value with the 95% percentile interval of its finite bootstrap values, (n_bootstrap,)."""
    finite = bootstrap_values[np.isfinite(bootstrap_values)]
    low, high = np.quantile(finite, [0.025, 0.975]) if finite.size else (np.nan, np.nan)
    return IntervalEstimate(float(value), float(low), float(high))


def bootstrap_interval(
    metric: Metric,
    y: Vector,
    scores: Vector | Matrix,
    centres: Names,
    folds: Positions | None = None,
    seed: int = 0,
) -> IntervalEstimate:
    """Return `mean_over_seeds` with a bootstrap percentile interval over patients, resampled within centre.

    Predictions are held fixed, so that the interval omits the variation of refitting: in simulated centres of 100
    patients it contained the model's true AUROC in 88%. Arrays are those of `mean_over_seeds`.
    """
    weights = bootstrap_weights(centres, seed=seed)
    value, bootstrap_values = (mean_over_seeds(metric, y, scores, centres, draws, folds) for draws in (None, weights))
    return percentile_interval(value[0], bootstrap_values)


def _weights_by_score(
    y: Vector, score: Vector, weights: Matrix | None, folds: Positions | None
) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield each fold's weights of events and of non-events at each distinct score, ascending, (n_draws, n_scores)."""
    weights = np.ones((1, len(y))) if weights is None else weights
    for fold in [slice(None)] if folds is None else [folds == fold for fold in np.unique(folds)]:
        order = np.argsort(score[fold], kind="stable")
        ascending, events, counts = score[fold][order], y[fold][order], weights[:, fold][:, order]
        starts = np.flatnonzero(np.diff(ascending, prepend=-np.inf) > 0) if len(events) else np.zeros(0, dtype=np.intp)
        yield np.add.reduceat(counts * events, starts, axis=1), np.add.reduceat(counts * (1 - events), starts, axis=1)
