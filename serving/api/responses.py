"""What the routes of the API share: the key and the models that they need, and the errors that they document."""

from __future__ import annotations

from fastapi import APIRouter, Security

from features.errors import ModelMissing
from models.predict import ModelsByOutcome
from serving.api.route import BEARER, KeyedRoute
from serving.schemas import ErrorResponse

KEYED = (400, 401, 429, 503)
"""Statuses of refusals by any route that needs a key."""


def error_documents(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return what the OpenAPI document says of responses with these statuses."""
    return {status: {"model": ErrorResponse} for status in statuses}


def keyed_router() -> APIRouter:
    """Return a router of routes below /v1 that need a key of the API."""
    return APIRouter(
        prefix="/v1",
        route_class=KeyedRoute,
        dependencies=[Security(BEARER)],
        responses=error_documents(*KEYED),
    )


def require_models(models: ModelsByOutcome) -> None:
    """Raise ModelMissing where no model is served."""
    if not any(models.values()):
        raise ModelMissing("no model is loaded; 'taxokine train' registers one")
