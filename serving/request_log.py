"""Middleware: gives each request its id, and counts and logs it once it is answered."""

from __future__ import annotations

import re
import secrets
import time
from functools import cache

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.instruments import REQUEST_SECONDS, REQUESTS
from serving.logs import LOG, REQUEST_ID

HEADER = "X-Request-ID"
"""Header by which a client may name its request; the response repeats it, and log and record of questions have it."""
_HEADER = HEADER.lower().encode()
CLIENT_LEFT = 499
"""Status in the log of a request whose client left before the response began; none is sent."""
UNKNOWN_ROUTE = "none"

_VALID_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestLog:
    """Give each request its id; count it, and log its method, route, status, time and asker.

    The route is the template of the path: the path itself may hold the id of a patient. Health checks and metrics are
    logged where they fail.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), CLIENT_LEFT
        seconds: float | None = None
        sent_names = (value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER)
        sent_name = next(sent_names, "")
        state = scope.setdefault("state", {})
        state["request_id"] = sent_name if _VALID_ID.fullmatch(sent_name) else secrets.token_hex(8)
        REQUEST_ID.set(state["request_id"])

        async def send_named(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status = message["status"]
                # A route may have given the request another id.
                headers = [pair for pair in message.get("headers", ()) if pair[0] != _HEADER]
                message["headers"] = [*headers, (_HEADER, state["request_id"].encode())]
            elif not message.get("more_body", False):
                # Before the client has the whole answer, so that whoever then reads the metrics finds it counted.
                seconds = time.perf_counter() - started
                _count(scope, status, seconds)
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        finally:
            if seconds is None:
                seconds = time.perf_counter() - started
                _count(scope, status, seconds)
            # Nobody waits for the line.
            _log(scope, status, seconds)


def _count(scope: Scope, status: int, seconds: float) -> None:
    count, duration = _instruments(_method(scope), route_template(scope), status)
    count.inc()
    duration.observe(seconds)


def _log(scope: Scope, status: int, seconds: float) -> None:
    route = route_template(scope)
    if route in _PROBES and status < 400:
        return
    fields: dict[str, object] = {
        "request": scope["state"]["request_id"],
        "method": _method(scope),
        "route": route,
        "status": status,
        "ms": round(seconds * 1e3, 1),
    }
    if (asker := scope["state"].get("asker")) is not None:
        fields["asker"] = asker
    LOG.log(40 if status >= 500 else 20, "request", extra={"fields": fields})


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


# Looking the labels up takes longer than counting. Methods, routes and statuses are few.
@cache
def _instruments(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), REQUEST_SECONDS.labels(method, route)


def route_template(scope: Scope) -> str:
    """Return the template of the path that answered a request, such as `/patients/{patient_id:path}`."""
    route = scope.get("route")
    if route is not None:
        return str(route.path)
    return "/static" if scope.get("endpoint") is not None else UNKNOWN_ROUTE
