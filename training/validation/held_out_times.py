"""Left-out predictions of when an event comes: every family, chosen and calibrated inside each fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from features.feature_table import FeatureTable
from features.outcomes import MONTH
from features.survival import EVENT
from models.encoder import BlockEncoder
from training.statistics.arrays import Matrix, Positions, Vector
from training.statistics.cox import log_partial_likelihood
from training.statistics.risk_curve import risk_curve
from training.statistics.survival_families import SURVIVAL_FAMILIES
from training.validation.folds import Fold, centre_codes, inner_splits

HORIZONS = (3, 6, 12, 24)
"""Months from the landmark at which risks are measured, where patients are followed beyond them."""


@dataclass(frozen=True)
class SurvivalHeldOut:
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


def validate_survival(
    table: FeatureTable,
    y: Matrix,
    encoders: Sequence[BlockEncoder],
    outer: Sequence[Fold],
    *,
    n_folds: int,
    seed: int,
    workers: int = -1,
    on_step: Callable[[], object] = lambda: None,
) -> dict[str, list[SurvivalHeldOut]]:
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
    on_step : callable
        Called after each fold.

    Returns
    -------
    dict of str to list of SurvivalLeftOut
        By family, in the order of `outer`.
    """
    jobs = (delayed(_one_fold)(table, y, encoders, fold, n_folds, seed + fold.repeat) for fold in outer)
    found: dict[str, list[SurvivalHeldOut]] = {family: [] for family in SURVIVAL_FAMILIES}
    with threadpool_limits(1, "blas"):
        for results in Parallel(workers, prefer="threads", return_as="generator")(jobs):
            for family, result in results.items():
                found[family].append(result)
            on_step()
    return found


def early_events(y: Matrix) -> Vector:
    """Return 1 for an event in the earlier half of the events, else 0; folds spread them evenly, (n_rows,)."""
    event = y[:, 1] == EVENT
    return np.asarray(event & (y[:, 0] <= np.median(y[event, 0])), dtype=np.float64)


def _one_fold(
    table: FeatureTable, y: Matrix, encoders: Sequence[BlockEncoder], fold: Fold, n_folds: int, seed: int
) -> dict[str, SurvivalHeldOut]:
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
    centre = centre_codes(learnt.rows)
    return {name: _chosen(fold, settings[name], own, centre, margins[name], outer[name]) for name in outer}


def _margins(
    train: FeatureTable, y: Matrix, other: FeatureTable, encoders: Sequence[BlockEncoder], seed: int
) -> dict[str, Matrix]:
    """Fit every setting of every family to some rows, and return the log-hazards of others, (n_settings, n_other)."""
    encoded = [(of.fit_transform(train), of.transform(other)) for of in map(clone, encoders)]
    centre = centre_codes(train.rows)
    return {
        name: np.concatenate([family.margins(X, y, centre, asked, seed) for X, asked in encoded])
        for name, family in SURVIVAL_FAMILIES.items()
    }


def _chosen(
    fold: Fold, settings: Sequence[dict[str, Any]], y: Matrix, centre: Positions, margins: Matrix, outer: Matrix
) -> SurvivalHeldOut:
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
    return SurvivalHeldOut(fold, outer[best], risk, average, settings[best])
