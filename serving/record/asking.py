"""How a request is recorded: who asks, by which route, and the number of the entry in the response."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request, Response

from models.patient_input import Candidate
from serving.record.question import Inputs, Question, RecordedProbability
from serving.record.recorder import Recorder

REQUEST_ID = "X-Request-ID"
"""Header by which a client may name its request; the response repeats it."""
ENTRY = "Taxokine-Record"
"""Header of a response that states the number of its entry in the record."""
_REQUEST_ID_HEADER = {"description": "Id of the request, as sent or as made here", "schema": {"type": "string"}}
REQUEST_HEADERS: dict[str, object] = {"headers": {REQUEST_ID: _REQUEST_ID_HEADER}}
"""What the OpenAPI document says of the headers of a response without an entry of its own."""
RECORD_HEADERS: dict[str, object] = {
    "headers": {
        REQUEST_ID: _REQUEST_ID_HEADER,
        ENTRY: {"description": "Number of the entry in the record of questions", "schema": {"type": "integer"}},
    }
}

_VALID_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


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
) -> None:
    """Record a question to the API, and state its entry in the headers of the response.

    The id of the request is `question_id`, else that of its header, else a new one.

    Raises
    ------
    NotRecorded
        It could not be recorded, and must be.
    """
    recorder: Recorder | None = request.app.state.recorder
    if recorder is None:
        return
    question = Question(
        request.state.asker, question_id or request_id(request), _route(request), patient, inputs, answer
    )
    number = await recorder.record(question)
    response.headers[REQUEST_ID] = question.request_id
    if number is not None:
        response.headers[ENTRY] = str(number)


async def record_rows(request: Request, name: str, rows: Sequence[RowQuestion]) -> list[int | None]:
    """Record the questions of one request about several patients, and return the numbers of their entries.

    Parameters
    ----------
    request : Request
    name : str
        Id of the request.
    rows : sequence of RowQuestion

    Raises
    ------
    NotRecorded
        At least one could not be recorded, and must be.
    """
    recorder: Recorder | None = request.app.state.recorder
    if recorder is None:
        return [None] * len(rows)
    asker, route = request.state.asker, _route(request)
    questions = [Question(asker, name, route, row.patient, Inputs(row.candidate), row.answer) for row in rows]
    return await recorder.record_all(questions)


def record_page(request: Request, patient: str, inputs: Inputs, answer: tuple[RecordedProbability, ...]) -> None:
    """Record a question of a signed-in user, while this thread waits.

    Raises
    ------
    NotRecorded
        It could not be recorded, and must be.
    """
    recorder: Recorder | None = request.app.state.recorder
    if recorder is not None:
        asker = f"user {request.state.visitor.name}"
        question = Question(asker, request_id(request), _route(request), patient, inputs, answer)
        recorder.record_in_thread(question)


def request_id(request: Request) -> str:
    """Return the id of a request: as the client sent it, or else a new one."""
    sent = request.headers.get(REQUEST_ID, "")
    return sent if _VALID_ID.fullmatch(sent) else secrets.token_hex(8)


def _route(request: Request) -> str:
    # The route's template: the path itself may hold the id of a patient.
    return f"{request.method} {request.scope['route'].path}"
