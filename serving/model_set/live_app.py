"""The application whose models are replaced while it runs."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi.dependencies import models as dependant_models
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import BundleError, ModelMissing, SignatureError, TaxokineError
from serving.instruments import MODELS_CHECKED, MODELS_DEGRADED, MODELS_LOADED
from serving.logs import LOG
from serving.model_set.loading import SetLoader, start_set
from serving.model_set.model_set import ModelSet
from serving.predictions import warm_up
from serving.schemas import Readiness

CHECK_SECONDS = 5.0
"""Time between two looks at the registry. A moved alias is served this time plus that of loading its bundles later."""


class LiveApp:
    """An ASGI application that answers each request with the set of models served when the request arrives.

    A thread looks at the registry, loads another set beside the requests, builds its application, and puts it in the
    place of the present one; requests that have begun finish with the models they began with.

    Parameters
    ----------
    loader : SetLoader
    build : callable
        Builds the application of a set of models, given also what states whether it is current.

    Raises
    ------
    ModelMissing, BundleError
        No set can be loaded, neither from the registry nor from disk.
    """

    def __init__(self, loader: SetLoader, build: Callable[[ModelSet, Callable[[], Readiness]], ASGIApp]) -> None:
        self._loader, self._build = loader, build
        self._set, problem = start_set(loader)
        self._problem = "" if problem is None else _public(problem)
        self._checked = None if problem else datetime.now(UTC)
        self._app = build(self._set, self.readiness)
        MODELS_LOADED.set_to_current_time()
        self._report_state()
        self._stop = threading.Event()
        if problem:
            LOG.error("the last good set of models is served: %s", problem)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the server."""
        if scope["type"] != "lifespan":
            # Held as long as the request runs, so that `_follow` notices when a former set has answered its last. It is
            # read before the application and replaced after it: no application answers whose set is not held.
            _set_of_request = self._set
            await self._app(scope, receive, send)
            return
        await self._start(scope, receive, send)
        threading.Thread(target=self._follow, name="models", daemon=True).start()
        try:
            await receive()
        finally:
            self._stop.set()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start the present application, whose life ends here: its frame would keep its models to the server's end."""
        messages = iter((await receive(), {"type": "lifespan.shutdown"}))

        async def receive_next() -> Message:
            return next(messages)

        async def send_start(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                _freeze()
            if message["type"].startswith("lifespan.startup"):
                await send(message)

        # A scope of its own, since the application writes itself into it.
        await self._app(dict(scope), receive_next, send_start)

    def readiness(self) -> Readiness:
        """Return whether the served models are those of the registry."""
        problems = [self._problem] if self._problem else []
        if self._checked and not problems and (datetime.now(UTC) - self._checked).total_seconds() > 6 * CHECK_SECONDS:
            problems.append("the registry has not responded for half a minute")
        models = [f"{version.name}/{version.version}" for version in self._set.versions.models]
        return Readiness("degraded" if problems else "ready", problems, models, self._checked)

    def check(self) -> None:
        """Serve what the registry names now; if that cannot be loaded, the present set stays."""
        try:
            versions = self._loader.versions()
            if versions != self._set.versions:
                model_set = self._loader.load(versions, self._set)
                app = self._build(model_set, self.readiness)
                warm_up(model_set.by_outcome())
                self._app = app
                self._set = model_set
                MODELS_LOADED.set_to_current_time()
                LOG.info("served from now on: %s", ", ".join(self.readiness().models))
            self._problem, self._checked = "", datetime.now(UTC)
        except Exception as error:  # The thread must outlive whatever fails.
            problem = _public(error)
            if problem != self._problem:
                # What is no error of ours may quote an address with a password.
                text = str(error) if isinstance(error, TaxokineError) else type(error).__name__
                LOG.error("the served models stay as they are: %s", text)
            self._problem = problem
        self._report_state()

    def _report_state(self) -> None:
        MODELS_DEGRADED.set(bool(self._problem))
        if self._checked is not None:
            MODELS_CHECKED.set(self._checked.timestamp())

    def _follow(self) -> None:
        former: list[weakref.ref[ModelSet]] = []
        while not self._stop.wait(CHECK_SECONDS):
            # A batch may run for minutes: models frozen while it uses them would stay in memory after it.
            if former and all(model_set() is None for model_set in former):
                former.clear()
                _empty_route_caches()
                gc.unfreeze()
                _freeze()
            present = weakref.ref(self._set)
            self.check()
            if present() is not self._set:
                former.append(present)


def _empty_route_caches() -> None:
    """Empty FastAPI's caches of the kinds of functions: they keep the routes of every set, and so its models."""
    for cached in vars(dependant_models).values():
        if callable(clear := getattr(cached, "cache_clear", None)):
            clear()


def _freeze() -> None:
    """Delete what is garbage and freeze what stays: searching models and libraries again and again delays requests."""
    gc.collect()
    gc.freeze()


def _public(error: Exception) -> str:
    """Return what is wrong without paths and addresses, since /readyz needs no key."""
    if isinstance(error, SignatureError):
        return "the registry names a bundle that no trusted key has signed; the last good set is served"
    if isinstance(error, BundleError):
        return "the registry names a bundle that was refused; the log has the reason, and the last good set is served"
    if isinstance(error, ModelMissing):
        return "the registry does not respond, or has no models; the last good set is served"
    return f"the registry's models cannot be loaded ({type(error).__name__}); the last good set is served"
