"""How many requests are answered at once, and how many wait: further ones are refused, so that none waits long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from anyio import CapacityLimiter, Lock, WouldBlock, move_on_after, to_thread
from anyio.lowlevel import checkpoint
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.error_responses import RETRY_SECONDS
from serving.errors import Busy
from serving.schemas import ErrorResponse, Problem

MAX_WAITING = 250
"""Calls of the API that wait for their turn in one worker, of all routes together."""
MAX_WAITING_PAGES = 100
"""Pages that wait for a thread of the worker."""
QUIET_ROUNDS, MOST_ROUNDS = 3, 64
"""Rounds of the event loop without a new request after which an answer begins, and after which it begins in any case. A
connection is accepted in the first round, read in the second, and its request begins in the third."""

_MESSAGE = "the server has more requests than it can answer; try again shortly"
_API_PATHS = ("/v1/", "/cds-services")
# Whoever watches the server needs these most when it is busy; the routes of FHIR refuse in its own format.
_NEVER_REFUSED = ("/healthz", "/readyz", "/metrics", "/static/", "/fhir/")


class WaitingRoom:
    """The requests of one worker that wait for their turn.

    Attributes
    ----------
    n_waiting : int
    n_begun : int
        Requests that have begun so far, whether they wait or not.
    """

    def __init__(self) -> None:
        self.n_waiting, self.n_begun = 0, 0
        self._gate = Lock(fast_acquire=True)

    @property
    def is_full(self) -> bool:
        """Whether as many requests wait as may."""
        return self.n_waiting >= MAX_WAITING

    async def let_others_begin(self) -> None:
        """Return once hardly a request is about to begin, before an answer that takes the event loop milliseconds.

        In each round the loop accepts one connection. Were it one for each answer, hundreds would wait unseen, health
        checks among them, and none would be refused.
        """
        async with self._gate:
            n_quiet = 0
            for _ in range(MOST_ROUNDS):
                n_begun = self.n_begun
                await checkpoint()
                n_quiet = n_quiet + 1 if self.n_begun == n_begun else 0
                if n_quiet == QUIET_ROUNDS:
                    return


class Turns:
    """The turns of one route in one worker.

    Parameters
    ----------
    at_once : int
        Requests that are answered at once.
    seconds : float
        How long a request waits for its turn.
    """

    def __init__(self, at_once: int, seconds: float) -> None:
        self._limiter, self._seconds = CapacityLimiter(at_once), seconds

    @asynccontextmanager
    async def turn(self, room: WaitingRoom) -> AsyncIterator[None]:
        """Wait for a turn, and hold it until the context is left.

        Raises
        ------
        Busy
            The room is full, or no turn came in time.
        """
        if room.is_full:
            raise Busy(_MESSAGE)
        room.n_waiting += 1
        try:
            await self._take_turn()
        finally:
            room.n_waiting -= 1
        try:
            await room.let_others_begin()
            yield
        finally:
            self._limiter.release()

    async def _take_turn(self) -> None:
        try:
            # Most requests find a turn free, and need no clock.
            self._limiter.acquire_nowait()
        except WouldBlock:
            with move_on_after(self._seconds) as wait:
                await self._limiter.acquire()
            if wait.cancelled_caught:
                raise Busy(_MESSAGE) from None


class RefuseEarly:
    """Refuse requests while too many wait, before anything is computed for them; health checks are never refused.

    Were it not for this, refusals would take the time that the answers need.

    Parameters
    ----------
    app : ASGI application
    room : WaitingRoom
    """

    def __init__(self, app: ASGIApp, room: WaitingRoom) -> None:
        self._app, self._room = app, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = self._app
        self._room.n_begun += 1
        if scope["type"] == "http" and not scope["path"].startswith(_NEVER_REFUSED):
            if scope["path"].startswith(_API_PATHS):
                app = _api_refusal() if self._room.is_full else app
            elif to_thread.current_default_thread_limiter().statistics().tasks_waiting >= MAX_WAITING_PAGES:
                app = _page_refusal()
        await app(scope, receive, send)


@cache
def _api_body() -> str:
    return ErrorResponse.from_problems("unavailable", Problem(place=None, message=_MESSAGE)).model_dump_json()


def _api_refusal() -> Response:
    return Response(_api_body(), 503, {"Retry-After": str(RETRY_SECONDS)}, "application/json")


def _page_refusal() -> Response:
    # The pages of other errors are rendered by the threads that are busy.
    body = f"<!doctype html><html lang=en><title>Taxokine</title><h1>The server is busy</h1><p>{_MESSAGE.capitalize()}."
    return Response(body, 503, {"Retry-After": str(RETRY_SECONDS)}, "text/html")
