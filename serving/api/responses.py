"""What the routes of the API share: the errors that they document, and the models that they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features.errors import ModelMissing
from models.predict import ServedModel
from serving.schemas import ErrorResponse

KEYED = (400, 401, 429, 503)
"""Statuses of refusals by any route that needs a key."""


def error_documents(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return what the OpenAPI document says of responses with these statuses."""
    return {status: {"model": ErrorResponse} for status in statuses}


def require_models(models: Mapping[str, Sequence[ServedModel]]) -> None:
    """Raise ModelMissing where no model is served."""
    if not any(models.values()):
        raise ModelMissing("no model is loaded; 'taxokine train' registers one")
