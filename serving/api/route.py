"""The route class of the API: it checks the key first, then the type and size of the body, and parses the body once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from fastapi import Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import JsonValue, TypeAdapter

from serving.accounts import Accounts
from serving.errors import NotAuthorised, TooLarge, UnsupportedMedia

MAX_BODY = 2 * 2**20
"""Bytes of the largest body that is read; a profile of 2,000 taxa takes a twentieth of it."""

BEARER = HTTPBearer(
    scheme_name="key",
    description="A key that `taxokine serve` prints at its first start, or that `taxokine keys add` prints.",
    auto_error=False,
)
"""Describes the key in the OpenAPI document; `KeyedRoute` checks it."""

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


class KeyedRoute(APIRoute):
    """A route that needs an API key.

    FastAPI would read and parse the body before any dependency could refuse the request.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def handle_authorised(request: Request) -> Response:
            _check_key(request, request.app.state.accounts)
            if takes_body:
                request = _JsonRequest(request.scope, request.receive)
                await request.json()
            return await handle(request)

        return handle_authorised


class _JsonRequest(Request):
    """A request whose body is JSON of at most `MAX_BODY` bytes."""

    async def body(self) -> bytes:
        """Return the body."""
        if not hasattr(self, "_body"):
            _check_media_type(self)
            too_large = TooLarge(f"the body is larger than {MAX_BODY:,} bytes; send one candidate, one stool sample")
            length = self.headers.get("content-length", "0")
            if length.isdecimal() and int(length) > MAX_BODY:
                raise too_large
            content = bytearray()
            async for chunk in self.stream():
                content += chunk
                if len(content) > MAX_BODY:
                    raise too_large
            self._body = bytes(content)
        return self._body

    async def json(self) -> JsonValue:
        """Return the parsed body; pydantic's parser refuses what Python's accepts, such as unpaired surrogates."""
        if not hasattr(self, "_json"):
            self._json: JsonValue = _JSON.validate_json(await self.body())
        return self._json


def _check_key(request: Request, accounts: Accounts) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise NotAuthorised("an API key is required; send the header 'Authorization: Bearer <key>'")
    if not accounts.accept_key(key.strip()):
        raise NotAuthorised("this API key is not valid; 'taxokine keys add NAME' makes one that is")


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        content = f"of type {media_type}" if media_type else "of no declared type"
        raise UnsupportedMedia(f"the body is {content}; send 'Content-Type: application/json'")
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise UnsupportedMedia(f"the body is encoded as {encoding}; send it without Content-Encoding")
