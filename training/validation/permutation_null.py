"""The permutation null: held-out AUROCs of the whole pipeline, model selection included, refitted without signal.

The AUROC is that of the probability that would be served, as in the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from features.arrays import Names, Positions, Vector
from features.feature_table import FeatureTable
from training.statistics.metrics import auroc, mean_within_centres
from training.validation.config import FitConfig
from training.validation.folds import Fold, centres, loco_groups
from training.validation.held_out import HeldOut, validate
from training.workers import Shared, Threads, Workers

ModelKey = tuple[str, tuple[str, ...]]
"""A model's family and blocks."""
RefitAurocs = dict[ModelKey, dict[str, float]]
"""Held-out AUROCs of models refitted to one permutation: of all rows, and without each cohort."""
_ALL = ""
"""Key of the AUROC of all rows; no cohort has this name."""


class FinishedRefits(Protocol):
    """Keeps the AUROCs of permutations that are finished, by the permutation's number."""

    def load(self) -> dict[int, RefitAurocs]:
        """Return what is kept."""
        ...

    def save(self, number: int, aurocs: RefitAurocs) -> None:
        """Keep a permutation's AUROCs."""
        ...


@dataclass(frozen=True)
class Permutations:
    """The permutations to which models are refitted.

    Attributes
    ----------
    n, seed : int
    workers : Workers
        What refits the models.
    on_step : callable
        Called after each permutation.
    finished : FinishedRefits, optional
        Permutations of an interrupted experiment, which are not refitted again.
    """

    n: int
    seed: int
    workers: Workers
    on_step: Callable[[], object]
    finished: FinishedRefits | None = None


@dataclass(frozen=True)
class ModelNull:
    """Held-out AUROCs of one pipeline, refitted to permuted data.

    Attributes
    ----------
    values : ndarray, (n_permutations,)
    without_cohort : mapping of str to ndarray, (n_permutations,)
        The same without the patients of one cohort, by cohort (by centre where there is one cohort). Nothing is fitted
        anew for it.
    """

    values: Vector
    without_cohort: Mapping[str, Vector] = field(default_factory=dict)


@dataclass(frozen=True)
class NullDistributions:
    """Held-out AUROCs of pipelines refitted to permuted data.

    Attributes
    ----------
    model : ModelNull
        Of this model.
    best : ndarray, (n_permutations,)
        Of the best of all competing models, selected anew in each permutation.
    models : int
        Number of competing models.
    conditional : ndarray, (n_permutations,), or None
        Of this model, refitted to permuted profiles (`training.validation.conditional_null`); None without covariates.
    """

    model: ModelNull
    best: Vector
    models: int
    conditional: Vector | None = None


def permutation_nulls(
    table: FeatureTable,
    y: Vector,
    competing: Sequence[tuple[FitConfig, Positions]],
    outer_folds_of: Callable[[FeatureTable, Vector], Sequence[Fold]],
    permutations: Permutations,
) -> dict[ModelKey, ModelNull]:
    """Return each model's held-out AUROCs on permuted outcomes; models whose AUROC is undefined are dropped.

    Outcomes are permuted over the whole table, so that models of different blocks share the permutations.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
    competing : sequence of (FitConfig, ndarray of int)
        Models to refit, each with the rows of the table that it is fitted to.
    outer_folds_of : callable
        Returns the folds of a table with its outcomes.
    permutations : Permutations
    """
    return collect_nulls(_permute_outcomes, _OutcomeTask(table, y, competing, outer_folds_of), permutations)


class _OutcomeTask(NamedTuple):
    """Arguments of `permutation_nulls`."""

    table: FeatureTable
    y: Vector
    competing: Sequence[tuple[FitConfig, Positions]]
    outer_folds_of: Callable[[FeatureTable, Vector], Sequence[Fold]]


def _permute_outcomes(task: _OutcomeTask, stream: np.random.SeedSequence) -> RefitAurocs:
    """Return the held-out AUROCs of every model refitted to one permutation of the outcomes."""
    permuted = task.y[order_within_centres(centres(task.table.rows), np.random.default_rng(stream))]
    aurocs: RefitAurocs = {}
    for config, rows in task.competing:
        table = task.table.take(rows)
        aurocs |= refit_aurocs(table, permuted[rows], config, task.outer_folds_of(table, permuted[rows]))
    return aurocs


def collect_nulls(
    refit: Callable[[Shared, np.random.SeedSequence], RefitAurocs], task: Shared, permutations: Permutations
) -> dict[ModelKey, ModelNull]:
    """Return each model's AUROCs over permutations; models whose AUROC is undefined are dropped.

    Parameters
    ----------
    refit : callable
        Refits the models of a task to one permutation, drawn from a stream of its own.
    task : object
        First argument of `refit`.
    permutations : Permutations
    """
    n, finished = permutations.n, permutations.finished
    aurocs_of = {} if finished is None else finished.load()
    remaining = [number for number in range(n) if number not in aurocs_of]
    for _ in range(n - len(remaining)):
        permutations.on_step()
    streams = np.random.SeedSequence(permutations.seed).spawn(n)
    refits = permutations.workers.run(refit, task, [streams[number] for number in remaining])
    for number, aurocs in zip(remaining, refits, strict=True):
        aurocs_of[number] = aurocs
        if finished is not None:
            finished.save(number, aurocs)
        permutations.on_step()
    by_number = [aurocs_of[number] for number in range(n)]
    models = by_number[0] if by_number else {}
    nulls = {model: _model_null([aurocs[model] for aurocs in by_number]) for model in models}
    return {model: null for model, null in nulls.items() if np.isfinite(null.values).any()}


def refit_aurocs(table: FeatureTable, y: Vector, config: FitConfig, outer: Sequence[Fold]) -> RefitAurocs:
    """Return each family's held-out AUROCs on one set of blocks."""
    families = validate(table, y, config, outer, calibrate=False, workers=Threads(1))
    return {(family, config.blocks): _held_out_aurocs(result.held_out, y, table) for family, result in families.items()}


def order_within_centres(centre_names: Names, rng: np.random.Generator) -> Positions:
    """Return the positions of the rows, permuted within each centre, (n_rows,)."""
    order = np.arange(len(centre_names))
    for name in dict.fromkeys(centre_names.tolist()):
        rows = np.flatnonzero(centre_names == name)
        order[rows] = rng.permutation(rows)
    return order


def best_model_null(nulls: Mapping[ModelKey, ModelNull]) -> Vector:
    """Return the best AUROC of all models in each permutation, (n,); empty without models."""
    return np.asarray(np.fmax.reduce([null.values for null in nulls.values()])) if nulls else np.zeros(0)


def _held_out_aurocs(held_out: Sequence[HeldOut], y: Vector, table: FeatureTable) -> dict[str, float]:
    """Return the AUROC of all predicted rows under `_ALL`, and without each cohort under the cohort's name."""
    probability, folds = np.full(len(y), np.nan), np.zeros(len(y), dtype=np.intp)
    for number, prediction in enumerate(held_out):
        probability[prediction.fold.test], folds[prediction.fold.test] = prediction.probability, number
    predicted, cohorts, groups = np.isfinite(probability), centres(table.rows), loco_groups(table.rows)
    masks = {_ALL: predicted, **{name: predicted & (groups != name) for name in dict.fromkeys(groups.tolist())}}
    return {
        name: float(mean_within_centres(auroc, y[mask], probability[mask], cohorts[mask], folds=folds[mask])[0])
        for name, mask in masks.items()
    }


def _model_null(permutations: Sequence[Mapping[str, float]]) -> ModelNull:
    aurocs = {name: np.array([permutation[name] for permutation in permutations]) for name in permutations[0]}
    return ModelNull(aurocs.pop(_ALL), aurocs)
