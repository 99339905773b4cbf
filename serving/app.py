"""The API: its routes, and nothing of where models and keys come from."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline

from features.errors import InputError, ModelMissing
from features.outcomes import definition_of, is_toxicity
from models.joint import benefit_bounds, joint_outcome
from models.predict import ServedModel, predict
from serving.accounts import Accounts
from serving.clinic import Clinic
from serving.error_responses import add_error_handlers
from serving.errors import NotAuthorised, NotServed, TooLarge, UnsupportedMedia
from serving.middleware import ProtectResponses
from serving.pages import card_page, create_pages
from serving.schemas import NOTICE, ErrorResponse, ModelsResponse, PredictionRequest, PredictionResponse, State

MAX_BODY = 2 * 2**20
"""Bytes of the largest body that is read; a profile of 2,000 taxa is a twentieth of it."""

_ABOUT = "Explained predictions of response to immunotherapy and of its toxicity. " + NOTICE
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key that `taxokine serve` showed at its first start, or `taxokine keys add`.",
}
_LOCKED: dict[str, Any] = {"security": [{"key": []}]}
_SCHEMAS = "#/components/schemas/{model}"


def create_app(
    models: Mapping[str, Sequence[ServedModel]], accounts: Accounts, clinic: Clinic | None = None, mlflow_ui: str = ""
) -> FastAPI:
    """Return the API and the pages that answer with these models.

    Parameters
    ----------
    models : mapping of str to sequence of ServedModel
        For each outcome its models, the best first.
    accounts : Accounts
        The API keys and the users to let in.
    clinic : Clinic, optional
        Whose candidates the pages list.
    mlflow_ui : str
        The address of the MLflow UI, for links to runs; without it there are none.
    """
    app = FastAPIOffline(
        title="Taxokine",
        description=_ABOUT,
        version="1",
        redoc_url=None,
        # A redirect would repeat the host that the client claims.
        redirect_slashes=False,
        swagger_ui_parameters={"validatorUrl": None},
        lifespan=_lifespan,
    )
    app.add_middleware(ProtectResponses)
    add_error_handlers(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    cards = {(served.name, served.version): served.model for ranked in models.values() for served in ranked}
    listed = orjson.dumps({"models": [_about(served) for ranked in models.values() for served in ranked]})

    # A plain call: as FastAPI's dependency it would cost a tenth of the answer.
    def authorise(request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise NotAuthorised("an API key is required; send the header 'Authorization: Bearer <key>'")
        if not accounts.accept_key(key.strip()):
            raise NotAuthorised("this API key opens nothing here; 'taxokine keys add NAME' makes one that does")

    def ready() -> None:
        if not any(models.values()):
            raise ModelMissing("no model is loaded; train one, register it, and start the server again")

    # Each endpoint is a coroutine that computes in line: an answer takes about a millisecond, and handing it to a
    # thread would cost a fair part of that. More cores are used by more workers.
    @app.get("/healthz", summary="Whether the server is up", responses=_documented(State))
    async def healthz() -> Response:
        return _json(b'{"status":"ok"}')

    @app.get("/readyz", summary="Whether models are loaded", responses=_documented(State, 503))
    async def readyz() -> Response:
        ready()
        return _json(b'{"status":"ready"}')

    @app.get(
        "/v1/models",
        summary="The models that answer, what each reads, and what it was validated on",
        openapi_extra=_LOCKED,
        responses=_documented(ModelsResponse, 401),
    )
    async def list_models(request: Request) -> Response:
        authorise(request)
        return _json(listed)

    @app.get(
        "/v1/models/{name}/{version}/card",
        summary="A model's card: a page, or Markdown where the model has none",
        openapi_extra=_LOCKED,
        responses={200: {"content": {"text/html": {}, "text/plain": {}}}, **_failures(401, 404)},
        response_class=Response,
    )
    async def card(request: Request, name: str, version: str) -> Response:
        authorise(request)
        model = cards.get((name, version))
        if model is None:
            raise NotServed(f"no model {name!r} of version {version!r} is served; GET /v1/models lists those that are")
        return card_page(model)

    @app.post(
        "/v1/predictions",
        summary="Response and toxicity of a candidate patient, explained, with the evidence",
        responses=_documented(PredictionResponse, 400, 401, 413, 415, 422, 503),
        openapi_extra={
            **_LOCKED,
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": _SCHEMAS.format(model="PredictionRequest")}}},
            },
        },
    )
    async def create_prediction(request: Request) -> Response:
        authorise(request)
        ready()
        # Read and validated by hand, straight from bytes: FastAPI would read a body of any size, and parse it twice.
        asked = PredictionRequest.model_validate_json(await _body(request))
        candidate = asked.candidate()
        outcomes = _side_by_side(asked.outcomes, models)
        predictions = [predict(models[outcome], candidate) for outcome in outcomes]
        joint = joint_outcome(predictions)
        # One pass from dataclasses to bytes; a response model would build and check each contribution again.
        return _json(
            orjson.dumps(
                {
                    "patient": {"id": asked.patient.id},
                    "answers": predictions,
                    "benefit": benefit_bounds(joint),
                    "cells": joint,
                    "simulated": any(prediction.simulated for prediction in predictions),
                    "notice": NOTICE,
                }
            )
        )

    app.include_router(create_pages(models, accounts, clinic, mlflow_ui))
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # Models and libraries stay for good; searched again and again for garbage, they would hold up one answer in many.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def _side_by_side(asked: Sequence[str] | None, models: Mapping[str, Sequence[ServedModel]]) -> list[str]:
    if asked is None:
        return list(models)
    for i, outcome in enumerate(asked):
        if outcome not in models:
            raise InputError(f"outcomes.{i}: no model answers for {outcome!r}; served are {', '.join(models)}")
    sides = {is_toxicity(outcome) for outcome in asked}
    other = (outcome for outcome in models if is_toxicity(outcome) not in sides)
    return list(dict.fromkeys([*asked, *other]))


async def _body(request: Request) -> bytes:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMedia(f"the body's type is {media or 'not given'}; send 'Content-Type: application/json'")
    if (coding := request.headers.get("content-encoding", "identity")) != "identity":
        raise UnsupportedMedia(f"the body is encoded as {coding}; send it as it is")
    too_large = TooLarge(f"the body is larger than {MAX_BODY:,} bytes; send one candidate, with one stool sample")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > MAX_BODY:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise too_large
    return bytes(body)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _about(served: ServedModel) -> dict[str, Any]:
    model = served.model
    return {
        **asdict(served.reference),
        "outcome": model.outcome,
        "definition": definition_of(model.outcome),
        "inputs": {block: list(names) for block, names in model.encoder.names_.items()},
        "units": model.units,
        "profilers": list(model.profilers),
        "evidence": model.evidence.to_json(),
        "simulated": model.simulated,
    }


def _documented(success: type, *failures: int) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": success}, **_failures(*failures)}


def _failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorResponse} for status in statuses}


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        # FastAPI does not see what is read by hand: the key and the body.
        schema["components"]["securitySchemes"] = {"key": _KEY}
        body = PredictionRequest.model_json_schema(ref_template=_SCHEMAS)
        schema["components"]["schemas"] |= body.pop("$defs") | {"PredictionRequest": body}
        app.openapi_schema = schema
    return app.openapi_schema
