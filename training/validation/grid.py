"""A family's whole grid of settings, fitted to one set of training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from features.feature_table import FeatureTable
from models.families import FAMILIES
from training.statistics.arrays import Matrix, Positions, Vector
from training.validation.config import FitConfig
from training.validation.folds import (
    Fold,
    centre_codes,
)


class GridKey(NamedTuple):
    """One piece of work: a family's grid, on some training rows, with a seed."""

    family: str
    train: bytes
    seed: int


Grid = Mapping[tuple[str, ...], Matrix]
"""For each part, every candidate's log-odds, (n_candidates, n_rows); NaN for rows not asked about."""


def grid_key(plan: FitConfig, family: str, train: Positions, fold: Fold) -> GridKey:
    """Return which grid holds a family's log-odds from these training rows; unseeded families share it over repeats."""
    seed = plan.seed + fold.repeat if FAMILIES[family].seeded else plan.seed
    return GridKey(family, np.sort(train).tobytes(), seed)


def fit_grid(
    table: FeatureTable, y: Vector, plan: FitConfig, family: str, train: Positions, rows: Positions, seed: int
) -> Grid:
    """Fit a family's whole grid to some rows, and return the log-odds of others."""
    train = np.sort(train)
    learnt, asked, groups = table.take(train), table.take(rows), centre_codes(table.rows.iloc[train])
    found = {}
    for part in plan.parts(family):
        margins = []
        for shape in dict.fromkeys(shape for shape, _ in plan.candidates(family, part)):
            encoder = plan.encoder(part, shape)
            X, other = encoder.fit_transform(learnt), encoder.transform(asked)
            margins.append(FAMILIES[family].margins(X, y[train], groups, other, seed))
        found[part] = np.full((len(plan.candidates(family, part)), len(y)), np.nan)
        found[part][:, rows] = np.vstack(margins)
    return found
