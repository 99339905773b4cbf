"""How a request is recorded: who asks, by which route, and the number of the entry in the response."""

from __future__ import annotations

import re
import secrets

from fastapi import Request, Response

from serving.record.question import Inputs, Question, RecordedProbability
from serving.record.recorder import Recorder

REQUEST_ID = "X-Request-ID"
"""Header by which a client may name its request; the response repeats it."""
ENTRY = "Taxokine-Record"
"""Header of a response that states the number of its entry in the record."""
RECORD_HEADERS: dict[str, object] = {
    "headers": {
        REQUEST_ID: {"description": "Id of the request, as sent or as made here", "schema": {"type": "string"}},
        ENTRY: {"description": "Number of the entry in the record of questions", "schema": {"type": "integer"}},
    }
}

_VALID_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


async def record_api(
    request: Request, response: Response, patient: str, inputs: Inputs, answer: tuple[RecordedProbability, ...]
) -> None:
    """Record a question to the API, and state its entry in the headers of the response.

    Raises
    ------
    NotRecorded
        It could not be recorded, and must be.
    """
    recorder: Recorder | None = request.app.state.recorder
    if recorder is None:
        return
    question = Question(request.state.asker, _request_id(request), _route(request), patient, inputs, answer)
    number = await recorder.record(question)
    response.headers[REQUEST_ID] = question.request_id
    if number is not None:
        response.headers[ENTRY] = str(number)


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
        question = Question(asker, _request_id(request), _route(request), patient, inputs, answer)
        recorder.record_in_thread(question)


def _request_id(request: Request) -> str:
    sent = request.headers.get(REQUEST_ID, "")
    return sent if _VALID_ID.fullmatch(sent) else secrets.token_hex(8)


def _route(request: Request) -> str:
    # The route's template: the path itself may hold the id of a patient.
    return f"{request.method} {request.scope['route'].path}"
