"""What inner validation selects or calibrates for one family, from the training rows of one fold alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.arrays import Positions, Vector
from models.calibration import Calibration
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
from training.validation.task import ValidationTask


@dataclass(frozen=True)
class Choice:
    """Selected grid points, their weights and the calibration; an average is one point of weight 1.

    Attributes
    ----------
    points : tuple of int
        Position in the grid of the point selected for each part.
    weights : ndarray, (n_parts,)
        Weight of each part in the sum of log-odds.
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


def select(
    task: ValidationTask, family: str, fold: Fold, inner: Sequence[Split], grids: Mapping[GridKey, Grid]
) -> Choice:
    """Select each part's grid point, and weight and calibrate the parts, on inner held-out log-odds.

    Of an average nothing is selected: it is calibrated.

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
    y, strata, parts = task.y[rows], centre_codes(task.table.rows)[rows], task.config.parts(family)
    if not 0 < y.sum() < len(y):
        return _prevalence_alone(task, fold, len(parts))
    if task.config.averages:
        margin = np.full(len(task.y), np.nan)
        for train, test in inner:
            margin[test] = grids[grid_key(task.config, family, train, fold)][task.config.blocks][0, test]
        return calibrate_average(y, margin[rows], strata)
    groups = [np.searchsorted(rows, test) for _, test in inner]
    points, crossed, spreads = [], [], []
    for part in parts:
        margins = np.empty((len(task.config.grid(family, part)), len(rows)))
        for (train, test), group in zip(inner, groups, strict=True):
            margins[:, group] = grids[grid_key(task.config, family, train, fold)][part][:, test]
        spread = within_spread(margins, strata)
        best = int(np.argmin(stratified_losses(y, margins, strata)))
        points.append(best)
        spreads.append(spread[best])
        crossed.append(cross_selected_margins(y, margins / spread[:, None], strata, groups))
    weights, shrinkage = stacking_weights(y, np.stack(crossed), strata)
    margin = weights @ np.stack(crossed)
    calibration = Calibration(shrinkage, calibrating_intercept(y, shrinkage * margin))
    # Weights refer to a standard deviation of log-odds, since grid points differ in scale.
    return Choice(tuple(points), weights / np.array(spreads), calibration, y, margin)


def uncalibrated(task: ValidationTask, fold: Fold) -> Choice:
    """Return the average as it is, around the training rows' prevalence: enough to rank, without an inner fit."""
    intercept = calibrating_intercept(task.y[fold.train], np.zeros(len(fold.train)))
    return Choice((0,), np.ones(1), Calibration(1.0, intercept), np.zeros(0), np.zeros(0))


def calibrate_average(y: Vector, margin: Vector, strata: Positions) -> Choice:
    """Return the calibration of an average on its inner held-out log-odds, (n_calibration,)."""
    # The slope of log-odds in standard deviations; constant log-odds have slope 0.
    spread = float(within_spread(margin[None], strata)[0])
    slope = expected_slope(y, margin / spread, strata) / spread
    calibration = Calibration(slope, calibrating_intercept(y, slope * margin))
    return Choice((0,), np.ones(1), calibration, y, margin)


def _prevalence_alone(task: ValidationTask, fold: Fold, n_parts: int) -> Choice:
    """Return the first grid points without weight, where there are too few events for inner validation."""
    intercept = calibrating_intercept(task.y[fold.train], np.zeros(len(fold.train)))
    return Choice((0,) * n_parts, np.zeros(n_parts), Calibration(0.0, intercept), np.zeros(0), np.zeros(0))
