"""Held-out predictions by nested validation, with everything fitted inside the fold.

Every fold, outer or inner, needs a family's grid fitted to some training rows, and the log-odds of other rows. The
inner split of cohort B inside the outer fold of cohort A has the same training rows as the inner split of A inside the
fold of B. Each distinct set of training rows is therefore fitted once, in parallel, and the folds are assembled
afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from features.arrays import Positions, Vector
from features.feature_table import FeatureTable
from training.validation.config import FitConfig, ValidationTask
from training.validation.folds import Fold, Split, inner_splits
from training.validation.grid import Grid, GridFit, GridKey, fit_grid, grid_key
from training.validation.inner_validation import InnerValidation, uncalibrated_average, validate_inside
from training.validation.refit import Fit, refit_on_all_rows
from training.workers import EVERY_CORE, Workers

NestedFold = tuple[Fold, list[Split] | None]
"""An outer fold with its inner splits, as positions in the table; None where it is not calibrated."""


@dataclass(frozen=True)
class HeldOut:
    """One family's predictions for the held-out rows of one fold.

    Attributes
    ----------
    fold : Fold
    margin : ndarray, (n_test,)
        Log-odds relative to the mean of the training rows, so that folds compare.
    probability : ndarray, (n_test,)
        Calibrated.
    inner_validation : InnerValidation
    """

    fold: Fold
    margin: Vector
    probability: Vector
    inner_validation: InnerValidation


@dataclass(frozen=True)
class ValidatedFamily:
    """One family's held-out predictions in every fold, and its fit to every row where that was requested."""

    held_out: list[HeldOut]
    fit: Fit | None


def validate(
    table: FeatureTable,
    y: Vector,
    config: FitConfig,
    outer: Sequence[Fold],
    *,
    refit: bool = False,
    calibrate: bool = True,
    workers: Workers = EVERY_CORE,
    on_start: Callable[[int], object] = lambda jobs: None,
    on_step: Callable[[], object] = lambda: None,
) -> dict[str, ValidatedFamily]:
    """Predict every fold's held-out rows with every family.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
        0 or 1.
    config : FitConfig
    outer : sequence of Fold
    refit : bool
        Whether to fit each family to every row too.
    calibrate : bool
        Without calibration an average ranks the patients of a fold alike, and needs no inner fit. Selection by inner
        validation needs them in any case.
    workers : Workers
        What fits the grids.
    on_start, on_step : callable
        Called with the number of grids to fit, and after each.

    Returns
    -------
    dict of str to ValidatedFamily
        By family.
    """
    task, every_row = ValidationTask(table, y, config), np.arange(len(y))
    calibrate = calibrate or not config.averages
    nested: list[NestedFold] = [(fold, _inner_splits(task, fold, outer) if calibrate else None) for fold in outer]
    all_rows = Fold("all", "all", 0, every_row, every_row[:0])
    all_rows_splits = _inner_splits(task, all_rows, outer) if refit else []
    required = _required_grids(task, [*nested, (all_rows, all_rows_splits)])
    on_start(len(required))
    grids: dict[GridKey, Grid] = {}
    # BLAS keeps to one thread, since the grids already occupy every core.
    with threadpool_limits(1, "blas"):
        fits = [GridFit(key.family, train, np.array(sorted(rows)), key.seed) for key, (train, rows) in required.items()]
        for key, grid in zip(required, workers.run(fit_grid, task, fits), strict=True):
            grids[key] = grid
            on_step()
        validated = {}
        for family in config.families:
            held_out = [_held_out(task, family, fold, inner, grids) for fold, inner in nested]
            fit = None
            if refit:
                fit = refit_on_all_rows(task, family, validate_inside(task, family, all_rows, all_rows_splits, grids))
            validated[family] = ValidatedFamily(held_out, fit)
        return validated


def _inner_splits(task: ValidationTask, fold: Fold, outer: Sequence[Fold]) -> list[Split]:
    """Return a fold's inner splits, as positions in the table.

    An average is calibrated on the other folds of the same scheme and repeat, if there are two: so fold A without the
    rows of B, and fold B without the rows of A, share one fit.
    """
    config, y = task.config, task.y
    calibration_folds = [item for item in outer if (item.scheme, item.repeat) == (fold.scheme, fold.repeat)]
    calibration_folds = [item for item in calibration_folds if item.name != fold.name]
    if config.averages and len(calibration_folds) > 1:
        splits = [
            (np.setdiff1d(fold.train, item.test), np.intersect1d(fold.train, item.test)) for item in calibration_folds
        ]
        return [(train, test) for train, test in splits if 0 < y[train].sum() < len(train)]
    rows = task.table.rows.iloc[fold.train]
    splits = inner_splits(rows, y[fold.train], config.n_folds, config.seed + fold.repeat)
    return [(fold.train[train], fold.train[test]) for train, test in splits]


def _required_grids(task: ValidationTask, nested: Sequence[NestedFold]) -> dict[GridKey, tuple[Positions, set[int]]]:
    """Return the training rows of every grid to fit, and the rows that it predicts."""
    required: dict[GridKey, tuple[Positions, set[int]]] = {}
    for fold, inner in nested:
        for train, test in (*(inner or ()), *([(fold.train, fold.test)] if len(fold.test) else ())):
            for family in task.config.families:
                key = grid_key(task.config, family, train, fold)
                required.setdefault(key, (train, set()))[1].update(test.tolist())
    return required


def _held_out(
    task: ValidationTask, family: str, fold: Fold, inner: list[Split] | None, grids: Mapping[GridKey, Grid]
) -> HeldOut:
    inner_validation = (
        uncalibrated_average(task, fold) if inner is None else validate_inside(task, family, fold, inner, grids)
    )
    grid = grids[grid_key(task.config, family, fold.train, fold)]
    points = zip(task.config.predictor_blocks(family), inner_validation.points, strict=True)
    margin = inner_validation.weights @ np.stack([grid[blocks][point, fold.test] for blocks, point in points])
    return HeldOut(fold, margin, inner_validation.calibration.probability(margin), inner_validation)
