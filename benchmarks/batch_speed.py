"""Seconds of many rows: SHAP of a table beside bare `pred_contribs`, and the nearest of many training patients."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.tables import Cell, Rounds, Table, run_alone
from features.arrays import Matrix
from features.feature_table import Block, FeatureTable
from models.encoder import BlockEncoder
from models.families import FAMILIES
from models.families.trees import TreePredictor
from models.reference import ReferenceSet, fit_reference_set

ROWS, TAXA, TRAINING_ROWS, ROUNDS = 10_000, 400, 300, 5
PATIENTS, STOOL_DETECTED = 100_000, 0.3
"""Training patients, and the share of the taxa that are detected in a stool sample of the published cohorts."""
SHAP_TARGET, NEAREST_TARGET = 1.3, 5e-3


def batch_tables() -> list[Table]:
    """Return the tables of SHAP values and of nearest patients."""
    columns = ("rows × taxa, family", "encoded, SHAP, probability, s", "bare `pred_contribs`, s", "ratio", "target")
    shap_rows = tuple(_shap_row(family) for family in ("xgboost", "xgboost_forest"))
    nearest_columns = (
        "training patients × taxa, share detected", "nearest outcomes and centre, ms", "with similarity, ms", "target",
    )  # fmt: skip
    sizes = ((1_000, 0.5), (PATIENTS, 0.5), (PATIENTS, STOOL_DETECTED))
    return [
        Table("SHAP of many rows, one thread", columns, shap_rows),
        Table(
            "Nearest training patients of one profile", nearest_columns, tuple(_nearest_row(*size) for size in sizes)
        ),
    ]


def _shap_row(family: str) -> tuple[Cell, ...]:
    rng = np.random.default_rng(0)
    train, new = _table(_profiles(rng, TRAINING_ROWS)), _table(_profiles(rng, ROWS))
    encoder = BlockEncoder(("taxa",))
    X, y = encoder.fit_transform(train), rng.integers(0, 2, TRAINING_ROWS).astype(float)
    blocks, strata = (), np.zeros(TRAINING_ROWS, dtype=np.intp)
    predictor = FAMILIES[family].fit_average(X, y, strata, blocks, 0)
    assert isinstance(predictor, TreePredictor)
    encoded = encoder.transform(new)

    def ours() -> None:
        shap, base = predictor.contributions(encoder.transform(new))
        1 / (1 + np.exp(-(base + encoder.sum_by_feature(shap).sum(axis=1))))

    def bare() -> None:
        import xgboost

        predictor.booster.predict(xgboost.DMatrix(encoded, nthread=1), pred_contribs=True)

    seconds = _in_turns((ours, bare))
    ratio = Rounds.from_values([a / b for a, b in zip(*seconds, strict=True)])
    met = f"≤ {SHAP_TARGET} ×: {'met' if ratio.median <= SHAP_TARGET else 'not met'}"
    size = f"{ROWS:,} × {TAXA}, {family}"
    return (size, Rounds.from_values(seconds[0]).text(2), Rounds.from_values(seconds[1]).text(2), ratio.text(2), met)


def _nearest_row(patients: int, detected: float) -> tuple[Cell, ...]:
    rng = np.random.default_rng(0)
    reference, profiles = _reference_set(rng, patients, detected), _profiles(rng, 20, detected)

    def nearest(i: int) -> None:
        neighbours = reference.neighbours(profiles[i : i + 1])
        reference.nearest_outcomes(neighbours)
        reference.nearest_centre(neighbours)

    def both(i: int) -> None:
        nearest(i)
        reference.similarity(profiles[i : i + 1])

    columns = []
    for call in (nearest, both):
        call(0)
        seconds = []
        for i in range(len(profiles)):
            start = time.perf_counter()
            call(i)
            seconds.append(time.perf_counter() - start)
        columns.append(Rounds.from_values(seconds))
    met = f"≤ {NEAREST_TARGET * 1e3:g} ms: {'met' if columns[0].median <= NEAREST_TARGET else 'not met'}"
    size = f"{patients:,} × {reference.profiles.shape[1]}, {detected:.0%}"
    return (size, *(rounds.text(1, 1e3) for rounds in columns), met)


def _reference_set(rng: np.random.Generator, patients: int, detected: float) -> ReferenceSet:
    centres = [f"centre {i}" for i in rng.integers(0, 8, patients)]
    names = [f"Genus{i % 9}_species{i}" for i in range(TAXA)]
    # Fitted to many patients it would take minutes, for distances that do not enter what is timed.
    few = fit_reference_set(
        _profiles(rng, 500, detected), names, centres[:500], {"response": rng.integers(0, 2, 500) * 1.0}
    )
    X = _profiles(rng, patients, detected)
    for step in few.steps:
        X = step.transform_unchecked(X)
    positions = np.unique(np.array(centres), return_inverse=True)[1]
    labels = rng.integers(0, 2, (patients, 1)).astype(np.int8)
    return ReferenceSet(
        few.taxa, few.steps, X.astype(np.float32), positions, tuple(sorted(set(centres))), few.held_out_distances,
        few.richness, few.outcomes, labels,
    )  # fmt: skip


def _profiles(rng: np.random.Generator, rows: int, detected: float = 0.5) -> Matrix:
    values = rng.lognormal(0, 2, (rows, TAXA)) * (rng.random((rows, TAXA)) < detected)
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def _table(profiles: Matrix) -> FeatureTable:
    import pandas as pd

    empty = Block((), np.empty((len(profiles), 0)))
    taxa = Block(tuple(f"Genus{i % 9}_species{i}" for i in range(TAXA)), profiles)
    rows = pd.DataFrame({"patient": [f"p{i}" for i in range(len(profiles))]})
    return FeatureTable(rows, taxa, empty, empty, empty, {}, {}, ())


def _in_turns(calls: Sequence[Callable[[], None]]) -> list[list[float]]:
    """Return the seconds of each call in each round, the calls in turns."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for times, call in zip(seconds, calls, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    run_alone(batch_tables)
