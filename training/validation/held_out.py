"""Validation: nested cross-validation by patient, and leave-one-cohort-out, with everything fitted inside the fold.

Every fold needs the same thing: a grid fitted to some training rows, and the log-odds of other rows. Leaving cohort A
out, and then B inside it, trains on the same rows as leaving B out, and then A. So the work is planned by training
rows, each set of them done once, side by side, and what a fold chooses is put together from it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from features.feature_table import FeatureTable
from training.statistics.arrays import Positions, Vector
from training.validation.choice import Choice, choose
from training.validation.config import FitConfig
from training.validation.folds import (
    Fold,
    Split,
    inner_splits,
)
from training.validation.grid import Grid, GridKey, fit_grid, grid_key
from training.validation.refit import Fit, refit_choice


@dataclass(frozen=True)
class HeldOut:
    """One family's predictions for the rows of one fold, none of which it had seen.

    Attributes
    ----------
    fold : Fold
    margin, probability : ndarray, (n_test,)
        Log-odds counted from the training rows' average, so that folds compare, and calibrated probabilities.
    choice : Choice
    """

    fold: Fold
    margin: Vector
    probability: Vector
    choice: Choice


@dataclass(frozen=True)
class ValidatedFamily:
    """One family's left-out predictions, and its fit to all rows where that was asked for."""

    held_out: list[HeldOut]
    fit: Fit | None


def validate(
    table: FeatureTable,
    y: Vector,
    plan: FitConfig,
    outer: Sequence[Fold],
    *,
    refit: bool = False,
    workers: int = -1,
    on_start: Callable[[int], object] = lambda jobs: None,
    on_step: Callable[[], object] = lambda: None,
) -> dict[str, ValidatedFamily]:
    """Predict every fold's left-out rows with every family.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
    plan : Plan
    outer : sequence of Fold
    refit : bool
        Whether to fit each family to all rows too.
    workers : int
        Threads; -1 is one for each core. The results are the same whatever their number.
    on_start, on_step : callable
        Called with the number of training sets to come, and after each.

    Returns
    -------
    dict of str to Validated
        By family.
    """
    everything = np.arange(len(y))
    whole = Fold("all", "all", 0, everything, everything[:0])
    nested = [(fold, _inner(table, y, fold, plan)) for fold in (*outer, *([whole] if refit else ()))]
    needed: dict[GridKey, tuple[Positions, set[int]]] = {}
    for fold, inner in nested:
        for train, test in (*inner, *([(fold.train, fold.test)] if len(fold.test) else ())):
            for family in plan.families:
                needed.setdefault(grid_key(plan, family, train, fold), (train, set()))[1].update(test.tolist())
    on_start(len(needed))
    grids: dict[GridKey, Grid] = {}
    # Threads: the solvers let go of the interpreter, and new processes would spend seconds on imports before the first
    # fold. BLAS keeps to one thread, since training sets already take every core.
    with threadpool_limits(1, "blas"):
        jobs = (
            delayed(fit_grid)(table, y, plan, key.family, train, np.array(sorted(rows)), key.seed)
            for key, (train, rows) in needed.items()
        )
        for key, found in zip(needed, Parallel(workers, prefer="threads", return_as="generator")(jobs), strict=True):
            grids[key] = found
            on_step()
        return {family: _put_together(table, y, plan, family, nested, grids, refit) for family in plan.families}


def _inner(table: FeatureTable, y: Vector, fold: Fold, plan: FitConfig) -> list[Split]:
    """Return a fold's inner splits, as positions in the table."""
    rows = table.rows.iloc[fold.train]
    splits = inner_splits(rows, y[fold.train], plan.n_folds, plan.seed + fold.repeat)
    return [(fold.train[train], fold.train[test]) for train, test in splits]


def _put_together(
    table: FeatureTable,
    y: Vector,
    plan: FitConfig,
    family: str,
    nested: Sequence[tuple[Fold, list[Split]]],
    grids: Mapping[GridKey, Grid],
    refit: bool,
) -> ValidatedFamily:
    held_out, fitted = [], None
    for fold, inner in nested:
        choice = choose(table, y, plan, family, fold, inner, grids)
        if not len(fold.test):
            fitted = refit_choice(table, y, plan, family, choice)
            continue
        outer = grids[grid_key(plan, family, fold.train, fold)]
        parts = [
            outer[part][candidate, fold.test]
            for part, candidate in zip(plan.parts(family), choice.candidates, strict=True)
        ]
        margin = choice.weights @ np.stack(parts)
        held_out.append(HeldOut(fold, margin, choice.calibration.probability(margin), choice))
    return ValidatedFamily(held_out, fitted if refit else None)
