"""Our training beside the same work written plainly in scikit-learn: same folds, same grids, one process a core.

The plain side is too slow for the whole experiment, so both are timed on two of its outer folds, one of each scheme,
for every set of blocks. What starting the workers costs is counted on both sides.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from joblib.externals.loky import get_reusable_executor
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.plain import left_out_probability
from features.cohort import Cohort, read_cohort
from features.errors import DataMissing
from features.feature_table import FeatureTable
from features.settings import settings
from taxokine.simulation import simulate_trial
from training.experiment import Experiment, block_sets, eligible, joined_table
from training.statistics.metrics import log_loss
from training.validation.folds import Fold, outcome_vector, outer_folds
from training.validation.held_out import validate

Vector = NDArray[np.float64]
EXPERIMENT = Experiment(
    ("lee_2022", "frankel_2017", "mitox", "davar_2021"), "objective_response", blocks=("taxa", "clinical"), repeats=1
)
SIZES = (161, 39, 19, 15)
TARGET = 4.0


def training_rows() -> list[str]:
    """Return the table's rows: each family and all of them on two outer folds, then our whole experiment."""
    outcome, families = EXPERIMENT.outcome, EXPERIMENT.families
    cohorts = _cohorts()
    table, _ = eligible(joined_table(cohorts, EXPERIMENT), outcome)
    sets, _ = block_sets(table, outcome, EXPERIMENT.blocks)
    y = outcome_vector(table, outcome)
    outer = outer_folds(table, y, EXPERIMENT.n_folds, EXPERIMENT.repeats, EXPERIMENT.seed)
    chosen = [next(fold for fold in outer if fold.scheme == scheme) for scheme in ("cv", "loco")]
    sides: dict[str, Callable[..., list[Vector]]] = {"ours": _ours, "plain": _plain}
    seconds = {side: dict.fromkeys(families, 0.0) for side in sides}
    losses: dict[str, dict[str, list[float]]] = {side: {family: [] for family in families} for side in sides}
    fresh = set(sides)
    for family in families:
        for blocks in tqdm(sets, desc=f"training {family}, ours and plain", leave=False):
            for side, probabilities in sides.items():
                if side in fresh:
                    # Each side starts the workers once.
                    get_reusable_executor().shutdown()
                    fresh.remove(side)
                start = time.perf_counter()
                found = probabilities(table, y, blocks, family, chosen)
                seconds[side][family] += time.perf_counter() - start
                losses[side][family] += [
                    float(log_loss(y[fold.test], np.log(p / (1 - p)))) for p, fold in zip(found, chosen, strict=True)
                ]
    rows = []
    for family in families:
        ours, plain = seconds["ours"][family], seconds["plain"][family]
        fair = " / ".join(f"{np.mean(losses[side][family]):.3f}" for side in sides)
        rows.append(f"| {family}, 2 outer folds | {ours:.1f} s | {plain:.1f} s | {plain / ours:.1f} × | {fair} | | |")
    ours, plain = (sum(seconds[side].values()) for side in sides)
    met = "met" if plain >= TARGET * ours else "not met"
    rows.append(
        f"| **all families, 2 outer folds** | {ours:.1f} s | {plain:.1f} s | **{plain / ours:.1f} ×** | | "
        f"≥ {TARGET:g} × | {met} |"
    )
    start = time.perf_counter()
    for blocks in tqdm(sets, desc="training, our whole experiment", leave=False):
        validate(table, y, EXPERIMENT.plan(blocks), outer, refit=True)
    whole = time.perf_counter() - start
    names = "simulated" if table.simulated else ", ".join(table.cohorts)
    return [*rows, f"| whole: {len(table)} patients ({names}), {len(outer)} outer folds | {whole:.1f} s | | | | | |"]


def _ours(table: FeatureTable, y: Vector, blocks: tuple[str, ...], family: str, chosen: Sequence[Fold]) -> list[Vector]:
    found = validate(table, y, replace(EXPERIMENT.plan(blocks), families=(family,)), chosen)
    return [one.probability for one in found[family].held_out]


def _plain(table: FeatureTable, y: Vector, blocks: Sequence[str], family: str, chosen: Sequence[Fold]) -> list[Vector]:
    return [
        left_out_probability(table, y, blocks, family, fold, n_folds=EXPERIMENT.n_folds, seed=EXPERIMENT.seed)
        for fold in chosen
    ]


def _cohorts() -> list[Cohort]:
    """Return the experiment's cohorts, or as many simulated ones of their size where they are not there."""
    try:
        return [read_cohort(name, settings().data, fetch=False) for name in EXPERIMENT.cohorts]
    except DataMissing:
        pass
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed, size in enumerate(SIZES):
            manifest = simulate_trial(Path(scratch) / str(seed), n_patients=size, n_taxa=1000, visits=(-7,), seed=seed)
            manifest.write_text(manifest.read_text().replace("simulated_fmt_ici", f"simulated_{seed}"))
            found.append(read_cohort(manifest, Path(scratch)))
    return found
