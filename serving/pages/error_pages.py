"""Errors as pages in the design of the others, for requests of a browser."""

from __future__ import annotations

from functools import partial

from fastapi import Request, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from features.errors import TaxokineError
from serving.pages.rendering import PageRoute, protect_page, render
from serving.pages.session import session_visitor

HEADINGS = {
    400: "The request is not valid",
    403: "You may not open this page",
    404: "There is no such page",
    405: "This page takes no such request",
    413: "The files are too large",
    422: "Something in the request cannot be read",
    415: "The server does not read this type of file",
    429: "Too many requests",
    500: "The server failed on this page",
    503: "The server is not ready",
}
"""Heading of an error page by HTTP status."""
_API_PATHS = ("/v1/", "/healthz", "/readyz", "/openapi.json")


def expects_page(request: Request) -> bool:
    """Return whether an error of this request is reported as a page.

    That is the case for the routes of pages, and for any other path outside the API that a browser opens.
    """
    if isinstance(request.scope.get("route"), PageRoute):
        return True
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(_API_PATHS)


async def error_page(request: Request, status: int, message: str) -> Response:
    """Return the page of an error.

    Parameters
    ----------
    request : Request
    status : int
        HTTP status, one of `HEADINGS`.
    message : str
        What was expected, what came and what to do, without a full stop.
    """
    if getattr(request.state, "visitor", None) is None and status != 503:
        try:
            request.state.visitor = await run_in_threadpool(session_visitor, request)
        except (SQLAlchemyError, TaxokineError):
            # The page of an error must not depend on the database.
            request.state.visitor = None
    # The page of an error has nothing to show of another outcome, and that of a form no address to return to.
    request.state.outcome_choices = ()
    content = {"heading": HEADINGS[status], "message": message, "is_missing": status == 404}
    page = await run_in_threadpool(partial(render, request, "error", status, **content))
    return protect_page(page)
