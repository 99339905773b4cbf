"""Predictions for the patients of a cohort or a file: the same as the server's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.cohort import read_cohort
from features.columns import Column
from features.errors import FileError, InputError
from features.landmark import LandmarkSpec, landmark_table
from features.manifest import manifest_names
from features.settings import settings
from features.tables.output import write_table
from models.batch import frame_candidates, predictions, table_candidates
from models.registry import find_model


@dataclass(frozen=True)
class WrittenPredictions:
    """What a file of predictions holds.

    Attributes
    ----------
    path : Path
    outcome : str
    verdict_counts : mapping of str to int
        Patients by verdict on applicability.
    evidence : str
        The model's evidence, in a sentence.
    training_profiles : int or None
        Patients whose stool profile is in the training set; None where the model keeps no profiles.
    training_cohorts : tuple of str
        Where it keeps none: the cohorts of these patients on which the model was trained.
    """

    path: Path
    outcome: str
    verdict_counts: Mapping[str, int]
    evidence: str
    training_profiles: int | None
    training_cohorts: tuple[str, ...]


_KEYS = ("cohort", "patient", "sample", "sample_day", "draw", "draw_day", "visit")


def write_predictions(model: str, source: str, out: Path, spec: LandmarkSpec) -> WrittenPredictions:
    """Write one row for each patient.

    Parameters
    ----------
    model : str
        As `models.registry.find_model` takes it.
    source : str
        A cohort, or a Parquet or CSV file of `taxokine features`.
    out : Path
        A .parquet or .csv file.
    spec : LandmarkSpec
        How a cohort is joined; a file of features is joined already.

    Raises
    ------
    InputError
        The output is neither .parquet nor .csv, or a patient's value cannot be read.
    ModelMissing
        No such model is registered.
    """
    if out.suffix not in {".parquet", ".csv"}:
        raise InputError(f"{out}: write to a .parquet or a .csv file")
    served = find_model(model)
    path = Path(source)
    if source not in manifest_names() and path.suffix in {".parquet", ".csv"}:
        frame = _read_features(path)
        candidates = frame_candidates(frame, served.model.units)
        keys = frame[[key for key in _KEYS if key in frame]]
    else:
        table = landmark_table(read_cohort(source, settings().data), spec)
        candidates, keys = table_candidates(table), table.rows[list(_KEYS)]
    predicted = predictions(served, candidates)
    result = pd.concat([keys.reset_index(drop=True), predicted], axis=1)
    provenance = {"model": f"{served.name}/{served.version}", "evidence": served.model.evidence.to_json()}
    write_table(result, out, provenance)
    has_profiles = served.model.reference is not None
    trained = {cohort.name for cohort in served.model.evidence.cohorts} & set(keys.get("cohort", ()))
    return WrittenPredictions(
        path=out,
        outcome=served.model.outcome,
        verdict_counts={str(verdict): int(count) for verdict, count in predicted["verdict"].value_counts().items()},
        evidence=served.model.evidence.sentence,
        # Where the model abstains before it compares profiles, the value is None, which is neither True nor False.
        training_profiles=int(predicted["in_training_set"].eq(True).sum()) if has_profiles else None,
        training_cohorts=() if has_profiles else tuple(sorted(trained)),
    )


def _read_features(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise FileError(f"cannot be read as a table of 'taxokine features': {error}", file=path) from error
    columns = map(Column.parse, map(str, frame.columns))
    if not any(column is not None and column.block == "taxa" for column in columns):
        raise FileError("no column is named 'taxa:…'; give a file that 'taxokine features' wrote", file=path)
    return frame
