"""Reports of outcomes: entries of the record of questions, each about the prediction of an earlier entry.

A report is sealed under its patient's key and linked into the record's chain: it is found if it is altered, and erased
with the patient. None is ever changed: a later report about the same prediction and outcome takes its place.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, Select, insert, select

from features.errors import InputError
from serving.database import exclusive, outcome_reports, read_only, record_entries, record_patients
from serving.errors import NotServed
from serving.record.answer import SEALED, RecordedProbability
from serving.record.chain import REPORT, Entry, entry_context
from serving.record.keys import seal, unseal
from serving.record.store import RecordStore

_DAY = timedelta(days=1)
"""Largest difference of the dates of two time zones."""


@dataclass(frozen=True)
class OutcomeReport:
    """What became of a patient after a prediction.

    Attributes
    ----------
    prediction : int
        Number of the entry that recorded the prediction.
    assessed : date
        When the outcomes were assessed.
    outcomes : mapping of str to bool or None
        Whether each outcome occurred; None withdraws an earlier report of it.
    """

    prediction: int
    assessed: date
    outcomes: Mapping[str, bool | None]


@dataclass(frozen=True)
class ReportedPrediction:
    """A recorded prediction whose outcome was reported.

    Attributes
    ----------
    entry : int
        Number of the entry that recorded the prediction.
    patient : int
        Row of the patient's key.
    prediction : RecordedProbability
    occurred : bool
    """

    entry: int
    patient: int
    prediction: RecordedProbability
    occurred: bool


_REPORT: TypeAdapter[OutcomeReport] = TypeAdapter(OutcomeReport)


class OutcomeStore:
    """The reports in the database of a record of questions.

    Parameters
    ----------
    record : RecordStore
    """

    def __init__(self, record: RecordStore) -> None:
        self._record = record

    def append(
        self,
        asker: str,
        request_id: str,
        assessed: date,
        outcomes: Mapping[str, bool | None],
        *,
        number: int | None = None,
        patient: str | None = None,
    ) -> tuple[int, OutcomeReport]:
        """Append a report, and return the number of its entry.

        Parameters
        ----------
        asker, request_id : str
            Who reports, and the id of the request.
        assessed : date
        outcomes : mapping of str to bool or None
            At least one.
        number : int, optional
            Of the entry that recorded the prediction.
        patient : str, optional
            Id of the patient, in place of the number: the last prediction of these outcomes until `assessed` is meant.

        Raises
        ------
        NotServed
            There is no such entry, or none of this patient.
        InputError
            The entry predicted no such outcome, was recorded after the outcomes were assessed, or cannot be opened.
        """
        today = datetime.now(UTC).date()
        if assessed > today + _DAY:
            raise InputError(f"assessed: {assessed} is in the future; send the day on which the outcome was assessed")
        with exclusive(self._record.engine) as connection:
            if number is None:
                number = self._last_prediction(connection, str(patient), assessed, set(outcomes))
            row = self._prediction_row(connection, number)
            patient_key = self._record.key.unwrap(row.wrapped_key, row.pseudonym) if row.wrapped_key else None
            predicted = self._predicted(row)
            if patient_key is None or predicted is None:
                raise InputError(
                    f"record: entry {number} cannot be opened: its patient was erased, or the key is another"
                )
            _check(number, row.time, assessed, set(outcomes), {item.outcome for item in predicted})
            report = OutcomeReport(number, assessed, outcomes)
            content = _REPORT.dump_json(report)

            def entry(entry_number: int) -> Entry:
                digest = hmac.digest(patient_key, content, "sha256")
                sealed = seal(patient_key, content, entry_context(entry_number))
                now = datetime.now(UTC)
                return Entry(entry_number, now, asker, request_id, REPORT, row.patient_id, "[]", digest, sealed)

            appended = self._record.append_entry(connection, entry)
            connection.execute(insert(outcome_reports).values(number=appended.number, prediction=number))
        return appended.number, report

    def reported(self) -> Iterator[ReportedPrediction]:
        """Yield each prediction whose outcome was reported, with its last report; erased patients are left out."""
        for row, outcomes in self._reports():
            for prediction in self._predicted(row) or ():
                occurred = outcomes.get(prediction.outcome)
                if occurred is not None:
                    yield ReportedPrediction(row.number, row.patient_id, prediction, occurred)

    def _reports(self) -> list[tuple[Row[tuple[object, ...]], dict[str, bool | None]]]:
        """Return each reported prediction's row, and its outcomes by the last report of each."""
        report_rows = (
            select(outcome_reports.c.prediction, record_entries.c.number, record_entries.c.sealed)
            .join(record_entries, record_entries.c.number == outcome_reports.c.number)
            .order_by(outcome_reports.c.number)
        )
        rows: dict[int, Row[tuple[object, ...]]] = {}
        outcomes: dict[int, dict[str, bool | None]] = {}
        with read_only(self._record.engine) as connection:
            for report_row in connection.execute(report_rows):
                number = report_row.prediction
                if number not in rows:
                    rows[number] = self._prediction_row(connection, number)
                content = self._opened(rows[number], report_row.number, report_row.sealed)
                report = None if content is None else _REPORT.validate_json(content)
                # A table that was altered may name another prediction than the sealed report does.
                if report is not None and report.prediction == number:
                    outcomes.setdefault(number, {}).update(report.outcomes)
        return [(rows[number], reported) for number, reported in outcomes.items()]

    def _last_prediction(self, connection: Connection, patient: str, assessed: date, outcomes: set[str]) -> int:
        end = datetime.combine(assessed + 2 * _DAY, time(), UTC)
        query = (
            _PREDICTIONS.where(record_patients.c.pseudonym == self._record.key.pseudonym(patient))
            .where(record_entries.c.time < end)
            .order_by(record_entries.c.number.desc())
        )
        for row in connection.execute(query):
            if outcomes & {item.outcome for item in self._predicted(row) or ()}:
                return int(row.number)
        raise NotServed(
            f"the record has no prediction of {', '.join(sorted(outcomes))} for this patient until {assessed}; see the "
            "id, and that the outcome was predicted before it was assessed"
        )

    def _prediction_row(self, connection: Connection, number: int) -> Row[tuple[object, ...]]:
        row = connection.execute(_PREDICTIONS.where(record_entries.c.number == number)).one_or_none()
        if row is None:
            raise NotServed(f"the record has no entry {number}; the header Taxokine-Record states that of a prediction")
        return row

    def _predicted(self, row: Row[tuple[object, ...]]) -> tuple[RecordedProbability, ...] | None:
        """Return what an entry predicts from what was measured; None where it cannot be opened."""
        content = self._opened(row, row.number, row.sealed)
        if content is None or row.route == REPORT:
            return None if content is None else ()
        return tuple(item for item in SEALED.validate_json(content).answer if item.case == "as measured")

    def _opened(self, row: Row[tuple[object, ...]], number: int, sealed: bytes) -> bytes | None:
        key = self._record.key.unwrap(row.wrapped_key, row.pseudonym) if row.wrapped_key else None
        return None if key is None else unseal(key, sealed, entry_context(number))


_PREDICTIONS: Select[tuple[object, ...]] = select(
    record_entries.c.number,
    record_entries.c.time,
    record_entries.c.route,
    record_entries.c.patient_id,
    record_entries.c.sealed,
    record_patients.c.pseudonym,
    record_patients.c.wrapped_key,
).join(record_patients, record_patients.c.id == record_entries.c.patient_id)


def _check(number: int, predicted: datetime, assessed: date, outcomes: set[str], predicted_outcomes: set[str]) -> None:
    if unknown := sorted(outcomes - predicted_outcomes):
        names = ", ".join(sorted(predicted_outcomes)) or "no outcome"
        raise InputError(f"outcomes.{unknown[0]}: entry {number} predicts {names}; report these")
    if predicted.date() > assessed + _DAY:
        raise InputError(
            f"assessed: the outcome was assessed on {assessed}, and entry {number} predicted it on {predicted.date()}; "
            "what was known before tests no prediction"
        )
