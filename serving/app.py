"""The application: the API, the pages and their files, with one treatment of errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from models.engraftment import EngraftmentBundle
from models.predict import ModelsByOutcome, every_model
from serving.accounts import Accounts
from serving.api import create_api
from serving.cds_hooks.routes import add_cds_hooks
from serving.cds_hooks.service import CdsHooks
from serving.clinic import Clinic
from serving.error_responses import add_error_handlers
from serving.fhir.routes import fhir_routes
from serving.hosts import RequireHost
from serving.metrics.routes import metrics_routes
from serving.middleware import ProtectResponses
from serving.oidc.provider import Provider
from serving.oidc.routes import provider_routes
from serving.outcomes.live import LiveOutcomes
from serving.outcomes.store import OutcomeStore
from serving.pages import create_pages
from serving.predictions import warm_up
from serving.rate import PAGES_PER_MINUTE, SIGN_INS_PER_MINUTE, RateLimit, RateLimits
from serving.record.recorder import Recorder
from serving.request_log import RequestLog
from serving.schemas import NOTICE, Readiness
from serving.turns import RefuseEarly, WaitingRoom
from serving.upload.child import start_reader
from serving.upload.folder import delete_abandoned_folders
from serving.validation_jobs import ValidationJobs


def create_app(
    models: ModelsByOutcome,
    accounts: Accounts,
    clinic: Clinic | None = None,
    mlflow_ui: str = "",
    engraftment: EngraftmentBundle | None = None,
    jobs: ValidationJobs | None = None,
    recorder: Recorder | None = None,
    cds_hooks: CdsHooks | None = None,
    provider: Provider | None = None,
    readiness: Callable[[], Readiness] | None = None,
    hosts: Iterable[str] = (),
    key_rate: int | None = None,
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    models : ModelsByOutcome
    accounts : Accounts
        API keys and users.
    clinic : Clinic, optional
        Cohort whose patients the pages list.
    mlflow_ui : str
        Address of the MLflow UI, for links to runs; without it there are no links.
    engraftment : EngraftmentBundle, optional
        Expects the stool after a transplant; without it no donors are compared.
    jobs : ValidationJobs, optional
        Starts validations from the page of the models; without it the page names the command.
    recorder : Recorder, optional
        Records each question before it is answered; without it nothing is recorded.
    cds_hooks : CdsHooks, optional
        Clients of CDS Hooks; without it there are no such routes.
    provider : Provider, optional
        Identity provider at which users may sign in; without it, there are local users only.
    readiness : callable, optional
        States whether the models are those of the registry; without it they never change.
    hosts : iterable of str
        Names under which the server answers, besides those of this machine.
    key_rate : int, optional
        Requests that one key, or one client of CDS Hooks, may make in a minute; without it there is no limit.
    """
    app = FastAPI(
        title="Taxokine",
        description="Explained predictions of response to immunotherapy and of its toxicity. " + NOTICE,
        version="1",
        # The page of the reference is one of ours: it loads nothing and runs no script of others.
        docs_url=None,
        redoc_url=None,
        # A redirect would contain the host name that the client sent, whatever it is.
        redirect_slashes=False,
        lifespan=_lifespan(models),
    )
    app.state.accounts = accounts
    app.state.recorder = recorder
    app.state.provider = provider
    app.state.is_demonstration = any(served.model.simulated for served in every_model(models))
    app.state.outcomes = None if recorder is None else LiveOutcomes(OutcomeStore(recorder.store))
    app.state.waiting_room = WaitingRoom()
    app.state.rate_limits = RateLimits(RateLimit(key_rate), RateLimit(PAGES_PER_MINUTE), RateLimit(SIGN_INS_PER_MINUTE))
    app.add_middleware(RequireHost, hosts=hosts)
    app.add_middleware(RefuseEarly, room=app.state.waiting_room)
    # Around the others: their refusals are protected too.
    app.add_middleware(ProtectResponses)
    add_error_handlers(app)
    routers = [
        *create_api(models, engraftment, readiness),
        metrics_routes(models),
        fhir_routes(models),
        *create_pages(models, clinic, mlflow_ui, engraftment, jobs),
    ]
    if provider is not None:
        routers.append(provider_routes(provider))
    for router in routers:
        # `include_router` would make each route a second time, at the first request, which would wait for it.
        app.router.routes.extend(router.routes)
    if cds_hooks is not None:
        add_cds_hooks(app, cds_hooks, models, clinic)
    # Last, and so around all others: each response has the id of its request.
    app.add_middleware(RequestLog)
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
    return app


def _lifespan(
    models: ModelsByOutcome,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        delete_abandoned_folders()
        start_reader()
        warm_up(models)
        yield

    return lifespan
