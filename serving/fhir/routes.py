"""The routes of FHIR R4, http://hl7.org/fhir/R4/http.html: an operation that predicts, and the CapabilityStatement.

Both requests and errors are FHIR's: an error is an OperationOutcome.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from typing import Annotated, cast

from fastapi import APIRouter, Body, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from pydantic import JsonValue, ValidationError, WithJsonSchema
from starlette.concurrency import run_in_threadpool

from features.columns import levels_by_field
from features.errors import TaxokineError
from models.predict import ModelsByOutcome, every_model
from serving.api.responses import error_documents, require_models
from serving.api.route import BEARER, KeyedRoute
from serving.error_responses import error_headers
from serving.errors import Busy, TooManyRequests, status_of
from serving.fhir.assessment import response_bundle
from serving.fhir.capability import capability_statement
from serving.fhir.example import EXAMPLE
from serving.fhir.issues import Issue, IssueType, RefusedBundle, operation_outcome
from serving.fhir.reading import ReadBundle, read_bundle
from serving.predictions import predict_candidate
from serving.record.asking import RECORD_HEADERS, record_api
from serving.record.question import Inputs, recorded_predictions
from serving.schemas import PredictionResponse

MEDIA_TYPE = "application/fhir+json"

_PATH = "/fhir/R4"
_TAGS: list[str | Enum] = ["FHIR R4"]
_CONTENT: dict[str, object] = {"content": {MEDIA_TYPE: {"schema": {"type": "object", "additionalProperties": True}}}}
_BUNDLE = WithJsonSchema({"type": "object", "additionalProperties": True, "examples": [EXAMPLE]})
# JsonValue would enter the OpenAPI document as a schema without fields.
_BundleBody = Annotated[dict[str, object], _BUNDLE, Body(media_type=MEDIA_TYPE)]
_OUTCOME: dict[str, object] = {"description": "An OperationOutcome", **_CONTENT}


class FhirRoute(KeyedRoute):
    """A route that needs an API key, and whose errors are OperationOutcomes."""

    media_types = (MEDIA_TYPE, "application/json")

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()

        async def handle_fhir(request: Request) -> Response:
            try:
                return await handle(request)
            except TaxokineError as error:
                return _refusal(error)
            except (ValidationError, RequestValidationError) as error:
                status = 422 if isinstance(error, RequestValidationError) else 400
                text = "the body is not a JSON object; send a Bundle of FHIR R4 as UTF-8 JSON"
                return fhir_response(operation_outcome([Issue("error", "invalid", "Bundle", text)]), status)

        return handle_fhir


def fhir_routes(models: ModelsByOutcome) -> APIRouter:
    """Return the routes of FHIR.

    Parameters
    ----------
    models : ModelsByOutcome
    """
    router = APIRouter(prefix=_PATH, tags=_TAGS, responses=error_documents(400))

    @router.get("/metadata", summary="The CapabilityStatement", response_class=Response, responses={200: _CONTENT})
    async def metadata() -> Response:
        return fhir_response(capability_statement())

    router.routes.extend(_operations(models).routes)
    return router


def _operations(models: ModelsByOutcome) -> APIRouter:
    router = APIRouter(prefix=_PATH, tags=_TAGS, route_class=FhirRoute, dependencies=[Security(BEARER)])

    @router.post(
        "/RiskAssessment/$predict",
        summary="Predict for the patient of a FHIR Bundle, as RiskAssessments with Provenance",
        response_class=Response,
        responses={
            200: {**_CONTENT, **RECORD_HEADERS},
            **dict.fromkeys((400, 401, 413, 415, 422, 429, 503), _OUTCOME),
        },
    )
    async def predict_bundle(request: Request, bundle: _BundleBody) -> Response:
        # The library that checks resources takes milliseconds, and a fifth of a second at its first import.
        question, answer, content = await run_in_threadpool(_answer, models, cast(dict[str, JsonValue], bundle))
        response = fhir_response(content)
        inputs = Inputs(question.request.candidate())
        await record_api(request, response, question.request.patient.id, inputs, recorded_predictions(answer.answers))
        return response

    return router


def read_question(models: ModelsByOutcome, content: dict[str, JsonValue]) -> ReadBundle:
    """Return the question that a Bundle asks of the served models.

    Raises
    ------
    ModelMissing
        No model is loaded.
    RefusedBundle
        The Bundle, or a value of it, cannot be read.
    """
    require_models(models)
    served_models = every_model(models)
    landmarks = {served.model.evidence.landmark for served in served_models}
    levels = [levels_by_field(served.model.encoder.names_.get("clinical", ())).get("sex") for served in served_models]
    sexes = [set(names) for names in levels if names]
    return read_bundle(content, landmarks, set.intersection(*sexes) if sexes else set())


def fhir_response(
    content: dict[str, JsonValue], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response whose body is a resource."""
    body = json.dumps(content, allow_nan=False, ensure_ascii=False)
    return Response(body, status, headers, f"{MEDIA_TYPE}; fhirVersion=4.0")


def _answer(
    models: ModelsByOutcome, content: dict[str, JsonValue]
) -> tuple[ReadBundle, PredictionResponse, dict[str, JsonValue]]:
    question = read_question(models, content)
    answer = predict_candidate(models, question.request, question.request.candidate())
    return question, answer, response_bundle(question, answer, models)


def _refusal(error: TaxokineError) -> Response:
    status = status_of(error)
    code: IssueType = "throttled" if isinstance(error, Busy | TooManyRequests) else "exception"
    issues = error.issues if isinstance(error, RefusedBundle) else (Issue("error", code, "Bundle", str(error)),)
    return fhir_response(operation_outcome(issues), status, error_headers(error))
