"""Errors: pages for the pages, and JSON of one shape for the API, `serving.schemas.ErrorResponse`."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlalchemy import exc
from starlette.exceptions import HTTPException

from features.errors import InputError, TaxokineError
from serving.errors import Busy, TooManyRequests, status_of
from serving.logs import LOG
from serving.pages.error_pages import error_page, expects_page
from serving.schemas import ErrorResponse, Problem

MAX_PROBLEMS = 10
"""The most problems of one request that an error lists."""
_MAX_READ = 500

RETRY_SECONDS = 5
"""Seconds after which a client may try again where the server is busy or its database is lost."""

_CODES = {
    400: "malformed_json",
    401: "not_authorised",
    403: "not_permitted",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    412: "prefetch_missing",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "too_many_requests",
    500: "internal",
    503: "model_missing",
}
_API_MESSAGES = {
    404: "there is nothing at this path; /docs lists the paths",
    405: "this path does not take {method}; /docs lists its methods",
}
_PAGE_MESSAGES = {
    404: "the server has no page at {path}; go back to the candidates",
    405: "{path} does not take {method} requests; open the page from the menu",
    400: "the form cannot be read ({detail}); go back and send it again",
}
_PLACE = re.compile(r"((?:patient|taxa|immune|outcomes)\b[^:\[]*?)(?:\[|:| sum)")
# Where a field is a union, pydantic appends the names of the types it tried to the place of the field.
_PLACE_DEPTH = {"patient": 2, "taxa": 3, "immune": 3}
# Pydantic names the types of Python.
_JSON_TYPES = {"dict_type": "an object", "model_attributes_type": "an object", "list_type": "an array"}


def add_error_handlers(app: FastAPI) -> None:
    """Make an application return every foreseen error as a page or as an `ErrorResponse`."""
    app.add_exception_handler(TaxokineError, _on_taxokine_error)
    for lost in (exc.OperationalError, exc.InterfaceError, exc.TimeoutError):
        app.add_exception_handler(lost, _on_lost_database)
    app.add_exception_handler(ValidationError, _on_malformed_json)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)


async def error_response(
    request: Request, status: int, *problems: Problem, headers: Mapping[str, str] | None = None, code: str = ""
) -> Response:
    """Return the response that reports these problems, at least one: a page where one is expected, else JSON.

    Without a code, that of the status is reported.
    """
    if expects_page(request):
        response = await error_page(request, status, "; ".join(problem.message for problem in problems))
        response.headers.update(headers or {})
        return response
    code = code or ("unavailable" if status == 503 and headers else _CODES[status])
    body = ErrorResponse.from_problems(code, *problems).model_dump_json()
    return Response(body, status, headers, "application/json")


async def _on_taxokine_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TaxokineError)
    status = status_of(error)
    place = _PLACE.match(str(error)) if isinstance(error, InputError) else None
    problem = Problem(place=place and place[1], message=str(error))
    return await error_response(request, status, problem, headers=error_headers(error))


def error_headers(error: TaxokineError) -> dict[str, str]:
    """Return the headers of the response that reports an error."""
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(math.ceil(error.wait))}
    if isinstance(error, Busy):
        return {"Retry-After": str(RETRY_SECONDS)}
    return {"WWW-Authenticate": "Bearer"} if status_of(error) == 401 else {}


async def _on_lost_database(request: Request, error: Exception) -> Response:
    # The error may quote the address of the database and a query.
    LOG.error("the database of accounts failed: %s", type(error).__name__)
    message = f"the server's database is locked or cannot be reached; try again in {RETRY_SECONDS} s"
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return await error_response(request, 503, Problem(place=None, message=message), headers=headers)


async def _on_malformed_json(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    cause = error.errors(include_url=False)[0]["ctx"]["error"]
    message = f"the body is not JSON: {cause}; send UTF-8 JSON, with null for unknown values"
    return await error_response(request, 400, Problem(place=None, message=message))


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems: dict[str | None, Problem] = {}
    # There may be tens of thousands, of one place or of many, and others wait for the event loop.
    for detail in error.errors()[:_MAX_READ]:
        # The first part of a location says that the field belongs to the body.
        problem = _problem(detail["loc"][1:], detail["type"], detail["input"], detail["msg"])
        problems.setdefault(problem.place, problem)
        if len(problems) == MAX_PROBLEMS:
            break
    return await error_response(request, 422, *problems.values())


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    messages = _PAGE_MESSAGES if expects_page(request) else _API_MESSAGES
    message = messages.get(error.status_code, "{detail}").format(
        path=request.url.path, method=request.method, detail=error.detail
    )
    return await error_response(request, error.status_code, Problem(place=None, message=message), headers=error.headers)


def _problem(location: tuple[int | str, ...], kind: str, value: object, message: str) -> Problem:
    """Return a problem that pydantic found, in the terms of a request."""
    depth = _PLACE_DEPTH.get(str(location[0]), 2) if location else 0
    place = ".".join(map(str, location[:depth])) or None
    subject = place or "the body"
    if kind == "missing":
        return Problem(place=place, message=f"{subject} is required; add it")
    if kind == "extra_forbidden":
        return Problem(place=place, message=f"{subject} is not a field of a request; remove it, or correct its name")
    if kind in {"too_long", "value_error"}:
        # The value is long, and no part of it is what is wrong.
        text = message.removeprefix("Value error, ")
        return Problem(place=place, message=f"{subject}: {text[0].lower()}{text[1:]}")
    return Problem(
        place=place, message=f"{subject}: got {reprlib.repr(value)}; {_expectation(location, kind, message)}"
    )


def _expectation(location: tuple[int | str, ...], kind: str, message: str) -> str:
    if kind in _JSON_TYPES:
        return f"expected {_JSON_TYPES[kind]}"
    match location:
        case ("patient", field, *_) if field != "id":
            return "expected a number, text, true, false or null"
        case ("taxa", "values", _):
            return "expected a number from 0 up, without NaN and infinities; leave out taxa that were not detected"
        case ("immune", int(), "value", *_):
            return 'expected a number, "<limit", ">limit", "OOR<", "OOR>", or null where it was not measured'
    return message[0].lower() + message[1:]
