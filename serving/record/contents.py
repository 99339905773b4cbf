"""What a verification finds beside the chain, which binds entries alone: in patients' keys and the table of reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, select

from serving.database import outcome_reports, record_entries, record_patients
from serving.record.chain import ERASURE, REPORT, entry_context
from serving.record.keys import RecordKey, unseal


def content_findings(key: RecordKey, connection: Connection) -> Iterator[str]:
    """Yield what is wrong with the rows that belong to entries, one sentence each.

    Parameters
    ----------
    key : RecordKey
    connection : Connection
        In a transaction that sees one state of the database.
    """
    columns = record_entries.c
    erased = set(connection.scalars(select(columns.patient_id).where(columns.route == ERASURE)))
    keys: dict[int, bytes | None] = {}
    for number, pseudonym, wrapped_key in connection.execute(select(record_patients).order_by(record_patients.c.id)):
        is_whole = pseudonym is not None and wrapped_key is not None
        keys[number] = key.unwrap(wrapped_key, pseudonym) if is_whole else None
        problem = _patient_problem(is_whole, keys[number], number in erased)
        if problem:
            yield f"patient {number} of the record: {problem}"
    reports = connection.execute(select(outcome_reports))
    predictions: dict[int, int] = {report.number: report.prediction for report in reports}
    query = select(columns.number, columns.route, columns.patient_id, columns.sealed).order_by(columns.number)
    for number, route, patient, sealed in connection.execution_options(yield_per=1000).execute(query):
        problem = _entry_problem((number, route, patient, sealed), keys, predictions)
        if problem:
            yield f"entry {number} {problem}"


def _patient_problem(is_whole: bool, patient_key: bytes | None, erased: bool) -> str | None:
    if not is_whole:
        return None if erased else "the key was removed, and no entry says that it was erased"
    if erased:
        return "there is a key, and an entry says that it was erased"
    return "the key was altered, or belongs to another key of the record" if patient_key is None else None


def _entry_problem(
    entry: tuple[int, str, int, bytes], keys: Mapping[int, bytes | None], predictions: Mapping[int, int]
) -> str | None:
    number, route, patient, sealed = entry
    if patient not in keys:
        return f"cannot be opened: the row of patient {patient} was removed"
    if route == REPORT and number not in predictions:
        return "reports an outcome, and its row in the table of reports was removed"
    patient_key = keys[patient]
    if patient_key is None or route == ERASURE:
        return None
    content = unseal(patient_key, sealed, entry_context(number))
    if content is None:
        return f"does not open by the key of patient {patient}: it was altered, or patients were exchanged"
    if route == REPORT and json.loads(content)["prediction"] != predictions[number]:
        return "reports on another prediction than the table of reports says"
    return None
