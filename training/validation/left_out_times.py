"""Left-out predictions of when an event comes: every family, chosen and calibrated inside each fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from features.landmark import FeatureTable
from features.outcomes import MONTH
from features.survival import EVENT
from models.encoder import BlockEncoder
from training.statistics.hazards import SURVIVAL_FAMILIES, log_partial_likelihood, risk_curve
from training.statistics.metrics import Estimate, Metric, bootstrap_weights, percentiles, within_cohorts
from training.statistics.survival_metrics import auroc_by, brier_by, brier_skill_by, harrell_c, uno_c
from training.validation.left_out import Fold
from training.validation.splits import inner_splits, strata

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

HORIZONS = (3, 6, 12, 24)
"""Months from the landmark at which risks are measured, where patients are followed beyond them."""


@dataclass(frozen=True)
class SurvivalLeftOut:
    """One family's predictions for the rows of one fold, none of which it had seen.

    Attributes
    ----------
    fold : Fold
    margin : ndarray, (n_test,)
        Log-hazards.
    risk, average : ndarray, (n_test, n_horizons)
        Chances of the event by each of `HORIZONS`, from the log-hazards, and without them; NaN where nobody of the
        training rows was followed so long.
    setting : dict
        What inner validation chose.
    """

    fold: Fold
    margin: Vector
    risk: Matrix
    average: Matrix
    setting: dict[str, Any]


@dataclass(frozen=True)
class Predictions:
    """Left-out predictions by row; `rows` are positions in the table, the rest as in `SurvivalLeftOut`."""

    rows: NDArray[np.intp]
    margin: Vector
    risk: Matrix
    average: Matrix

    def take(self, kept: NDArray[np.bool_]) -> Predictions:
        """Return some of the rows."""
        return Predictions(self.rows[kept], self.margin[kept], self.risk[kept], self.average[kept])


def validate_survival(
    table: FeatureTable,
    y: Matrix,
    encoders: Sequence[BlockEncoder],
    outer: Sequence[Fold],
    *,
    n_folds: int,
    seed: int,
    workers: int = -1,
    done: Callable[[], object] = lambda: None,
) -> dict[str, list[SurvivalLeftOut]]:
    """Predict every fold's left-out rows with every family.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows, 2)
        Days from the landmark, and how they end.
    encoders : sequence of BlockEncoder
        Unfitted; fitted anew inside each fold. Of several, inner validation chooses.
    outer : sequence of Fold
    n_folds, seed : int
        Of inner validation.
    workers : int
        Threads; -1 is one for each core. The results are the same whatever their number.
    done : callable
        Called after each fold.

    Returns
    -------
    dict of str to list of SurvivalLeftOut
        By family, in the order of `outer`.
    """
    jobs = (delayed(_one_fold)(table, y, encoders, fold, n_folds, seed + fold.repeat) for fold in outer)
    found: dict[str, list[SurvivalLeftOut]] = {family: [] for family in SURVIVAL_FAMILIES}
    with threadpool_limits(1, "blas"):
        for results in Parallel(workers, prefer="threads", return_as="generator")(jobs):
            for family, result in results.items():
                found[family].append(result)
            done()
    return found


def by_repeat(left_out: Sequence[SurvivalLeftOut]) -> list[Predictions]:
    """Return one scheme's left-out predictions, those of each repeat together."""
    repeats: dict[int, list[tuple[Any, ...]]] = {}
    for one in left_out:
        repeats.setdefault(one.fold.repeat, []).append((one.fold.test, one.margin, one.risk, one.average))
    return [Predictions(*map(np.concatenate, zip(*found, strict=True))) for found in repeats.values()]


def measured(y: Matrix, names: NDArray[np.object_], repeats: Sequence[Predictions]) -> dict[str, Estimate]:
    """Return what is measured of left-out predictions, the mean over repeats, each with its interval.

    Harrell's `c`; Uno's `uno_c` of the events of the last horizon's months; and for each horizon the cumulative/dynamic
    `auroc`, the `brier` score and its `brier_skill` over the average risk, such as `auroc_12m`. Rows of one name are
    compared with each other alone, and the names' values averaged by their patients. The bootstrap draws patients
    within names and holds predictions fixed, so that intervals understate what refitting would add.

    Parameters
    ----------
    y : ndarray, (n_rows, 2)
        Of every row of the table, as `names`.
    names : ndarray of str, (n_rows,)
        Each row's cohort.
    repeats : sequence of Predictions
    """
    margins = [one.margin for one in repeats]
    metrics: dict[str, tuple[Metric, list[Matrix]]] = {
        "c": (harrell_c, margins),
        "uno_c": (partial(uno_c, until=HORIZONS[-1] * MONTH), margins),
    }
    for k, months in enumerate(HORIZONS):
        day = months * MONTH
        metrics[f"auroc_{months}m"] = partial(auroc_by, day=day), margins
        metrics[f"brier_{months}m"] = partial(brier_by, day=day), [one.risk[:, k] for one in repeats]
        both = [np.column_stack([one.risk[:, k], one.average[:, k]]) for one in repeats]
        metrics[f"brier_skill_{months}m"] = partial(brier_skill_by, day=day), both
    once, often = np.ones((1, len(y))), bootstrap_weights(names)
    found = {}
    for name, (metric, scores) in metrics.items():
        value, drawn = (
            np.mean(
                [
                    within_cohorts(metric, y[one.rows], score, names[one.rows], weights[:, one.rows])
                    for one, score in zip(repeats, scores, strict=True)
                ],
                axis=0,
            )
            for weights in (once, often)
        )
        found[name] = percentiles(value[0], drawn)
    return found


def early_events(y: Matrix) -> Vector:
    """Return 1 for an event in the earlier half of the events, else 0; folds spread them evenly, (n_rows,)."""
    event = y[:, 1] == EVENT
    return np.asarray(event & (y[:, 0] <= np.median(y[event, 0])), dtype=np.float64)


def _one_fold(
    table: FeatureTable, y: Matrix, encoders: Sequence[BlockEncoder], fold: Fold, n_folds: int, seed: int
) -> dict[str, SurvivalLeftOut]:
    learnt, own = table.take(fold.train), y[fold.train]
    n = len(encoders)
    margins = {name: np.full((n * len(of.settings), len(own)), np.nan) for name, of in SURVIVAL_FAMILIES.items()}
    for train, other in inner_splits(learnt.rows, early_events(own), n_folds, seed):
        for name, found in _margins(learnt.take(train), own[train], learnt.take(other), encoders, seed).items():
            margins[name][:, other] = found
    outer = _margins(learnt, own, table.take(fold.test), encoders, seed)
    settings = {
        name: [{"representation": of.representation, **setting} for of in encoders for setting in family.settings]
        for name, family in SURVIVAL_FAMILIES.items()
    }
    centre = strata(learnt.rows)
    return {name: _chosen(fold, settings[name], own, centre, margins[name], outer[name]) for name in outer}


def _margins(
    train: FeatureTable, y: Matrix, other: FeatureTable, encoders: Sequence[BlockEncoder], seed: int
) -> dict[str, Matrix]:
    """Fit every setting of every family to some rows, and return the log-hazards of others, (n_settings, n_other)."""
    encoded = [(of.fit_transform(train), of.transform(other)) for of in map(clone, encoders)]
    centre = strata(train.rows)
    return {
        name: np.concatenate([family.margins(X, y, centre, asked, seed) for X, asked in encoded])
        for name, family in SURVIVAL_FAMILIES.items()
    }


def _chosen(
    fold: Fold, settings: Sequence[dict[str, Any]], y: Matrix, centre: NDArray[np.intp], margins: Matrix, outer: Matrix
) -> SurvivalLeftOut:
    """Choose a setting by the partial likelihood of inner left-out log-hazards, and calibrate risks on them.

    References
    ----------
    Dai and Breheny 2019, arXiv:1905.10432: log-hazards left out fold by fold, under one partial likelihood.
    """
    inner = np.isfinite(margins[0])
    best, margin = 0, np.zeros(len(y))
    if inner.any():
        best = int(np.argmax(log_partial_likelihood(y[inner], centre[inner], margins[:, inner])))
        y, centre, margin = y[inner], centre[inner], margins[best, inner]
    curve, flat = risk_curve(y, centre, margin), risk_curve(y, centre, np.zeros(len(y)))
    days = [months * MONTH for months in HORIZONS]
    risk, average = (np.column_stack([of.risk(outer[best], day) for day in days]) for of in (curve, flat))
    return SurvivalLeftOut(fold, outer[best], risk, average, settings[best])
