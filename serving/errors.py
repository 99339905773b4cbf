"""Errors as a client sees them: one shape, whatever went wrong, and never a patient's values in the log."""

from __future__ import annotations

import logging
import re
import reprlib
import secrets
import traceback
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import ValidationError
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import InputError, TaxokineError
from serving.schemas import ErrorResponse, Problem

MOST_PROBLEMS = 10

_CODES = {
    400: "malformed_json",
    401: "not_authorised",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "too_many_attempts",
    503: "model_missing",
}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The docs page brings its own assets, and its start-up script stands in the page.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
}
_LOG = logging.getLogger("uvicorn.error")
_PLACE = re.compile(r"((?:patient|taxa|immune|outcomes)\b[^:\[]*?)(?:\[|:| sum)")

_DEPTH = {"patient": 2, "taxa": 3, "immune": 3}
"""How deep a place goes; below it pydantic names the types it tried."""


class Guard:
    """Middleware that answers what nobody foresaw, and sets the headers of every answer.

    Parameters
    ----------
    app : ASGI application
        What it guards.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/v1/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        try:
            await self.app(scope, receive, guarded)
        except ClientDisconnect:
            return
        except Exception as error:
            number = secrets.token_hex(6)
            # Where it happened and what kind it is, never its words: they may quote a patient's values.
            trace = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("request %s failed: %s\n%s", number, type(error).__name__, trace)
            if not started:
                told = f"the server failed on this request; its log tells where, under {number}"
                await _response(500, "internal", Problem(place=None, message=told))(scope, receive, guarded)


def add_handlers(app: FastAPI) -> None:
    """Let an application answer every error in the one shape."""
    app.add_middleware(Guard)
    app.add_exception_handler(TaxokineError, _taxokine)
    app.add_exception_handler(ValidationError, _validation)
    for status in (404, 405):
        app.add_exception_handler(status, _route)


class NotServed(TaxokineError):
    """No model of this name and version is served."""

    status = 404


class UnsupportedMedia(InputError):
    """The request's body is not said to be JSON."""

    status = 415


async def _taxokine(request: Request, error: Exception) -> Response:
    assert isinstance(error, TaxokineError)
    place = _PLACE.match(str(error)) if isinstance(error, InputError) else None
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    problem = Problem(place=place and place[1], message=str(error))
    return _response(error.status, _CODES.get(error.status, "internal"), problem, headers=headers)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    problems: dict[str | None, Problem] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "json_invalid":
            told = f"the body is not JSON: {detail['ctx']['error']}; send UTF-8 JSON, with null for what is not known"
            return _response(400, _CODES[400], Problem(place=None, message=told))
        problem = _problem(detail)
        problems.setdefault(problem.place, problem)
    return _response(422, _CODES[422], *list(problems.values())[:MOST_PROBLEMS])


async def _route(request: Request, error: Exception) -> Response:
    status, headers = error.status_code, error.headers  # type: ignore[attr-defined]
    told = {
        404: "there is nothing at this path; /docs lists what there is",
        405: f"this path does not take {request.method}; /docs tells what it takes",
    }[status]
    return _response(status, _CODES[status], Problem(place=None, message=told), headers=headers)


def _problem(detail: Mapping[str, Any]) -> Problem:
    loc = detail["loc"][: _DEPTH.get(str(detail["loc"][0]), 2)] if detail["loc"] else ()
    place = ".".join(map(str, loc)) or None
    here, kind = place or "the body", detail["type"]
    if kind == "missing":
        return Problem(place=place, message=f"{here} is required; add it")
    if kind == "extra_forbidden":
        return Problem(place=place, message=f"{here} is not a field of a request; remove it, or correct its name")
    return Problem(place=place, message=f"{here}: got {reprlib.repr(detail['input'])}; {_advice(detail)}")


def _advice(detail: Mapping[str, Any]) -> str:
    match detail["loc"]:
        case ("patient", field, *_) if field != "id":
            return "expected a number, text, true, false or null"
        case ("taxa", "values", _):
            return "expected a number from 0 up, without NaN and infinities; leave out what was not measured"
        case ("immune", int(), "value", *_):
            return 'expected a number, "<limit", ">limit", "OOR<", "OOR>", or null where it was not measured'
    told: str = detail["msg"]
    return told[0].lower() + told[1:]


def _response(status: int, code: str, *problems: Problem, headers: Any = None) -> Response:
    body = ErrorResponse.of(code, *problems).model_dump_json()
    return Response(body, status, headers, "application/json")
