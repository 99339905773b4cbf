"""Middleware: response headers that protect the reader, and the response to an unforeseen failure."""

from __future__ import annotations

import logging
import secrets
import traceback

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.error_responses import error_response
from serving.schemas import Problem

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_LOG = logging.getLogger("uvicorn.error")


class ProtectResponses:
    """Set security headers on every response, and turn an unforeseen exception into status 500.

    The log gets the traceback and the type of the exception, never its message, which may quote a patient's values.

    Parameters
    ----------
    app : ASGI application
        The application to protect.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        response_started = False

        async def send_protected(message: Message) -> None:
            nonlocal response_started
            if message["type"] == "http.response.start":
                response_started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(("/v1/", "/fhir/", "/cds-services")):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        try:
            await self.app(scope, receive, send_protected)
        except ClientDisconnect:
            return
        except Exception as error:
            reference = secrets.token_hex(6)
            trace = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("request %s failed: %s\n%s", reference, type(error).__name__, trace)
            if not response_started:
                message = f"the server failed on this request; its log has the place, under {reference}"
                request = Request(scope, receive)
                response = await error_response(request, 500, Problem(place=None, message=message))
                await response(scope, receive, send_protected)
