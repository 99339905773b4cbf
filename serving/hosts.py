"""The names under which the server answers.

A page of another site may let its own name point to this machine (DNS rebinding). The browser then takes the server for
a part of that site; only the name in the request gives it away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.error_responses import error_response
from serving.schemas import Problem

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names of this machine, under which every server answers."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/@\s]+?)\.?(?::\d{1,5})?", re.ASCII)
_LONGEST_QUOTED = 100


class RequireHost:
    """Refuse requests for a host of another name, with status 400.

    Parameters
    ----------
    app : ASGI application
    hosts : iterable of str
        Names of the server besides those of `LOOPBACK`, without port; case does not matter.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = (LOOPBACK | {host_name(host) for host in hosts}) - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            # Of two names, a proxy may have checked the other.
            if len(values) != 1 or host_name(values[0]) not in self._hosts:
                response = await error_response(
                    Request(scope, receive), 400, _refusal(", ".join(values)), code="host_not_allowed"
                )
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def host_name(value: str) -> str:
    """Return the name in the value of a `Host` header, in lower case and without port; "" where it has none."""
    match = _HOST.fullmatch(value.strip().lower())
    return match[1] if match else ""


def _refusal(value: str) -> Problem:
    host = f"the host {value[:_LONGEST_QUOTED]!r}" if value else "a request without a host"
    message = (
        f"this server does not answer {host}; open it under one of its own names, or add this name to TAXOKINE_HOSTS"
    )
    return Problem(place=None, message=message)
