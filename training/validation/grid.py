"""A family's whole grid, or its average, fitted to one set of training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from features.arrays import Matrix, Positions
from training.validation.average import fit_average
from training.validation.config import FitConfig, PredictorBlocks, ValidationTask
from training.validation.folds import Fold, centre_codes
from training.validation.sklearn_family import find_family


class GridKey(NamedTuple):
    """What a fitted grid depends on: the family, the training rows (as bytes) and the seed."""

    family: str
    train: bytes
    seed: int


class GridFit(NamedTuple):
    """What to fit: the family, its seed, and the positions of the training rows and of the rows to predict."""

    family: str
    train: Positions
    rows: Positions
    seed: int


Grid = Mapping[PredictorBlocks, Matrix]
"""Each blocks's log-odds at every grid point, (n_points, n_rows); NaN for rows that no fold predicts."""


def grid_key(config: FitConfig, family: str, train: Positions, fold: Fold) -> GridKey:
    """Return the key of a grid inside a fold; repeats share the grids of unseeded families."""
    seed = config.seed + fold.repeat if find_family(family).seeded else config.seed
    return GridKey(family, np.sort(train).tobytes(), seed)


def fit_grid(task: ValidationTask, fit: GridFit) -> Grid:
    """Fit a family's whole grid, or its average, to training rows, and return the log-odds of other rows."""
    family, rows, seed, train = fit.family, fit.rows, fit.seed, np.sort(fit.train)
    train_table, test_table = task.table.take(train), task.table.take(rows)
    if task.config.averages:
        encoder, predictor = fit_average(task.config, family, train_table, task.y[train], seed)
        margin = np.full((1, len(task.y)), np.nan)
        margin[0, rows] = predictor.margin(encoder.transform(test_table))
        return {task.config.blocks: margin}
    strata = centre_codes(train_table.rows)
    grid = {}
    for blocks in task.config.predictor_blocks(family):
        points, margins = task.config.grid(family, blocks), []
        for representation in dict.fromkeys(point.representation for point in points):
            encoder = task.config.encoder(blocks, representation)
            X_train, X_test = encoder.fit_transform(train_table), encoder.transform(test_table)
            margins.append(find_family(family).margins(X_train, task.y[train], strata, X_test, seed))
        grid[blocks] = np.full((len(points), len(task.y)), np.nan)
        grid[blocks][:, rows] = np.vstack(margins)
    return grid
