"""Seconds of our training and of the same work in plain scikit-learn: same folds, same grids, one process a core.

Plain scikit-learn is too slow for the whole experiment, so both are timed on two of its outer folds, one of each
scheme, for every set of blocks. Both times include starting the workers.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from benchmarks.plain import held_out_probability
from benchmarks.tables import Table, run_alone
from features.arrays import Vector
from features.cohort import Cohort, read_cohort
from features.errors import DataMissing
from features.feature_table import FeatureTable
from features.settings import settings
from taxokine.simulation import Trial, simulate_trial
from training.experiment import Experiment
from training.experiment.eligibility import block_sets, eligible_rows
from training.experiment.inputs import pooled_table
from training.statistics.metrics import log_loss
from training.validation.folds import Fold, outcome_vector, outer_folds
from training.validation.held_out import validate

EXPERIMENT = Experiment(
    ("lee_2022", "frankel_2017", "mitox", "davar_2021"),
    "objective_response",
    blocks=("taxa", "clinical"),
    repeats=1,
    # Plain scikit-learn selects one variant, so both do.
    representation=("clr",),
    selection="inner",
)
HEADER = "training|ours|plain scikit-learn|plain ÷ ours|held-out log loss, ours / plain|target|"
SIZES = (161, 39, 19, 15)
TARGET = 4.0


def training_tables() -> list[Table]:
    """Return the table of training beside plain scikit-learn."""
    return [Table.from_lines("Training", HEADER, _rows())]


def _rows() -> list[str]:
    """Return the table's rows: each family, and all of them, on two outer folds; then our whole experiment."""
    outcome, families = EXPERIMENT.outcome, EXPERIMENT.families
    cohorts = training_cohorts()
    table, _ = eligible_rows(pooled_table(cohorts, EXPERIMENT), outcome)
    sets, _ = block_sets(table, outcome, EXPERIMENT.blocks)
    y = outcome_vector(table, outcome)
    outer = outer_folds(table, y, EXPERIMENT.n_folds, EXPERIMENT.repeats, EXPERIMENT.seed)
    two_folds = [next(fold for fold in outer if fold.scheme == scheme) for scheme in ("cv", "loco")]
    seconds, losses = _two_fold_times(table, y, sets, two_folds)
    rows = []
    for family in families:
        ours, plain = seconds["ours"][family], seconds["plain"][family]
        mean_losses = " / ".join(f"{np.mean(losses[side][family]):.3f}" for side in SIDES)
        rows.append(
            f"| {family}, 2 outer folds | {ours:.1f} s | {plain:.1f} s | {plain / ours:.1f} × | {mean_losses} | | |"
        )
    ours, plain = (sum(seconds[side].values()) for side in SIDES)
    met = "met" if plain >= TARGET * ours else "not met"
    rows.append(
        f"| **all families, 2 outer folds** | {ours:.1f} s | {plain:.1f} s | **{plain / ours:.1f} ×** | | "
        f"≥ {TARGET:g} × | {met} |"
    )
    start = time.perf_counter()
    for blocks in tqdm(sets, desc="training, our whole experiment", leave=False):
        validate(table, y, EXPERIMENT.fit_config(blocks), outer, refit=True)
    total = time.perf_counter() - start
    names = "simulated" if table.simulated else ", ".join(table.cohorts)
    rows.append(f"| whole: {len(table)} patients ({names}), {len(outer)} outer folds | {total:.1f} s | | | | | |")
    return [*rows, *_selection_rows(table, y)]


def _selection_rows(table: FeatureTable, y: Vector) -> list[str]:
    """Return the processor time of the elastic net's average of 150 variants, beside inner selection of one."""
    experiment = replace(EXPERIMENT, representation=(), families=("elastic_net",), repeats=2)
    config = experiment.fit_config(("taxa", "clinical"))
    folds = {
        "whole validation": experiment.outer_folds(table, y),
        "one refit to permuted outcomes": experiment.main_folds(table, y),
    }
    rows = []
    for name, outer in folds.items():
        seconds = {}
        for selection in ("average", "inner"):
            start = time.process_time()
            is_whole = name == "whole validation"
            validate(table, y, replace(config, selection=selection), outer, refit=is_whole, calibrate=is_whole)
            seconds[selection] = time.process_time() - start
        ratio = seconds["inner"] / seconds["average"]
        rows.append(
            f"| {name}, 150 variants averaged beside one selected, processor time | {seconds['average']:.1f} s | "
            f"{seconds['inner']:.1f} s (inner selection) | {ratio:.1f} × | | | |"
        )
    return rows


def _ours(table: FeatureTable, y: Vector, blocks: tuple[str, ...], family: str, outer: Sequence[Fold]) -> list[Vector]:
    validated = validate(table, y, replace(EXPERIMENT.fit_config(blocks), families=(family,)), outer)
    return [prediction.probability for prediction in validated[family].held_out]


def _plain(table: FeatureTable, y: Vector, blocks: Sequence[str], family: str, outer: Sequence[Fold]) -> list[Vector]:
    return [
        held_out_probability(table, y, blocks, family, fold, n_folds=EXPERIMENT.n_folds, seed=EXPERIMENT.seed)
        for fold in outer
    ]


SIDES: dict[str, Callable[..., list[Vector]]] = {"ours": _ours, "plain": _plain}


def _two_fold_times(
    table: FeatureTable, y: Vector, sets: Sequence[tuple[str, ...]], two_folds: Sequence[Fold]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, list[float]]]]:
    """Return the seconds, and the held-out log losses, of each side and family."""
    families = EXPERIMENT.families
    seconds = {side: dict.fromkeys(families, 0.0) for side in SIDES}
    losses: dict[str, dict[str, list[float]]] = {side: {family: [] for family in families} for side in SIDES}
    sides_without_workers = set(SIDES)
    for family in families:
        for blocks in tqdm(sets, desc=f"training {family}, ours and plain", leave=False):
            for side, probabilities in SIDES.items():
                if side in sides_without_workers:
                    # Each side starts its own workers, once.
                    get_reusable_executor().shutdown()
                    sides_without_workers.remove(side)
                start = time.perf_counter()
                predictions = probabilities(table, y, blocks, family, two_folds)
                seconds[side][family] += time.perf_counter() - start
                losses[side][family] += [
                    float(log_loss(y[fold.test], np.log(p / (1 - p))))
                    for p, fold in zip(predictions, two_folds, strict=True)
                ]
    return seconds, losses


def training_cohorts() -> list[Cohort]:
    """Return the experiment's cohorts; where their data are missing, simulated cohorts of the same sizes."""
    try:
        return [read_cohort(name, settings().data, fetch=False) for name in EXPERIMENT.cohorts]
    except DataMissing:
        pass
    cohorts = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed, size in enumerate(SIZES):
            manifest = simulate_trial(
                Path(scratch) / str(seed), Trial(n_patients=size, n_taxa=1000, visits=(-7,), seed=seed)
            )
            manifest.write_text(manifest.read_text().replace("simulated_fmt_ici", f"simulated_{seed}"))
            cohorts.append(read_cohort(manifest, Path(scratch)))
    return cohorts


if __name__ == "__main__":
    run_alone(training_tables)
