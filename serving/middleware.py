"""Middleware: response headers that protect the reader, and the response to an unforeseen failure."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.error_responses import error_response
from serving.logs import log_failure
from serving.schemas import Problem

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of each response that does not set them itself; as bytes, since Starlette would encode them every time."""
_NOT_STORED = (b"cache-control", b"no-store")


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
                headers = list(message.get("headers", ()))
                if scope["path"].startswith(("/v1/", "/fhir/", "/cds-services")):
                    headers = [pair for pair in headers if pair[0] != b"cache-control"] + [_NOT_STORED]
                names = {name for name, _ in headers}
                message["headers"] = headers + [pair for pair in _HEADERS if pair[0] not in names]
            await send(message)

        try:
            await self.app(scope, receive, send_protected)
        except ClientDisconnect:
            return
        except Exception as error:
            log_failure("a request failed", error)
            if not response_started:
                request = Request(scope, receive)
                message = f"the server failed on this request; its log has the place, under {request.state.request_id}"
                response = await error_response(request, 500, Problem(place=None, message=message))
                await response(scope, receive, send_protected)
