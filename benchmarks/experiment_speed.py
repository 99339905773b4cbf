"""Seconds of refits to permuted outcomes beside plain scikit-learn, and MLflow's share of an experiment.

Both sides refit every family and set of blocks on every main fold: same folds, same grids, no calibration. With 200
permutations nearly all the time of an experiment goes there.
"""

from __future__ import annotations

import cProfile
import itertools
import os
import pstats
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.plain import held_out_probability
from benchmarks.serving_models import own_store
from benchmarks.tables import Table, run_alone
from benchmarks.training_speed import EXPERIMENT, training_cohorts
from features.arrays import Vector
from features.feature_table import FeatureTable
from training.experiment.eligibility import block_sets, eligible_rows
from training.experiment.inputs import pooled_table
from training.progress import Progress
from training.validation.folds import centres, outcome_vector
from training.validation.permutation_null import Permutations, order_within_centres, permutation_nulls
from training.workers import EVERY_CORE

PERMUTATIONS, FEW_PERMUTATIONS, TARGET, MLFLOW_TARGET = 8, 2, 8.0, 0.05
COLUMNS = ("step", "ours", "plain scikit-learn", "plain ÷ ours", "target")


def experiment_tables() -> list[Table]:
    """Return the table of permutations and of MLflow's share."""
    table, _ = eligible_rows(pooled_table(training_cohorts(), EXPERIMENT), EXPERIMENT.outcome)
    y = outcome_vector(table, EXPERIMENT.outcome)
    sets, _ = block_sets(table, EXPERIMENT.outcome, EXPERIMENT.blocks)
    ours, plain = _our_permutation(table, y, sets), _plain_permutation(table, y, sets)
    verdict = f"≥ {TARGET:g} ×: {'met' if plain >= TARGET * ours else 'not met'}"
    rows = [
        ("one permutation, every family, set of blocks and main fold", f"{ours:.2f} s", f"{plain:.0f} s",
         f"{plain / ours:.0f} ×", None),
        ("200 permutations, from that", f"{200 * ours / 60:.1f} min", f"{200 * plain / 3600:.1f} h",
         f"{plain / ours:.0f} ×", verdict),
        _mlflow_row(),
    ]  # fmt: skip
    return [Table(f"Refits to permuted outcomes, {len(table)} patients", COLUMNS, tuple(rows))]


def _our_permutation(table: FeatureTable, y: Vector, sets: Sequence[tuple[str, ...]]) -> float:
    """Return our seconds for one permutation."""
    competing = [(EXPERIMENT.fit_config(blocks), np.arange(len(table))) for blocks in sets]
    start = time.perf_counter()
    with tqdm(total=PERMUTATIONS, desc="permutations, ours", leave=False) as progress:
        permutations = Permutations(PERMUTATIONS, 0, EVERY_CORE, progress.update)
        permutation_nulls(table, y, competing, EXPERIMENT.main_folds, permutations)
    return (time.perf_counter() - start) / PERMUTATIONS


def _plain_permutation(table: FeatureTable, y: Vector, sets: Sequence[tuple[str, ...]]) -> float:
    """Return the seconds of plain scikit-learn for one permutation."""
    permuted = y[order_within_centres(centres(table.rows), np.random.default_rng(0))]
    fits = [
        (blocks, family, fold)
        for blocks in sets
        for family in EXPERIMENT.families
        for fold in EXPERIMENT.main_folds(table, permuted)
    ]
    start = time.perf_counter()
    for blocks, family, fold in tqdm(fits, desc="a permutation, plain", leave=False):
        held_out_probability(
            table, permuted, blocks, family, fold, n_folds=EXPERIMENT.n_folds, seed=EXPERIMENT.seed, calibrate=False
        )
    return time.perf_counter() - start


class _Phases:
    """Phases of an experiment, with the time at which each began."""

    def __init__(self) -> None:
        self._begun: list[tuple[str, float]] = []

    def begin(self, phase: str, parts: int) -> None:
        """Note when a phase of so many parts begins."""
        self._begun.append((f"{phase}, {parts} parts", time.perf_counter()))

    def seconds(self, prefix: str) -> float:
        """Return the seconds of the phases whose names begin with a prefix; none of them is the last."""
        pairs = itertools.pairwise(self._begun)
        return sum(end - start for (phase, start), (_, end) in pairs if phase.startswith(prefix))


def _mlflow_row() -> tuple[str, str, None, None, str]:
    """Return MLflow's share of a whole experiment, of which a few permutations are run and 200 counted."""
    # Imported before the profile, so that importing MLflow is no part of it.
    import training.tracking  # noqa: F401
    from training.experiment import train

    experiment = replace(EXPERIMENT, representation=(), selection="average", permutations=FEW_PERMUTATIONS)
    profile, phases = cProfile.Profile(), _Phases()
    with tempfile.TemporaryDirectory() as scratch, own_store(Path(scratch)):
        start = time.perf_counter()
        profile.runcall(train, experiment, Progress(begin=phases.begin))
        seconds = time.perf_counter() - start
    seconds += (200 / FEW_PERMUTATIONS - 1) * phases.seconds("refitting")
    mlflow = _seconds_in(profile, f"{os.sep}mlflow{os.sep}")
    verdict = f"≤ {MLFLOW_TARGET:.0%}: {'met' if mlflow <= MLFLOW_TARGET * seconds else 'not met'}"
    step = f"MLflow's part of the default experiment with 200 permutations ({FEW_PERMUTATIONS} run)"
    return step, f"{mlflow:.1f} s of {seconds / 60:.1f} min, {mlflow / seconds:.1%}", None, None, verdict


def _seconds_in(profile: cProfile.Profile, package: str) -> float:
    """Return the seconds of the calls that enter a package from outside it."""
    return sum(
        call[3]
        for (path, _, _), (*_, callers) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
        if package in path
        for (caller, _, _), call in callers.items()
        if package not in caller
    )


if __name__ == "__main__":
    run_alone(experiment_tables)
