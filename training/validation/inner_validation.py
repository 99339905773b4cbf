"""What inner validation selects or calibrates for one family, from the training rows of one fold alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.arrays import Positions, Vector
from models.calibration import Calibration
from training.validation.config import ValidationTask
from training.validation.folds import Fold, Split, centre_codes
from training.validation.grid import Grid, GridKey, grid_key
from training.validation.stacking import (
    calibrating_intercept,
    cross_selected_margins,
    expected_slope,
    stacking_weights,
    stratified_losses,
    within_spread,
)


@dataclass(frozen=True)
class InnerValidation:
    """Result of inner validation: selected grid points, their weights and the calibration; an average is one point.

    Attributes
    ----------
    points : tuple of int
        Position in the grid of the point selected for each predictor.
    weights : ndarray, (n_predictors,)
        Weight of each predictor in the sum of log-odds.
    calibration : Calibration
        Slope of the sum, and the intercept at which the training rows' mean probability is their prevalence.
    y, margin : ndarray, (n_calibration,)
        Outcomes of the training rows, and their weighted inner held-out log-odds.
    """

    points: tuple[int, ...]
    weights: Vector
    calibration: Calibration
    y: Vector
    margin: Vector


def validate_inside(
    task: ValidationTask, family: str, fold: Fold, inner: Sequence[Split], grids: Mapping[GridKey, Grid]
) -> InnerValidation:
    """Select each predictor's grid point, and weight and calibrate the predictors, on inner held-out log-odds.

    An average has no setting to select: it is only calibrated.

    Parameters
    ----------
    task : ValidationTask
    family : str
    fold : Fold
    inner : sequence of (train, test)
        The fold's inner splits, as positions in the table.
    grids : mapping of GridKey to Grid
        The family's grids fitted to the training rows of every inner split.
    """
    rows = np.sort(np.concatenate([test for _, test in inner])) if inner else np.zeros(0, dtype=np.intp)
    y, strata, predictor_blocks = (
        task.y[rows],
        centre_codes(task.table.rows)[rows],
        task.config.predictor_blocks(family),
    )
    if not 0 < y.sum() < len(y):
        return _prevalence_alone(task, fold, len(predictor_blocks))
    if task.config.averages:
        margin = np.full(len(task.y), np.nan)
        for train, test in inner:
            margin[test] = grids[grid_key(task.config, family, train, fold)][task.config.blocks][0, test]
        return calibrate_average(y, margin[rows], strata)
    groups = [np.searchsorted(rows, test) for _, test in inner]
    points, crossed, spreads = [], [], []
    for blocks in predictor_blocks:
        margins = np.empty((len(task.config.grid(family, blocks)), len(rows)))
        for (train, test), group in zip(inner, groups, strict=True):
            margins[:, group] = grids[grid_key(task.config, family, train, fold)][blocks][:, test]
        spread = within_spread(margins, strata)
        best = int(np.argmin(stratified_losses(y, margins, strata)))
        points.append(best)
        spreads.append(spread[best])
        crossed.append(cross_selected_margins(y, margins / spread[:, None], strata, groups))
    weights, shrinkage = stacking_weights(y, np.stack(crossed), strata)
    margin = weights @ np.stack(crossed)
    calibration = Calibration(shrinkage, calibrating_intercept(y, shrinkage * margin))
    # Weights refer to a standard deviation of log-odds, since grid points differ in scale.
    return InnerValidation(tuple(points), weights / np.array(spreads), calibration, y, margin)


def uncalibrated_average(task: ValidationTask, fold: Fold) -> InnerValidation:
    """Return the average as it is, around the training rows' prevalence: enough to rank, without an inner fit."""
    intercept = calibrating_intercept(task.y[fold.train], np.zeros(len(fold.train)))
    return InnerValidation((0,), np.ones(1), Calibration(1.0, intercept), np.zeros(0), np.zeros(0))


def calibrate_average(y: Vector, margin: Vector, strata: Positions) -> InnerValidation:
    """Return the calibration of an average on its inner held-out log-odds, (n_calibration,)."""
    # The slope of log-odds in standard deviations; constant log-odds have slope 0.
    spread = float(within_spread(margin[None], strata)[0])
    slope = expected_slope(y, margin / spread, strata) / spread
    calibration = Calibration(slope, calibrating_intercept(y, slope * margin))
    return InnerValidation((0,), np.ones(1), calibration, y, margin)


def _prevalence_alone(task: ValidationTask, fold: Fold, n_predictors: int) -> InnerValidation:
    """Return the first grid points without weight, where there are too few events for inner validation."""
    intercept = calibrating_intercept(task.y[fold.train], np.zeros(len(fold.train)))
    return InnerValidation(
        (0,) * n_predictors, np.zeros(n_predictors), Calibration(0.0, intercept), np.zeros(0), np.zeros(0)
    )
