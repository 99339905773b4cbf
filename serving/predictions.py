"""What the API returns about a candidate and about the served models, computed from the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from features.errors import InputError
from features.outcomes import definition_of, is_toxicity
from models.joint import benefit_bounds, joint_outcome
from models.predict import ServedModel, predict
from serving.schemas import (
    NOTICE,
    ModelDescription,
    ModelsResponse,
    PatientReference,
    PredictionRequest,
    PredictionResponse,
)


def predict_candidate(models: Mapping[str, Sequence[ServedModel]], request: PredictionRequest) -> PredictionResponse:
    """Predict the requested outcomes, and always both a response and a toxicity where there are models of both.

    Raises
    ------
    InputError
        A value of the candidate cannot be read, or an outcome has no model.
    """
    candidate = request.candidate()
    predictions = [predict(models[outcome], candidate) for outcome in _outcomes(request.outcomes, models)]
    joint = joint_outcome(predictions)
    return PredictionResponse(
        patient=PatientReference(request.patient.id),
        answers=predictions,
        benefit=benefit_bounds(joint),
        cells=joint,
        simulated=any(prediction.simulated for prediction in predictions),
        notice=NOTICE,
    )


def describe_models(models: Mapping[str, Sequence[ServedModel]]) -> ModelsResponse:
    """Return the description of every served model."""
    return ModelsResponse([_describe(served) for ranked in models.values() for served in ranked])


def _describe(served: ServedModel) -> ModelDescription:
    model = served.model
    return ModelDescription(
        **asdict(served.reference),
        outcome=model.outcome,
        definition=definition_of(model.outcome),
        inputs={block: tuple(names) for block, names in model.encoder.names_.items()},
        units=model.units,
        profilers=model.profilers,
        evidence=model.evidence,
        simulated=model.simulated,
    )


def _outcomes(requested: Sequence[str] | None, models: Mapping[str, Sequence[ServedModel]]) -> list[str]:
    """Return the requested outcomes, then all outcomes of the side (response, toxicity) that none of them is of."""
    if requested is None:
        return list(models)
    for index, outcome in enumerate(requested):
        if outcome not in models:
            raise InputError(f"outcomes.{index}: no model predicts {outcome!r}; the served are {', '.join(models)}")
    sides = {is_toxicity(outcome) for outcome in requested}
    missing_side = (outcome for outcome in models if is_toxicity(outcome) not in sides)
    return list(dict.fromkeys([*requested, *missing_side]))
