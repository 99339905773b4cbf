"""The conditional permutation null: held-out AUROCs of the whole pipeline, refitted to permuted profiles.

The profiles of stool and blood are permuted among the patients of each centre; outcomes and clinical covariates stay.
What the covariates tell remains, so that the null is the AUROC of a model whose profiles tell nothing beyond them.
Where outcomes are permuted, a model of informative covariates exceeds the null whatever its profiles tell.

References
----------
Draper and Stoneman 1966, Technometrics 8:695-699, who permute the variable of interest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from features.arrays import Positions, Vector
from features.feature_table import FeatureTable
from training.validation.config import FitConfig
from training.validation.folds import Fold, centres
from training.validation.permutation_null import (
    ModelKey,
    ModelNull,
    Permutations,
    RefitAurocs,
    collect_nulls,
    order_within_centres,
    refit_aurocs,
)

PROFILE_BLOCKS = frozenset({"taxa", "immune", "donor", "over_time"})
"""Blocks that are permuted together: the donor block is computed from the stool, that over time from the blood."""


def has_conditional_null(blocks: tuple[str, ...]) -> bool:
    """Return whether a model reads profiles beside covariates; for others, the permutation of outcomes suffices."""
    return bool(PROFILE_BLOCKS.intersection(blocks)) and not PROFILE_BLOCKS.issuperset(blocks)


def conditional_nulls(
    table: FeatureTable,
    y: Vector,
    competing: Sequence[tuple[FitConfig, Positions]],
    outer_folds_of: Callable[[FeatureTable, Vector], Sequence[Fold]],
    permutations: Permutations,
) -> dict[ModelKey, ModelNull]:
    """Return each model's held-out AUROCs on permuted profiles; models whose AUROC is undefined are dropped.

    Profiles are permuted among the rows of each model, since others lack a profile. All else is as
    `training.validation.permutation_null.permutation_nulls` takes and returns it.
    """
    models = [(config, table.take(rows), y[rows]) for config, rows in competing]
    task = [_RefittedModel(*model, outer_folds_of(*model[1:])) for model in models]
    return collect_nulls(_permute_profiles, task, permutations)


class _RefittedModel(NamedTuple):
    """A model, and what it is refitted to."""

    config: FitConfig
    table: FeatureTable
    y: Vector
    outer: Sequence[Fold]


def _permute_profiles(models: Sequence[_RefittedModel], stream: np.random.SeedSequence) -> RefitAurocs:
    """Return the held-out AUROCs of every model refitted to one permutation of the profiles."""
    aurocs: RefitAurocs = {}
    for config, table, y, outer in models:
        order = order_within_centres(centres(table.rows), np.random.default_rng(stream))
        aurocs |= refit_aurocs(permute_profiles(table, order), y, config, outer)
    return aurocs


def permute_profiles(table: FeatureTable, order: Positions) -> FeatureTable:
    """Return the table with each row's stool, blood and donor measurements taken from the row at another position.

    Parameters
    ----------
    table : FeatureTable
    order : ndarray of int, (n_rows,)
        Positions of all rows, in another order.
    """
    profiles = table.take(order)
    return replace(
        table,
        taxa=profiles.taxa,
        immune=profiles.immune,
        donor=profiles.donor,
        over_time=profiles.over_time,
        limits=profiles.limits,
    )
