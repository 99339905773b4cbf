"""The routes of CDS Hooks 2.0: discovery, the service, and feedback on its cards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from models.patient_input import Candidate
from models.predict import ModelsByOutcome
from serving.api.responses import KEYED, error_documents
from serving.api.route import KeyedRoute
from serving.cds_hooks.cards import prediction_card, refusal_card
from serving.cds_hooks.schemas import Card, CardsResponse, FeedbackRequest, HookRequest, ServicesResponse
from serving.cds_hooks.service import SERVICE, CdsHooks, prefetched_bundle, service_description
from serving.clinic import Clinic
from serving.errors import NotServed, PrefetchMissing
from serving.fhir.issues import RefusedBundle
from serving.fhir.routes import read_question
from serving.pages.catalogue import Catalogue
from serving.pages.choices import Choices
from serving.pages.views.patient import predictions_view
from serving.record.answer import RecordedProbability
from serving.record.asking import RECORD_HEADERS, record_api
from serving.record.question import Inputs

PATH = "/cds-services"

_TOKEN = HTTPBearer(
    scheme_name="client",
    description="A JSON Web Token that a configured client signs, as CDS Hooks 2.0 describes.",
    auto_error=False,
)


class CdsRoute(KeyedRoute):
    """A route for configured clients, who prove themselves by a token."""

    async def authorise(self, request: Request) -> None:
        """Set `request.state.asker`, or refuse the request."""
        hooks: CdsHooks = request.app.state.cds_hooks
        authorization = request.headers.get("authorization", "")
        client = await run_in_threadpool(hooks.verifier.verify, authorization, request.url.path)
        request.state.asker = f"client {client.name}"


@dataclass(frozen=True)
class _Answer:
    """A card, and what the record keeps of it; None where nothing was predicted."""

    card: Card
    candidate: Candidate | None = None
    recorded: tuple[RecordedProbability, ...] = ()


class CrossOrigin:
    """Let pages of configured origins, and no others, read responses of CDS Hooks.

    Parameters
    ----------
    app : ASGI application
    origins : sequence of str
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._shared = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        is_shared = scope["type"] == "http" and scope["path"].startswith(PATH)
        await (self._shared if is_shared else self._app)(scope, receive, send)


def add_cds_hooks(app: FastAPI, hooks: CdsHooks, models: ModelsByOutcome, clinic: Clinic | None) -> None:
    """Add CDS Hooks to an application.

    Parameters
    ----------
    app : FastAPI
    hooks : CdsHooks
    models : ModelsByOutcome
    clinic : Clinic, optional
        Cohort whose patients have pages.
    """
    app.state.cds_hooks = hooks
    app.router.routes.extend(_routes(hooks, models, clinic).routes)
    if hooks.origins:
        app.add_middleware(CrossOrigin, origins=hooks.origins)


def _routes(hooks: CdsHooks, models: ModelsByOutcome, clinic: Clinic | None) -> APIRouter:
    router = APIRouter(
        prefix=PATH,
        route_class=CdsRoute,
        dependencies=[Security(_TOKEN)],
        responses=error_documents(*KEYED),
        tags=["CDS Hooks 2.0"],
    )
    errors = error_documents(400, 404, 413, 415, 422, 503)

    @router.get("", summary="The services of this server")
    async def discovery() -> ServicesResponse:
        return ServicesResponse([service_description()])

    @router.post(
        "/{service}",
        summary="A card about the patient whom a clinician opens",
        responses={200: RECORD_HEADERS, **error_documents(412), **errors},
    )
    async def call_service(request: Request, response: Response, service: str, call: HookRequest) -> CardsResponse:
        _require_service(service)
        uuid = str(uuid4())
        answer = await run_in_threadpool(_answer, hooks, models, clinic, call, uuid)
        if answer is None:
            return CardsResponse([])
        if answer.candidate is not None:
            inputs = Inputs(answer.candidate)
            await record_api(request, response, call.context.patientId, inputs, answer.recorded, uuid)
        return CardsResponse([answer.card])

    @router.post("/{service}/feedback", summary="What clinicians did with cards", responses=errors)
    async def feedback(request: Request, service: str, feedback_on_cards: FeedbackRequest) -> None:
        _require_service(service)
        client = request.state.asker.removeprefix("client ")
        await run_in_threadpool(hooks.keep_feedback, client, feedback_on_cards.feedback)

    return router


def _require_service(service: str) -> None:
    if service != SERVICE:
        raise NotServed(f"there is no service {service!r}; GET {PATH} lists the services")


def _answer(
    hooks: CdsHooks, models: ModelsByOutcome, clinic: Clinic | None, call: HookRequest, uuid: str
) -> _Answer | None:
    """Return the answer to a call; None for a patient of whom the models can read nothing.

    Raises
    ------
    PrefetchMissing
        The patient was not sent.
    """
    if not call.prefetch.get("patient"):
        raise PrefetchMissing("prefetch.patient is missing, and this server fetches nothing; send all of the prefetch")
    patient = call.context.patientId
    if call.prefetch["patient"].get("id") != patient:  # type: ignore[union-attr]
        raise RefusedBundle.of_place("prefetch.patient", f"the patient is not the one of the context, {patient!r}")
    try:
        question = read_question(models, prefetched_bundle(call))
    except RefusedBundle as error:
        return _Answer(refusal_card(error.issues, uuid, hooks.server_url))
    if question.request.taxa is None and not question.request.immune:
        return None
    candidate = question.request.candidate()
    own_clinic = clinic if clinic and patient in clinic.patients else None
    view = predictions_view(Catalogue(models), candidate, Choices(), clinic=own_clinic)
    page = hooks.page_of(patient, clinic.patients if clinic else {})
    card = prediction_card(view, question.issues, uuid, hooks.server_url, page)
    return _Answer(card, candidate, view.recorded())
