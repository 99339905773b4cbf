"""What inner validation selects for one family, from the training rows of one fold alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from features.feature_table import FeatureTable
from models.calibration import Calibration
from training.statistics.arrays import Vector
from training.validation.config import FitConfig
from training.validation.folds import (
    Fold,
    Split,
    centre_codes,
)
from training.validation.grid import Grid, GridKey, grid_key
from training.validation.stacking import (
    calibrating_intercept,
    cross_selected_margins,
    stacking_weights,
    stratified_losses,
    within_spread,
)


@dataclass(frozen=True)
class Choice:
    """What inner validation settled, from the training rows alone.

    Attributes
    ----------
    candidates : tuple of int
        The candidate chosen for each part.
    weights : ndarray, (n_parts,)
        Each part's weight in the sum of log-odds.
    calibration : Calibration
        How much of the sum is believed, and the level at which the training rows' probabilities are right on average.
    y, margin : ndarray, (n_calibration,)
        Outcomes of the training rows, and their weighted inner left-out log-odds.
    """

    candidates: tuple[int, ...]
    weights: Vector
    calibration: Calibration
    y: Vector
    margin: Vector


def choose(
    table: FeatureTable,
    y: Vector,
    plan: FitConfig,
    family: str,
    fold: Fold,
    inner: Iterable[Split],
    grids: Mapping[GridKey, Grid],
) -> Choice:
    """Choose each part's candidate, and how much of it to believe, by the training rows left out inside the fold."""
    inner, own = list(inner), centre_codes(table.rows)
    rows = np.sort(np.concatenate([test for _, test in inner])) if inner else np.zeros(0, dtype=np.intp)
    place = {int(row): i for i, row in enumerate(rows)}
    groups = [np.array([place[int(row)] for row in test], dtype=np.intp) for _, test in inner]
    if not 0 < y[rows].sum() < len(rows):
        # Too few events to leave any out: the first candidates, without weight.
        parts, nothing = len(plan.parts(family)), np.zeros(0)
        prevalence = Calibration(0.0, calibrating_intercept(y[fold.train], np.zeros(len(fold.train))))
        return Choice((0,) * parts, np.zeros(parts), prevalence, nothing, nothing)
    candidates, crossed, spreads = [], [], []
    for part in plan.parts(family):
        margins = np.empty((len(plan.candidates(family, part)), len(rows)))
        for (train, test), group in zip(inner, groups, strict=True):
            margins[:, group] = grids[grid_key(plan, family, train, fold)][part][:, test]
        spread = within_spread(margins, own[rows])
        best = int(np.argmin(stratified_losses(y[rows], margins, own[rows])))
        candidates.append(best)
        spreads.append(spread[best])
        crossed.append(cross_selected_margins(y[rows], margins / spread[:, None], own[rows], groups))
    weights, believed = stacking_weights(y[rows], np.stack(crossed), own[rows])
    margin = weights @ np.stack(crossed)
    calibration = Calibration(believed, calibrating_intercept(y[rows], believed * margin))
    # Weighted per standard deviation, since candidates differ in scale.
    return Choice(tuple(candidates), weights / np.array(spreads), calibration, y[rows], margin)
