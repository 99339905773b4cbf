"""The refitted null: what the whole pipeline, its choices included, finds where there is nothing to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from features.feature_table import FeatureTable
from training.statistics.arrays import Names, Positions, Vector
from training.statistics.metrics import auroc, mean_over_seeds
from training.validation.config import FitConfig
from training.validation.folds import Fold, centres
from training.validation.held_out import validate

Name = tuple[str, tuple[str, ...]]
"""A model's family and blocks."""


@dataclass(frozen=True)
class PermutationNull:
    """Left-out AUROCs of pipelines refitted to permuted outcomes.

    Attributes
    ----------
    values : ndarray, (n_permutations,)
        This model's.
    best : ndarray, (n_permutations,)
        The best of all models that compete, chosen anew for each permutation.
    models : int
        How many compete.
    """

    values: Vector
    best: Vector
    models: int

    def summary(self, observed: float) -> dict[str, Any]:
        """Return both nulls beside what was observed, JSON-ready.

        References
        ----------
        Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39, for p.
        """
        return {
            **_beside(self.values, observed),
            # A model that is not the best of those tried is judged against the best of those tried all the same.
            "best_of": {"models": self.models, **_beside(self.best, observed)},
        }


def permute_within_centres(y: Vector, cohorts: Names, rng: np.random.Generator) -> Vector:
    """Return outcomes permuted within cohort, (n_rows,)."""
    found = y.copy()
    for name in dict.fromkeys(cohorts.tolist()):
        mine = np.flatnonzero(cohorts == name)
        found[mine] = y[rng.permutation(mine)]
    return found


def permutation_nulls(
    table: FeatureTable,
    y: Vector,
    competing: Sequence[tuple[FitConfig, Positions]],
    outer_of: Callable[[FeatureTable, Vector], Sequence[Fold]],
    *,
    n: int,
    seed: int,
    workers: int,
    on_step: Callable[[], object],
) -> dict[Name, Vector]:
    """Return each model's left-out AUROCs on permuted outcomes, (n,); none of a model whose AUROC cannot be measured.

    Every permutation is one of the whole table's outcomes, so that models of different blocks meet the same one.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
    competing : sequence of (Plan, ndarray of int)
        What is refitted, and to which rows of the table.
    outer_of : callable
        Returns the folds of a table with its outcomes.
    n, seed : int
    workers : int
        Threads; the results are the same whatever their number.
    on_step : callable
        Called after each permutation.
    """
    cohorts = centres(table.rows)
    parts = [(plan, rows, table.take(rows), centres(table.rows)[rows]) for plan, rows in competing]

    def once(stream: np.random.SeedSequence) -> dict[Name, float]:
        outcomes, found = permute_within_centres(y, cohorts, np.random.default_rng(stream)), dict[Name, float]()
        for plan, rows, mine, names in parts:
            outer, own = outer_of(mine, outcomes[rows]), outcomes[rows]
            for family, result in validate(mine, own, plan, outer, workers=1).items():
                margin = np.full(len(own), np.nan)
                for one in result.held_out:
                    margin[one.fold.test] = one.margin
                seen = np.isfinite(margin)
                found[family, plan.blocks] = float(mean_over_seeds(auroc, own[seen], margin[seen], names[seen])[0])
        return found

    jobs = (delayed(once)(stream) for stream in np.random.SeedSequence(seed).spawn(n))
    rows = []
    for found in Parallel(workers, prefer="threads", return_as="generator")(jobs):
        rows.append(found)
        on_step()
    drawn = {name: np.array([found[name] for found in rows]) for name in rows[0]} if rows else {}
    return {name: values for name, values in drawn.items() if np.isfinite(values).any()}


def best_model_null(found: Mapping[Name, Vector]) -> Vector:
    """Return the best of all models for each permutation, (n,); nothing where there is no model."""
    return np.asarray(np.fmax.reduce(list(found.values()))) if found else np.zeros(0)


def _beside(null: Vector, observed: float) -> dict[str, Any]:
    null = null[np.isfinite(null)]
    return {
        "n": len(null),
        "observed": observed,
        "p": float((1 + (null >= observed).sum()) / (1 + len(null))),
        "null_mean": float(null.mean()),
        "null_sd": float(null.std(ddof=1)) if len(null) > 1 else None,
        "null_95": float(np.quantile(null, 0.95)),
    }
