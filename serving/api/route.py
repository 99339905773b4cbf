"""The route class of the API: it checks the key first, then the type and size of the body, and parses the body once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import JsonValue, TypeAdapter
from starlette.types import Receive, Scope

from serving.accounts import Accounts
from serving.errors import NotAuthorised, TooLarge, UnsupportedMedia
from serving.rate import RateLimits
from serving.turns import Turns, WaitingRoom

MAX_BODY = 2 * 2**20
"""Bytes of the largest body that is read; a profile of 2,000 taxa takes a twentieth of it."""

MAX_INLINE_BODY = 2**14
"""Bytes of the largest body that is parsed and answered between other requests, in a few milliseconds; a larger one is
answered in a thread beside them."""
MAX_LARGE_REQUESTS, MAX_LARGE_WAIT = 2, 30.0
"""Larger bodies of one route that a worker answers at once, and seconds that a further one waits before status 503."""
MAX_REQUESTS, MAX_WAIT = 16, 2.0
"""Other requests of one route that a worker answers at once, and seconds that a further one waits before status 503.

They are as many as one transaction of the record takes up well, and few enough that a health check, which comes between
them, waits for some milliseconds.
"""

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

    Attributes
    ----------
    media_types : tuple of str
        Types of the body that the route takes, the preferred one first.
    """

    media_types: tuple[str, ...] = ("application/json",)

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None
        turns, large_turns = Turns(MAX_REQUESTS, MAX_WAIT), Turns(MAX_LARGE_REQUESTS, MAX_LARGE_WAIT)
        large_threads = CapacityLimiter(MAX_LARGE_REQUESTS)

        async def handle_json(request: Request) -> Response:
            # FastAPI would report malformed JSON in another way.
            await request.json()
            return await handle(request)

        async def handle_authorised(request: Request) -> Response:
            await self.authorise(request)
            limits: RateLimits = request.app.state.rate_limits
            if asker := getattr(request.state, "asker", ""):
                limits.keys.count(asker)
            room: WaitingRoom = request.app.state.waiting_room
            if not takes_body:
                async with turns.turn(room):
                    return await handle(request)
            request = _JsonRequest(request.scope, request.receive, self.media_types)
            # A slow client holds no turn: it begins once the body is there.
            if len(await request.body()) <= MAX_INLINE_BODY:
                async with turns.turn(room):
                    return await handle_json(request)
            async with large_turns.turn(room):
                # Nothing of what remains waits for the client, so another loop can do it.
                return await to_thread.run_sync(anyio.run, handle_json, request, limiter=large_threads)

        return handle_authorised

    async def authorise(self, request: Request) -> None:
        """Set `request.state.asker`, or refuse the request.

        Raises
        ------
        NotAuthorised
            It has no valid key.
        """
        await _check_key(request, request.app.state.accounts)


class _JsonRequest(Request):
    """A request whose body is JSON of at most `MAX_BODY` bytes, declared as one of `media_types`."""

    def __init__(self, scope: Scope, receive: Receive, media_types: tuple[str, ...]) -> None:
        super().__init__(scope, receive)
        self._media_types = media_types

    async def body(self) -> bytes:
        """Return the body."""
        if not hasattr(self, "_body"):
            _check_media_type(self, self._media_types)
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


async def _check_key(request: Request, accounts: Accounts) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise NotAuthorised("an API key is required; send the header 'Authorization: Bearer <key>'")
    name = accounts.keys.accept_from_memory(key.strip())
    if name is None:
        # The database may take its time; other requests must not wait for it.
        name = await to_thread.run_sync(accounts.keys.accept, key.strip())
    if name is None:
        raise NotAuthorised("this API key is not valid; 'taxokine keys add NAME' makes one that is")
    request.state.asker = f"key {name}"


def _check_media_type(request: Request, media_types: tuple[str, ...]) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in media_types:
        content = f"of type {media_type}" if media_type else "of no declared type"
        raise UnsupportedMedia(f"the body is {content}; send 'Content-Type: {media_types[0]}'")
    check_encoding(request)


def check_encoding(request: Request) -> None:
    """Raise UnsupportedMedia where the body is compressed."""
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise UnsupportedMedia(f"the body is encoded as {encoding}; send it without Content-Encoding")
