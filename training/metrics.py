"""What is measured of left-out predictions, each with its interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.bundle import Calibration

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Metric = Callable[[Vector, Vector, Matrix | None], Vector]
N_BOOTSTRAP = 1000


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval."""

    value: float
    low: float
    high: float


def auroc(y: Vector, score: Vector, weights: Matrix | None = None) -> Vector:
    """Return areas under the ROC curve, ties counting half; NaN when only one class has weight.

    Parameters
    ----------
    y, score : ndarray, (n_samples,)
    weights : ndarray, (n_draws, n_samples), optional
        How often each sample counts in each draw; once when left out.

    Returns
    -------
    ndarray, (n_draws,)

    References
    ----------
    Hanley and McNeil 1982, Radiology 143:29-36.
    """
    events, others = _by_score(y, score, weights)
    below = np.cumsum(others, axis=1) - others
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Vector = (events * (below + others / 2)).sum(axis=1) / (events.sum(axis=1) * others.sum(axis=1))
    return area


def auprc(y: Vector, score: Vector, weights: Matrix | None = None) -> Vector:
    """Return average precisions, as `auroc` takes and returns its arrays; NaN when no event has weight."""
    events, others = (side[:, ::-1] for side in _by_score(y, score, weights))
    found = np.cumsum(events, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(found / (found + np.cumsum(others, axis=1)))
        average: Vector = (events * precision).sum(axis=1) / events.sum(axis=1)
    return average


def brier(y: Vector, probability: Vector, weights: Matrix | None = None) -> Vector:
    """Return mean squared differences of probability and outcome, as `auroc` takes and returns its arrays."""
    weights = np.ones((1, len(y))) if weights is None else weights
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Vector = weights @ (probability - y) ** 2 / weights.sum(axis=1)
    return mean


def within_cohorts(
    metric: Metric, y: Vector, score: Vector, cohorts: NDArray[np.object_], weights: Matrix | None = None
) -> Vector:
    """Return a metric's means over cohorts, weighted by their patients, (n_draws,).

    Ranks are never compared between cohorts: there, what a cohort's prevalence does to its scores would count as skill.
    A cohort in which the metric cannot be measured is left out.
    """
    total, size = np.zeros(1), np.zeros(1)
    for name in dict.fromkeys(cohorts.tolist()):
        mine = cohorts == name
        value = metric(y[mine], score[mine], None if weights is None else weights[:, mine])
        total = total + np.where(np.isfinite(value), value, 0) * mine.sum()
        size = size + np.isfinite(value) * mine.sum()
    return np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0)


def interval(metric: Metric, y: Vector, score: Vector, cohorts: NDArray[np.object_], seed: int = 0) -> Estimate:
    """Return `within_cohorts` with a bootstrap percentile interval over patients, resampled within cohort.

    Predictions are held fixed, so the interval understates what refitting would add.
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((N_BOOTSTRAP, len(y)))
    for name in dict.fromkeys(cohorts.tolist()):
        mine = cohorts == name
        n = int(mine.sum())
        weights[:, mine] = rng.multinomial(n, np.full(n, 1 / n), size=N_BOOTSTRAP)
    drawn = within_cohorts(metric, y, score, cohorts, weights)
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn.size else (np.nan, np.nan)
    return Estimate(float(within_cohorts(metric, y, score, cohorts)[0]), float(low), float(high))


def _by_score(y: Vector, score: Vector, weights: Matrix | None) -> tuple[Matrix, Matrix]:
    """Return the weight of events and of others at each distinct score, rising, both (n_draws, n_scores)."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0) if len(y) else np.zeros(0, dtype=np.intp)
    weights = np.ones((1, len(y))) if weights is None else weights
    weights, events = weights[:, order], y[order]
    return np.add.reduceat(weights * events, starts, axis=1), np.add.reduceat(weights * (1 - events), starts, axis=1)


def log_loss(y: Vector, margin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean log loss of log-odds along the last axis, (..., n_samples) to (...)."""
    return np.asarray(np.mean(np.logaddexp(0, margin) - y * margin, axis=-1))


def platt_calibration(y: Vector, margin: Vector) -> Calibration:
    """Return the calibration of left-out log-odds; its slope is never below 0.

    Where left-out log-odds have no skill the slope falls to 0 and every answer is the prevalence.

    References
    ----------
    Platt 1999, with his smoothed targets, Advances in Large Margin Classifiers 61-74.
    """
    events, others = y.sum(), len(y) - y.sum()
    target = np.where(y == 1, (events + 1) / (events + 2), 1 / (others + 2))

    def loss(at: Vector) -> tuple[float, Vector]:
        z = at[0] * margin + at[1]
        residual = 1 / (1 + np.exp(-z)) - target
        value = float(np.mean(np.logaddexp(0, z) - target * z)) + 1e-6 * at[0] ** 2
        return value, np.array([np.mean(residual * margin) + 2e-6 * at[0], np.mean(residual)])

    start = np.array([0.5, np.log((events + 1) / (others + 1))])
    slope, intercept = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]).x
    return Calibration(float(slope), float(intercept))


def calibration_line(y: Vector, probability: Vector) -> tuple[float, float]:
    """Return slope and intercept of logistic recalibration; NaN slope where predictions are near constant.

    References
    ----------
    Cox 1958, Biometrika 45:562-565.
    """
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    logit = np.log(p / (1 - p))
    if logit.std() < 0.01 or not 0 < y.sum() < len(y):
        return float("nan"), float("nan")

    def loss(at: Vector) -> float:
        return float(log_loss(y, at[0] * logit + at[1]))

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), method="BFGS").x
    return float(slope), float(intercept)
