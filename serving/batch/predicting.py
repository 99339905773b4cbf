"""The rows of a batch, predicted: answers and errors, row by row, and the questions that the record keeps of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from features.errors import InputError
from models.predict import ModelsByOutcome, every_model, predict
from models.prediction import Prediction
from models.prediction_rows import prediction_row
from serving.batch.candidates import BatchPatient, read_patient
from serving.batch.columns import names_of, read_columns
from serving.batch.files import Cell, Row
from serving.batch.formats import BatchFormat
from serving.batch.reader import BatchReader
from serving.batch.writing import BatchAnswer, open_writer

MAX_ROWS = 100_000
"""Rows of the largest batch over HTTP; each takes some milliseconds, and has its entry in the record."""


@dataclass(frozen=True)
class PredictedRow:
    """One row of a batch.

    Attributes
    ----------
    returned : tuple of str, int, float, bool or None
        Its cells that are no measurements.
    number : int
        Of the row, from 1.
    patient : BatchPatient or None
        None where the row cannot be read.
    predictions : tuple of Prediction
        One for each outcome.
    error : str or None
        Why there are none.
    """

    returned: tuple[Cell | None, ...]
    number: int
    patient: BatchPatient | None = None
    predictions: tuple[Prediction, ...] = ()
    error: str | None = None

    def answers(self, record: int | None = None) -> Iterator[BatchAnswer]:
        """Yield the rows of the answer; `record` is the number of the entry in the record of questions."""
        if self.error is not None:
            yield BatchAnswer(self.returned, self.number, error=self.error)
        for prediction in self.predictions:
            evidence = prediction.evidence.sentence
            yield BatchAnswer(
                self.returned, self.number, prediction.outcome, prediction_row(prediction), evidence, record
            )

    def withheld(self, message: str) -> PredictedRow:
        """Return the row without its predictions, and why."""
        return replace(self, patient=None, predictions=(), error=message)


class FileBatch:
    """A file of which each row is predicted, a chunk at a time, and the writer of the answer.

    Parameters
    ----------
    models : ModelsByOutcome
    path : Path
    kind, answer_kind : BatchFormat
        Format of the file, and of the answer.
    default_units : mapping of str to str, optional
        Unit of each immune measurement whose column states none; without it, such a column is refused.
    max_rows : int, optional
        The rows beyond have an error; by default `MAX_ROWS`.

    Raises
    ------
    InputError
        The file cannot be read, or a column cannot be told.
    """

    def __init__(
        self,
        models: ModelsByOutcome,
        path: Path,
        kind: BatchFormat,
        answer_kind: BatchFormat,
        default_units: Mapping[str, str] | None = None,
        max_rows: float = MAX_ROWS,
    ) -> None:
        served = every_model(models)
        self._models, self._max_rows = models, max_rows
        self._reader = BatchReader(path, kind)
        try:
            header = self._reader.header
            self.columns = read_columns(header, names_of(served), default_units)
        except BaseException:
            self.close()
            raise
        self._chunks = self._reader.chunks()
        self._next_row = 1
        returned = {header.names[position]: header.kinds[position] for position in self.columns.returned}
        self.writer = open_writer(answer_kind, returned, served)

    def close(self) -> None:
        """End the process that reads the file."""
        self._reader.close()

    def predict_chunk(self) -> list[PredictedRow]:
        """Return the next rows; none where the file has ended.

        A row that cannot be read has its error. So has the row from which on none is read, because the file breaks off
        or has too many; it is the last.

        Raises
        ------
        InputError
            Not even the first row can be read, or there is none.
        """
        first_row = self._next_row
        try:
            rows = next(self._chunks, [])
            if first_row > self._max_rows and rows:
                raise InputError(
                    f"a batch has at most {self._max_rows:,} rows; send this row and those after it in another"
                )
        except InputError as error:
            if first_row == 1:
                raise
            self._chunks = iter(())
            return [PredictedRow((None,) * len(self.columns.returned), first_row, error=f"from this row on: {error}")]
        if not rows and first_row == 1:
            raise InputError("the file has no rows; expected a row for each patient")
        self._next_row += len(rows)
        return [self._predict(row, number) for number, row in enumerate(rows, start=first_row)]

    def _predict(self, row: Row, number: int) -> PredictedRow:
        cells = {} if isinstance(row, str) else dict(zip(*row, strict=True))
        returned = tuple(cells.get(position) for position in self.columns.returned)
        try:
            patient = read_patient(row, self.columns)
        except InputError as error:
            return PredictedRow(returned, number, error=str(error))
        return predict_patient(self._models, patient, returned, number)


def predict_patient(
    models: ModelsByOutcome, patient: BatchPatient, returned: tuple[Cell | None, ...], number: int
) -> PredictedRow:
    """Return the predictions of a patient, one for each outcome; or the error, where a value cannot be read.

    Parameters
    ----------
    models : ModelsByOutcome
    patient : BatchPatient
    returned : tuple of str, int, float, bool or None
        Cells that the answer returns.
    number : int
        Of the row, from 1.
    """
    try:
        predictions = tuple(predict(ranked, patient.candidate) for ranked in models.values())
    except InputError as error:
        return PredictedRow(returned, number, error=str(error))
    return PredictedRow(returned, number, patient, predictions)
