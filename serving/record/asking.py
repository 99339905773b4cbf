"""How a request is recorded: who asks, by which route, and the number of the entry in the response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import Request, Response

from models.patient_input import Candidate
from serving.instruments import PREDICTIONS
from serving.record.answer import RecordedProbability
from serving.record.question import Inputs, Question
from serving.record.recorder import Recorder
from serving.request_log import HEADER, route_template

ENTRY = "Taxokine-Record"
"""Header of a response that states the number of its entry in the record."""
_REQUEST_ID_HEADER = {"description": "Id of the request, as sent or as made here", "schema": {"type": "string"}}
REQUEST_HEADERS: dict[str, object] = {"headers": {HEADER: _REQUEST_ID_HEADER}}
"""What the OpenAPI document says of the headers of a response without an entry of its own."""
RECORD_HEADERS: dict[str, object] = {
    "headers": {
        HEADER: _REQUEST_ID_HEADER,
        ENTRY: {"description": "Number of the entry in the record of questions", "schema": {"type": "integer"}},
    }
}


@dataclass(frozen=True)
class RowQuestion:
    """One patient of a request about several.

    Attributes
    ----------
    patient : str
    candidate : Candidate
    answer : tuple of RecordedProbability
    """

    patient: str
    candidate: Candidate
    answer: tuple[RecordedProbability, ...]


async def record_api(
    request: Request,
    response: Response,
    patient: str,
    inputs: Inputs,
    answer: tuple[RecordedProbability, ...],
    question_id: str = "",
    idle_work: Callable[[], object] | None = None,
) -> None:
    """Record a question to the API, and state its entry in the headers of the response.

    From here on the id of the request is `question_id`, where there is one.

    Parameters
    ----------
    request : Request
    response : Response
    patient : str
        Id of the patient.
    inputs : Inputs
    answer : tuple of RecordedProbability
    question_id : str
    idle_work : callable, optional
        As `Recorder.record` takes it.

    Raises
    ------
    NotRecorded
        It could not be recorded, and must be.
    """
    request.state.request_id = question_id or request.state.request_id
    recorder: Recorder | None = request.app.state.recorder
    if recorder is not None:
        number = await recorder.record(_question(request, patient, inputs, answer), idle_work)
        if number is not None:
            response.headers[ENTRY] = str(number)
    _count_predictions(answer)


async def record_rows(request: Request, rows: Sequence[RowQuestion]) -> list[int | None]:
    """Record the questions of one request about several patients, and return the numbers of their entries.

    Parameters
    ----------
    request : Request
    rows : sequence of RowQuestion

    Raises
    ------
    NotRecorded
        At least one could not be recorded, and must be.
    """
    recorder: Recorder | None = request.app.state.recorder
    numbers: list[int | None] = [None] * len(rows)
    if recorder is not None:
        numbers = await recorder.record_all(
            [_question(request, row.patient, Inputs(row.candidate), row.answer) for row in rows]
        )
    for row in rows:
        _count_predictions(row.answer)
    return numbers


def record_page(request: Request, patient: str, inputs: Inputs, answer: tuple[RecordedProbability, ...]) -> None:
    """Record a question of a signed-in user, while this thread waits.

    Raises
    ------
    NotRecorded
        It could not be recorded, and must be.
    """
    recorder: Recorder | None = request.app.state.recorder
    if recorder is not None:
        recorder.record_in_thread(_question(request, patient, inputs, answer))
    _count_predictions(answer)


def _question(request: Request, patient: str, inputs: Inputs, answer: tuple[RecordedProbability, ...]) -> Question:
    route = f"{request.method} {route_template(request.scope)}"
    return Question(request.state.asker, request.state.request_id, route, patient, inputs, answer)


def _count_predictions(answer: tuple[RecordedProbability, ...]) -> None:
    """Count the predictions of an answer; what has no verdict, such as the models behind a list, is none."""
    for item in answer:
        if item.verdict is not None:
            PREDICTIONS.labels(item.outcome, item.model, item.version, item.verdict).inc()
