"""What is measured of left-out predictions, each with its interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from models.bundle import Calibration

Vector = NDArray[np.float64]
N_BOOTSTRAP = 1000


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval."""

    value: float
    low: float
    high: float


def auroc(y: Vector, score: Vector) -> float:
    """Return the area under the ROC curve, by ranks; NaN when only one class is there.

    References
    ----------
    Hanley and McNeil 1982, Radiology 143:29-36.
    """
    positive = y.sum()
    negative = len(y) - positive
    if positive == 0 or negative == 0:
        return float("nan")
    return float((rankdata(score) @ y - positive * (positive + 1) / 2) / (positive * negative))


def auprc(y: Vector, probability: Vector) -> float:
    """Return average precision; NaN when there is no event."""
    return float(average_precision_score(y, probability)) if y.any() else float("nan")


def brier(y: Vector, probability: Vector) -> float:
    """Return the mean squared difference of probability and outcome."""
    return float(np.mean((probability - y) ** 2))


def within_cohorts(
    metric: Callable[[Vector, Vector], float], y: Vector, score: Vector, cohorts: NDArray[np.object_]
) -> float:
    """Return a metric's mean over cohorts, weighted by their patients.

    Ranks are never compared between cohorts: there, what a cohort's prevalence does to its scores would count as skill.
    """
    values, weights = [], []
    for name in np.unique(cohorts.astype(str)):
        mine = cohorts == name
        value = metric(y[mine], score[mine])
        if np.isfinite(value):
            values.append(value)
            weights.append(mine.sum())
    return float(np.average(values, weights=weights)) if values else float("nan")


def interval(
    metric: Callable[[Vector, Vector], float], y: Vector, score: Vector, cohorts: NDArray[np.object_], seed: int = 0
) -> Estimate:
    """Return `within_cohorts` with a bootstrap percentile interval over patients, resampled within cohort.

    Predictions are held fixed, so the interval understates what refitting would add.
    """
    rng = np.random.default_rng(seed)
    parts = [np.flatnonzero(cohorts == name) for name in np.unique(cohorts.astype(str))]
    drawn = []
    for _ in range(N_BOOTSTRAP):
        again = np.concatenate([rng.choice(part, len(part)) for part in parts])
        drawn.append(within_cohorts(metric, y[again], score[again], cohorts[again]))
    finite = np.asarray(drawn)[np.isfinite(drawn)]
    low, high = np.quantile(finite, [0.025, 0.975]) if finite.size else (np.nan, np.nan)
    return Estimate(within_cohorts(metric, y, score, cohorts), float(low), float(high))


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
