"""Held-out predictions of the time to an event: every family, tuned and calibrated inside each fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from features.arrays import Matrix, Positions, Vector
from features.feature_table import FeatureTable
from features.outcomes import DAYS_PER_MONTH
from features.survival import EVENT
from models.encoder import BlockEncoder, representation_name
from training.statistics.cox import log_partial_likelihood
from training.statistics.risk_curve import risk_curve
from training.statistics.survival_families import SURVIVAL_FAMILIES
from training.validation.folds import Fold, centre_codes, inner_splits
from training.workers import EVERY_CORE, Workers

HORIZONS = (3, 6, 12, 24)
"""Months from the landmark at which risks are predicted and scored, as far as follow-up allows."""


@dataclass(frozen=True)
class SurvivalFitConfig:
    """What is fitted inside every fold.

    Attributes
    ----------
    encoder : BlockEncoder
        Unfitted.
    n_folds, seed : int
        Of inner validation.
    """

    encoder: BlockEncoder
    n_folds: int
    seed: int

    def grid(self, family: str) -> list[dict[str, int | float | str]]:
        """Return the settings of a family with the representation, in the order of its margins."""
        representation = representation_name(self.encoder.representation)
        return [{"representation": representation, **setting} for setting in SURVIVAL_FAMILIES[family].settings]


@dataclass(frozen=True)
class SurvivalHeldOut:
    """One family's predictions for the held-out rows of one fold.

    Attributes
    ----------
    fold : Fold
    margin : ndarray, (n_test,)
        Log-hazards.
    risk : ndarray, (n_test, n_horizons)
        Probabilities of the event by each of `HORIZONS`; NaN beyond the follow-up of the training rows.
    average : ndarray, (n_test, n_horizons)
        The same without regard to the log-hazards.
    setting : dict
        The setting that inner validation selected.
    """

    fold: Fold
    margin: Vector
    risk: Matrix
    average: Matrix
    setting: dict[str, int | float | str]


def validate_survival(
    table: FeatureTable,
    y: Matrix,
    config: SurvivalFitConfig,
    outer: Sequence[Fold],
    *,
    workers: Workers = EVERY_CORE,
    on_step: Callable[[], object] = lambda: None,
) -> dict[str, list[SurvivalHeldOut]]:
    """Predict every fold's held-out rows with every family.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows, 2)
        Days from the landmark, and how they end, as in `features.survival`.
    config : SurvivalFitConfig
    outer : sequence of Fold
    workers : Workers
        What fits the folds.
    on_step : callable
        Called after each fold.

    Returns
    -------
    dict of str to list of SurvivalHeldOut
        By family, in the order of `outer`.
    """
    held_out: dict[str, list[SurvivalHeldOut]] = {family: [] for family in SURVIVAL_FAMILIES}
    with threadpool_limits(1, "blas"):
        for fold_predictions in workers.run(_predict_fold, _SurvivalTask(table, y, config), outer):
            for family, prediction in fold_predictions.items():
                held_out[family].append(prediction)
            on_step()
    return held_out


def early_events(y: Matrix) -> Vector:
    """Return 1 for an event in the earlier half of the events, else 0, (n_rows,); folds are stratified by it."""
    event = y[:, 1] == EVENT
    return np.asarray(event & (y[:, 0] <= np.median(y[event, 0])), dtype=np.float64)


class _SurvivalTask(NamedTuple):
    """A table, the times to its events, and what is fitted to them."""

    table: FeatureTable
    y: Matrix
    config: SurvivalFitConfig


def _predict_fold(task: _SurvivalTask, fold: Fold) -> dict[str, SurvivalHeldOut]:
    table, y, config = task
    train, y_train, seed = table.take(fold.train), y[fold.train], config.seed + fold.repeat
    inner = {family: np.full((len(config.grid(family)), len(y_train)), np.nan) for family in SURVIVAL_FAMILIES}
    for inner_train, inner_test in inner_splits(train.rows, early_events(y_train), config.n_folds, seed):
        margins = _margins(train.take(inner_train), y_train[inner_train], train.take(inner_test), config, seed)
        for family, family_margins in margins.items():
            inner[family][:, inner_test] = family_margins
    outer = _margins(train, y_train, table.take(fold.test), config, seed)
    strata = centre_codes(train.rows)
    held_out = {}
    for family, margins_outer in outer.items():
        best, calibration = _selected(y_train, strata, inner[family])
        risk, average = _risks(*calibration, margins_outer[best])
        held_out[family] = SurvivalHeldOut(fold, margins_outer[best], risk, average, config.grid(family)[best])
    return held_out


def _margins(
    train: FeatureTable, y: Matrix, test: FeatureTable, config: SurvivalFitConfig, seed: int
) -> dict[str, Matrix]:
    """Fit every grid point of every family, and return the log-hazards of test rows, (n_points, n_test)."""
    encoder, strata = clone(config.encoder), centre_codes(train.rows)
    X_train, X_test = encoder.fit_transform(train), encoder.transform(test)
    return {name: family.margins(X_train, y, strata, X_test, seed) for name, family in SURVIVAL_FAMILIES.items()}


def _selected(y: Matrix, strata: Positions, margins: Matrix) -> tuple[int, tuple[Matrix, Positions, Vector]]:
    """Select a grid point by the partial likelihood of its inner held-out log-hazards.

    Returns
    -------
    best : int
    calibration : (y, strata, margin)
        The rows that inner validation predicted, with the log-hazards of the selected grid point; every row, with
        log-hazards of 0, where it predicted none.

    References
    ----------
    Dai and Breheny 2019, arXiv:1905.10432, for one partial likelihood of log-hazards from several folds.
    """
    predicted = np.isfinite(margins[0])
    if not predicted.any():
        return 0, (y, strata, np.zeros(len(y)))
    best = int(np.argmax(log_partial_likelihood(y[predicted], strata[predicted], margins[:, predicted])))
    return best, (y[predicted], strata[predicted], margins[best, predicted])


def _risks(y: Matrix, strata: Positions, inner_margin: Vector, margin: Vector) -> tuple[Matrix, Matrix]:
    """Return the risks of held-out log-hazards at `HORIZONS`, and the average risks, both (n_test, n_horizons)."""
    calibrated, average = risk_curve(y, strata, inner_margin), risk_curve(y, strata, np.zeros(len(y)))
    days = [months * DAYS_PER_MONTH for months in HORIZONS]
    risk, average_risk = (np.column_stack([curve.risk(margin, day) for day in days]) for curve in (calibrated, average))
    return risk, average_risk
