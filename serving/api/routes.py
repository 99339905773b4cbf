"""The routes of the API."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool

from models.engraftment import EngraftmentBundle
from models.predict import ModelsByOutcome, every_model
from serving.api.batch import batch_routes
from serving.api.outcomes import outcome_routes
from serving.api.responses import error_documents, keyed_router, require_models
from serving.errors import NotServed
from serving.pages.views.card import card_response
from serving.predictions import compare_changes, compare_request, describe_models, predict_candidate
from serving.record.asking import RECORD_HEADERS, record_api
from serving.record.question import Inputs, recorded_changes, recorded_donors, recorded_predictions
from serving.schemas import (
    DonorComparisonRequest,
    DonorComparisonResponse,
    ModelsResponse,
    PredictionRequest,
    PredictionResponse,
    Readiness,
    State,
    WhatIfRequest,
    WhatIfResponse,
    keep_response_schemas,
)

_RECORDED = {200: RECORD_HEADERS, **error_documents(400, 413, 415, 422, 503)}
"""What the OpenAPI document says of the responses of a route whose questions are recorded."""


def create_api(
    models: ModelsByOutcome,
    engraftment: EngraftmentBundle | None,
    readiness: Callable[[], Readiness] | None,
) -> list[APIRouter]:
    """Return the routes of the API, those of predictions first.

    Parameters
    ----------
    models : ModelsByOutcome
    engraftment : EngraftmentBundle or None
        What expects the stool after a transplant; None where no such model is registered.
    readiness : callable or None
        States whether the models are those of the registry; None where they never change.
    """
    keep_response_schemas()
    return [
        _keyed_routes(models),
        _hypothetical_routes(models, engraftment),
        batch_routes(models),
        outcome_routes(models),
        _health_checks(models, readiness),
    ]


def _health_checks(models: ModelsByOutcome, readiness: Callable[[], Readiness] | None) -> APIRouter:
    router = APIRouter(responses=error_documents(400))
    names = [f"{served.name}/{served.version}" for served in every_model(models)]

    @router.get("/healthz", summary="Whether the server is up")
    async def healthz() -> State:
        return State(status="ok")

    @router.get("/readyz", summary="Whether models are loaded, and current", responses=error_documents(503))
    async def readyz() -> Readiness:
        require_models(models)
        return Readiness("ready", (), names, None) if readiness is None else readiness()

    return router


# Each endpoint is a coroutine that computes in line: a prediction takes about a millisecond, and handing it to a thread
# would cost a fair part of that. More workers use more cores.
def _keyed_routes(models: ModelsByOutcome) -> APIRouter:
    router = keyed_router()
    descriptions, answers = describe_models(models), TypeAdapter(PredictionResponse)
    cards = {(served.name, served.version): served for served in every_model(models)}

    @router.post(
        "/predictions",
        response_model=PredictionResponse,
        summary="Predict response and toxicity of a candidate patient, with explanation and evidence",
        responses=_RECORDED,
    )
    async def create_prediction(request: Request, response: Response, question: PredictionRequest) -> Response:
        require_models(models)
        candidate = question.candidate()
        answer = predict_candidate(models, question, candidate)
        inputs, recorded = Inputs(candidate), recorded_predictions(answer.answers)
        # Written while the disk writes the entry, and sent once that is done; FastAPI would write it afterwards.
        body = cache(lambda: answers.dump_json(answer))
        await record_api(request, response, answer.patient.id, inputs, recorded, idle_work=body)
        return Response(body(), headers=response.headers, media_type="application/json")

    @router.get("/models", summary="The served models: what each reads, and its evidence")
    async def list_models() -> ModelsResponse:
        return descriptions

    @router.get(
        "/models/{name}/{version}/card",
        summary="The card of a model: HTML, or Markdown for bundles without HTML",
        response_class=Response,
        responses={200: {"content": {"text/html": {}, "text/plain": {}}}, **error_documents(404, 422)},
    )
    async def card(name: str, version: str) -> Response:
        served = cards.get((name, version))
        if served is None:
            raise NotServed(f"no model {name!r} of version {version!r} is served; GET /v1/models lists the models")
        return card_response(served)

    return router


def _hypothetical_routes(models: ModelsByOutcome, engraftment: EngraftmentBundle | None) -> APIRouter:
    router = keyed_router()

    @router.post(
        "/donor-comparisons",
        summary="Compare donors for a recipient, by the stool expected after a transplant from each",
        responses=_RECORDED,
    )
    async def create_comparison(
        request: Request, response: Response, comparison: DonorComparisonRequest
    ) -> DonorComparisonResponse:
        # Thousands of random profiles take a tenth of a second or more, in which the server answers others.
        answer = await run_in_threadpool(compare_request, models, engraftment, comparison)
        stools = {donor.name: donor.profile for donor in comparison.donor_stools()}
        inputs = Inputs(comparison.candidate(), stools=stools)
        await record_api(request, response, answer.patient.id, inputs, recorded_donors(answer.comparison))
        return answer

    @router.post(
        "/what-if",
        summary="Compare a candidate with one whose chosen measurements are typical, or as expected after a transplant",
        responses=_RECORDED,
    )
    async def create_what_if(request: Request, response: Response, changes: WhatIfRequest) -> WhatIfResponse:
        require_models(models)
        answer = await run_in_threadpool(compare_changes, models, engraftment, changes)
        stools = {} if changes.donor_stool is None else {"donor": changes.donor_stool.profile()}
        inputs = Inputs(changes.candidate(), tuple(changes.changes), stools)
        await record_api(request, response, answer.patient.id, inputs, recorded_changes(answer.comparison.shifts))
        return answer

    return router
