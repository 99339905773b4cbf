"""Predictions for the patients of a cohort or a file: the same as the server's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
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
from models.registry import find_model
from serving.batch.candidates import BatchPatient
from serving.batch.files import Kind
from serving.batch.formats import SUFFIXES, format_of_file
from serving.batch.predicting import FileBatch, PredictedRow, predict_patient
from serving.batch.writing import AnswerWriter, open_writer


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
    unread : int
        Rows that could not be read; the column `error` says why.
    """

    path: Path
    outcome: str
    verdict_counts: Mapping[str, int]
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
        return _write(out, served, chunks, writer, cohort_position=0)
    try:
        batch = FileBatch(
            {served.model.outcome: [served]}, path, format_of_file(path), file_format, served.model.units, math.inf
        )
    except InputError as error:
        raise FileError(str(error), file=path) from error
    with closing(batch):
        returned = [batch.columns.header.names[position] for position in batch.columns.returned]
        position = returned.index("cohort") if "cohort" in returned else None
        return _write(out, served, _file_chunks(batch, path), batch.writer, position)


def _write(
    out: Path,
    served: ServedModel,
    chunks: Iterator[list[PredictedRow]],
    writer: AnswerWriter,
    cohort_position: int | None,
) -> WrittenPredictions:
    verdicts: Counter[str] = Counter()
    cohorts, training_profiles, unread = set(), 0, 0
    with replacing(out) as file:
        for rows in chunks:
            answers = [answer for row in rows for answer in row.answers()]
            file.write(writer.write(answers))
            predicted = [answer.prediction for answer in answers if answer.prediction is not None]
            verdicts.update(prediction.verdict for prediction in predicted)
            training_profiles += sum(prediction.in_training_set is True for prediction in predicted)
            unread += len(answers) - len(predicted)
            if cohort_position is not None:
                cohorts |= {str(answer.returned[cohort_position]) for answer in answers}
        file.write(writer.close())
    has_profiles = served.model.reference is not None
    trained = {cohort.name for cohort in served.model.evidence.cohorts} & cohorts
    return WrittenPredictions(
        path=out,
        outcome=served.model.outcome,
        verdict_counts=dict(verdicts.most_common()),
        evidence=served.model.evidence.sentence,
        training_profiles=training_profiles if has_profiles else None,
        training_cohorts=() if has_profiles else tuple(sorted(trained)),
        unread=unread,
    )


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
