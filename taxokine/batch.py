"""Predictions for the patients of a cohort or a file: the same as the server's."""

from __future__ import annotations

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
from models.bundle import Model
from models.registry import find_model

_KEYS = ("cohort", "patient", "sample", "sample_day", "draw", "draw_day", "visit")


def write_predictions(model: str, source: str, out: Path, spec: LandmarkSpec) -> str:
    """Write one row for each patient and return a summary, in words.

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
    cautions = _training_patients(served.model, predicted, keys)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in predicted["verdict"].value_counts().items())
    return "\n".join(
        [
            f"{served.model.outcome} for {len(result)} patients: {verdicts}",
            f"evidence: {served.model.evidence.sentence}",
            *cautions,
            f"wrote {out}",
        ]
    )


def _training_patients(model: Model, predicted: pd.DataFrame, keys: pd.DataFrame) -> list[str]:
    """Return how many patients the model was trained on: by their profiles, or by cohort where it keeps none."""
    if model.reference is not None:
        n_training = int((predicted["in_training_set"] == True).sum())  # noqa: E712, as None is neither
        if not n_training:
            return []
        return [f"{n_training} patients are in the training set by their profiles: their predictions test nothing"]
    names = sorted({cohort.name for cohort in model.evidence.cohorts} & set(keys.get("cohort", ())))
    return [f"the model was trained on {name}: these predictions do not test it" for name in names]


def _read_features(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise FileError(f"cannot be read as a table of 'taxokine features': {error}", file=path) from error
    columns = map(Column.parse, map(str, frame.columns))
    if not any(column is not None and column.block == "taxa" for column in columns):
        raise FileError("no column is named 'taxa:…'; give a file that 'taxokine features' wrote", file=path)
    return frame
