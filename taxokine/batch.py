"""Predictions for the patients of a cohort or a file: the same as the server's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from features.cohort import read_cohort
from features.errors import FileError, InputError
from features.feature_table import FeatureTable
from features.landmark import LandmarkSpec, landmark_table
from features.manifest import manifest_names
from features.settings import settings
from features.tables.output import replacing
from models.batch import table_candidates
from models.predict import ServedModel
from models.registry import find_model, served_models
from serving.batch.candidates import BatchPatient
from serving.batch.files import Kind
from serving.batch.formats import SUFFIXES, format_of_file
from serving.batch.predicting import FileBatch, PredictedRow, predict_patient
from serving.batch.writing import AnswerWriter, open_writer
from serving.clinic import read_clinic


@dataclass(frozen=True)
class WrittenPredictions:
    """What a file of predictions holds.

    Attributes
    ----------
    path : Path
    outcome : str
    verdict_counts : mapping of str to int
        Predictions by verdict on applicability.
    landmark_counts : mapping of float to int
        Predictions by the landmark of their model.
    evidence : str
        The model's evidence, in a sentence.
    training_profiles : int or None
        Patients whose stool profile is in the training set; None where the model keeps no profiles.
    training_cohorts : tuple of str
        Where it keeps none: the cohorts of these patients on which the model was trained.
    unread : int
        Rows that could not be read; the column `error` says why.
    """

    path: Path
    outcome: str
    verdict_counts: Mapping[str, int]
    landmark_counts: Mapping[float, int]
    evidence: str
    training_profiles: int | None
    training_cohorts: tuple[str, ...]
    unread: int


_KEYS: Mapping[str, Kind] = {
    "cohort": "text",
    "patient": "text",
    "sample": "text",
    "sample_day": "number",
    "draw": "text",
    "draw_day": "number",
    "visit": "number",
}
_VISIT_KEYS: Mapping[str, Kind] = {"cohort": "text", "patient": "text", "visit": "text", "sample_day": "number"}


def write_predictions(model: str, source: str, out: Path, spec: LandmarkSpec) -> WrittenPredictions:
    """Write one row for each patient of a cohort, or for each row of a file, a part of the file at a time.

    Parameters
    ----------
    model : str
        As `models.registry.find_model` takes it.
    source : str
        A cohort, or a file with a row for each patient, as `taxokine features` writes it or as the batch of the API
        takes it; immune measurements whose column states no unit are in the model's.
    out : Path
        A .parquet, .csv or .arrows file.
    spec : LandmarkSpec
        How a cohort is joined; a file of features is joined already.

    Raises
    ------
    InputError
        The names of the files end otherwise, or the source cannot be read.
    ModelMissing
        No such model is registered.
    """
    file_format, served, path = format_of_file(out), find_model(model), Path(source)
    if source in manifest_names() or path.suffix not in SUFFIXES:
        table = landmark_table(read_cohort(source, settings().data), spec)
        chunks, writer = _table_chunks(table, served), open_writer(file_format, _KEYS, [served])
        return _write(out, [served], chunks, writer, cohort_position=0)
    return write_file_predictions(served, path, out)


def write_file_predictions(served: ServedModel, path: Path, out: Path) -> WrittenPredictions:
    """Write one row for each row of a file, a chunk at a time.

    Parameters
    ----------
    served : ServedModel
    path, out : Path
        .parquet, .csv or .arrows files.

    Raises
    ------
    FileError
        The file cannot be read.
    """
    models = {served.model.outcome: [served]}
    try:
        batch = FileBatch(models, path, format_of_file(path), format_of_file(out), served.model.units, math.inf)
    except InputError as error:
        raise FileError(str(error), file=path) from error
    with closing(batch):
        returned = [batch.columns.header.names[position] for position in batch.columns.returned]
        position = returned.index("cohort") if "cohort" in returned else None
        return _write(out, [served], _file_chunks(batch, path), batch.writer, position)


def write_visit_predictions(outcome: str, cohort: str, out: Path) -> WrittenPredictions:
    """Write one row for each visit of a cohort's patients, each predicted by the model of the landmark that is due.

    Parameters
    ----------
    outcome : str
        An outcome, or `outcome@alias`; the models of all its landmarks are used.
    cohort : str
        A cohort; a visit is a stool sample.
    out : Path
        A .parquet, .csv or .arrows file.

    Raises
    ------
    InputError
        The outcome has no registered model, or the cohort cannot be read.
    ModelMissing
        No model is registered.
    """
    file_format, (name, _, alias) = format_of_file(out), outcome.partition("@")
    models = served_models(alias or None)
    if name not in models:
        raise InputError(
            f"expected an outcome that has a registered model, one of {', '.join(models)}, got {name!r}; "
            "'taxokine predict --by-visit' takes an outcome, and uses the models of all its landmarks"
        )
    clinic = read_clinic(cohort, sorted({served.model.evidence.landmark for served in models[name]}))
    visits = [(patient, visit) for patient in clinic.patients.values() for visit in patient.visits]
    chunks = (
        [
            predict_patient(
                {name: models[name]},
                BatchPatient(patient.id, visit.candidate),
                (clinic.name, patient.id, visit.label, visit.day),
                number,
            )
        ]
        for number, (patient, visit) in enumerate(visits, start=1)
    )
    return _write(out, models[name], chunks, open_writer(file_format, _VISIT_KEYS, models[name]), cohort_position=0)


def _write(
    out: Path,
    models: Sequence[ServedModel],
    chunks: Iterable[list[PredictedRow]],
    writer: AnswerWriter,
    cohort_position: int | None,
) -> WrittenPredictions:
    verdicts: Counter[str] = Counter()
    landmarks: Counter[float] = Counter()
    cohorts, training_profiles, unread = set(), 0, 0
    with replacing(out) as file:
        for rows in chunks:
            answers = [answer for row in rows for answer in row.answers()]
            file.write(writer.write(answers))
            predicted = [answer.prediction for answer in answers if answer.prediction is not None]
            verdicts.update(prediction.verdict for prediction in predicted)
            landmarks.update(prediction.model_landmark for prediction in predicted)
            training_profiles += sum(prediction.in_training_set is True for prediction in predicted)
            unread += len(answers) - len(predicted)
            if cohort_position is not None:
                cohorts |= {str(answer.returned[cohort_position]) for answer in answers}
        file.write(writer.close())
    has_profiles = all(served.model.reference is not None for served in models)
    trained = {cohort.name for served in models for cohort in served.model.evidence.cohorts} & cohorts
    return WrittenPredictions(
        path=out,
        outcome=models[0].model.outcome,
        verdict_counts=dict(verdicts.most_common()),
        landmark_counts=dict(sorted(landmarks.items())),
        evidence="; ".join(dict.fromkeys(_evidence(served, models) for served in models)),
        training_profiles=training_profiles if has_profiles else None,
        training_cohorts=() if has_profiles else tuple(sorted(trained)),
        unread=unread,
    )


def _evidence(served: ServedModel, models: Sequence[ServedModel]) -> str:
    evidence = served.model.evidence
    landmarks = {other.model.evidence.landmark for other in models}
    return evidence.sentence if len(landmarks) == 1 else f"{served.name}/{served.version}: {evidence.sentence}"


def _file_chunks(batch: FileBatch, path: Path) -> Iterator[list[PredictedRow]]:
    try:
        while rows := batch.predict_chunk():
            yield rows
    except InputError as error:
        raise FileError(str(error), file=path) from error


def _table_chunks(table: FeatureTable, served: ServedModel) -> Iterator[list[PredictedRow]]:
    keys = table.rows[list(_KEYS)].astype(object).where(table.rows[list(_KEYS)].notna(), None)
    models = {served.model.outcome: [served]}
    for number, (cells, candidate) in enumerate(
        zip(keys.itertuples(index=False, name=None), table_candidates(table), strict=True), start=1
    ):
        yield [predict_patient(models, BatchPatient(str(cells[1]), candidate), tuple(cells), number)]
