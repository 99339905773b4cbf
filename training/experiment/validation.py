"""Validation of an experiment: every family on every set of blocks, and the permutation nulls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from features.feature_table import FeatureTable
from training.evidence.scores import main_scheme
from training.experiment.eligibility import COMPARABLE_SHARE, complete_rows, incomplete_cohorts
from training.experiment.spec import Experiment
from training.experiment.unfinished import UnfinishedExperiment
from training.progress import Progress
from training.validation.baselines import validate_baselines
from training.validation.conditional_null import conditional_nulls, has_conditional_null
from training.validation.folds import Fold, outcome_vector
from training.validation.held_out import HeldOut, validate
from training.validation.permutation_null import (
    ModelKey,
    ModelNull,
    NullDistributions,
    Permutations,
    best_model_null,
    permutation_nulls,
)
from training.validation.validated_blocks import ValidatedBlocks
from training.workers import Workers


def validate_block_sets(
    experiment: Experiment,
    outcome: str,
    table: FeatureTable,
    sets: Sequence[tuple[str, ...]],
    progress: Progress,
    workers: Workers,
) -> list[ValidatedBlocks]:
    """Validate every set of blocks, each on the rows that have all of it, and on these rows without each block."""
    validated: list[ValidatedBlocks] = []
    for blocks in sets:
        result = _validate_blocks(experiment, outcome, table, blocks, progress, workers)
        without_block = _validate_without_blocks(experiment, result, validated, progress, workers)
        validated.append(replace(result, without_block=without_block))
    return validated


def _validate_blocks(
    experiment: Experiment,
    outcome: str,
    table: FeatureTable,
    blocks: tuple[str, ...],
    progress: Progress,
    workers: Workers,
) -> ValidatedBlocks:
    """Validate every family and the baselines on the rows that have all blocks of a set, and fit to these rows."""
    rows = np.flatnonzero(complete_rows(table, blocks))
    complete = _without_empty_cohorts(table.take(rows))
    y, config = outcome_vector(complete, outcome), experiment.fit_config(blocks)
    outer = experiment.outer_folds(complete, y)
    families = validate(
        complete,
        y,
        config,
        outer,
        refit=True,
        workers=workers,
        on_start=lambda jobs: progress.begin(f"{'+'.join(blocks)}: validating on {len(complete)} patients", jobs),
        on_step=progress.advance,
    )
    baselines = validate_baselines(complete, y, config, _main_folds(outer), workers)
    return ValidatedBlocks(
        config, rows, complete, y, families, baselines, incomplete_cohorts=incomplete_cohorts(table, blocks)
    )


def _validate_without_blocks(
    experiment: Experiment,
    result: ValidatedBlocks,
    earlier: Sequence[ValidatedBlocks],
    progress: Progress,
    workers: Workers,
) -> dict[str, dict[str, list[HeldOut]]]:
    """Return each family's held-out predictions for the rows of a set without each of its blocks, by block.

    A smaller set that was validated on the same rows has them already.
    """
    if len(result.blocks) == 1:
        return {}
    main = _main_folds(experiment.outer_folds(result.table, result.y))
    predictions = dict[str, dict[str, list[HeldOut]]]()
    for block in result.blocks:
        rest = tuple(name for name in result.blocks if name != block)
        same_rows = (item for item in earlier if item.blocks == rest and np.array_equal(item.rows, result.rows))
        smaller_set = next(same_rows, None)
        if smaller_set is not None:
            families = smaller_set.families
        else:
            config = replace(result.config, blocks=rest)
            progress.begin(f"{'+'.join(rest)}: validating on the same {len(result.y)} patients", 1)
            families = validate(result.table, result.y, config, main, workers=workers)
            progress.advance()
        predictions[block] = {family: validation.held_out for family, validation in families.items()}
    return predictions


def _main_folds(outer: Sequence[Fold]) -> list[Fold]:
    return [fold for fold in outer if fold.scheme == main_scheme(outer)]


def model_nulls(
    experiment: Experiment,
    outcome: str,
    table: FeatureTable,
    validated: Sequence[ValidatedBlocks],
    progress: Progress,
    workers: Workers,
    unfinished: UnfinishedExperiment,
) -> Mapping[ModelKey, NullDistributions]:
    """Return each model's permutation nulls, of outcomes and of profiles; none where no permutation is asked for."""
    n = experiment.permutations
    if not n:
        return {}
    y, models = outcome_vector(table, outcome), [(blocks.config, blocks.rows) for blocks in validated]
    permutations = Permutations(n, experiment.seed, workers, progress.advance, unfinished.outcomes)
    progress.begin(f"refitting {n} permutations of outcomes", n)
    nulls = permutation_nulls(table, y, models, experiment.main_folds, permutations)
    models = [(config, rows) for config, rows in models if has_conditional_null(config.blocks)]
    if models:
        progress.begin(f"refitting {n} permutations of profiles", n)
    permutations = replace(permutations, n=n if models else 0, finished=unfinished.profiles)
    conditional = conditional_nulls(table, y, models, experiment.main_folds, permutations)
    return _with_best_model(nulls, conditional, validated)


def _with_best_model(
    nulls: Mapping[ModelKey, ModelNull], conditional: Mapping[ModelKey, ModelNull], validated: Sequence[ValidatedBlocks]
) -> Mapping[ModelKey, NullDistributions]:
    """Return each model's nulls beside that of the best of all models on comparably many patients."""
    largest = max(len(blocks.rows) for blocks in validated)
    comparable_sets = {blocks.blocks for blocks in validated if len(blocks.rows) >= COMPARABLE_SHARE * largest}
    comparable = {key: null for key, null in nulls.items() if key[1] in comparable_sets}
    best = best_model_null(comparable)
    return {
        key: replace(
            NullDistributions(null, best, len(comparable))
            if key in comparable
            else NullDistributions(null, null.values, 1),
            conditional=conditional[key].values if key in conditional else None,
        )
        for key, null in nulls.items()
    }


def _without_empty_cohorts(table: FeatureTable) -> FeatureTable:
    """Return the table without the context of cohorts that have no row in it."""
    cohorts = {name: cohort for name, cohort in table.cohorts.items() if (table.rows["cohort"] == name).any()}
    return replace(table, cohorts=cohorts)
