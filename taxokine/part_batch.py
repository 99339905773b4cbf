"""Predictions for a table in parts: a folder of Parquet files, each written to a file of the same name."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from features.errors import InputError
from models.predict import ServedModel
from models.registry import find_model
from taxokine.batch import WrittenPredictions, write_file_predictions
from training.progress import Progress
from training.workers import Workers


def write_part_predictions(
    model: str, folder: Path, out: Path, workers: Workers, progress: Progress
) -> WrittenPredictions:
    """Write one row for each row of every Parquet file of a folder and its folders.

    Each part is a task, which reads its file and writes its predictions; no more than a chunk of a part is in memory.
    The numbers are those of `taxokine.batch.write_predictions` for each file.

    Parameters
    ----------
    model : str
        As `models.registry.find_model` takes it.
    folder : Path
    out : Path
        A new folder, or an empty one, which the workers reach by the same path. A part is whole or absent.
    workers : Workers
    progress : Progress

    Raises
    ------
    InputError
        The folder has no such file, `out` has files, or a part cannot be read; the parts that are finished stay.
    ModelMissing
        No such model is registered.
    """
    parts = sorted(folder.rglob("*.parquet"))
    if not parts:
        raise InputError(f"{folder}: expected a folder of .parquet files, and there is none in it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out}: expected a new folder for the predictions of {len(parts)} parts, and this one has files already; "
            "name another"
        )
    targets = [out / part.relative_to(folder) for part in parts]
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    tasks = [(part.resolve(), target.resolve()) for part, target in zip(parts, targets, strict=True)]
    progress.begin("predicting, part by part", len(tasks))
    reports: list[WrittenPredictions] = []
    for report in workers.run(_write_part, find_model(model), tasks):
        reports.append(report)
        progress.advance()
    return _together(reports, out)


def _write_part(served: ServedModel, paths: tuple[Path, Path]) -> WrittenPredictions:
    if multiprocessing.current_process().daemon:
        raise InputError(
            "this Dask worker may start no process, and a file is read in one of its own; set "
            "DASK_DISTRIBUTED__WORKER__DAEMON=False where the workers are started"
        )
    path, out = paths
    return write_file_predictions(served, path, out)


def _together(reports: Sequence[WrittenPredictions], out: Path) -> WrittenPredictions:
    """Return what the parts hold together."""
    verdicts: Counter[str] = Counter()
    landmarks: Counter[float] = Counter()
    for part in reports:
        verdicts.update(part.verdict_counts)
        landmarks.update(part.landmark_counts)
    profiles = [part.training_profiles for part in reports if part.training_profiles is not None]
    return replace(
        reports[0],
        path=out,
        verdict_counts=dict(verdicts.most_common()),
        landmark_counts=dict(sorted(landmarks.items())),
        training_profiles=sum(profiles) if profiles else None,
        training_cohorts=tuple(sorted({cohort for part in reports for cohort in part.training_cohorts})),
        unread=sum(part.unread for part in reports),
    )
