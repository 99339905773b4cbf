"""What the API returns about a candidate and about the served models, computed from the models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from features.errors import InputError, ModelMissing
from features.outcomes import is_toxicity
from models.donors import compare_donors
from models.engraftment import EngraftmentBundle
from models.joint import benefit_bounds, joint_outcome
from models.patient_input import Candidate
from models.predict import ModelsByOutcome, ServedModel, every_model, predict
from models.what_if import expected_stool, what_if
from serving.schemas import (
    EXAMPLE,
    NOTICE,
    DonorComparisonRequest,
    DonorComparisonResponse,
    ModelDescription,
    ModelsResponse,
    PatientReference,
    PredictionRequest,
    PredictionResponse,
    WhatIfRequest,
    WhatIfResponse,
)


def predict_candidate(models: ModelsByOutcome, request: PredictionRequest, candidate: Candidate) -> PredictionResponse:
    """Predict the requested outcomes, and always both a response and a toxicity where there are models of both.

    Parameters
    ----------
    models : ModelsByOutcome
    request : PredictionRequest
    candidate : Candidate
        The request's, which the record keeps too.

    Raises
    ------
    InputError
        A value of the candidate cannot be read, or an outcome has no model.
    """
    predictions = [predict(models[outcome], candidate) for outcome in requested_outcomes(request.outcomes, models)]
    joint = joint_outcome(predictions)
    return PredictionResponse(
        patient=PatientReference(request.patient.id),
        answers=predictions,
        benefit=benefit_bounds(joint),
        cells=joint,
        simulated=any(prediction.simulated for prediction in predictions),
        notice=NOTICE,
    )


def warm_up(models: ModelsByOutcome) -> None:
    """Predict once by each model: the first prediction builds what the later ones use, and takes much longer."""
    candidate = PredictionRequest.model_validate(EXAMPLE).candidate()
    for served in every_model(models):
        predict([served], candidate)


def requested_outcomes(requested: Sequence[str] | None, models: ModelsByOutcome) -> list[str]:
    """Return the requested outcomes, then all outcomes of the side (response, toxicity) that none of them is of.

    Raises
    ------
    InputError
        An outcome has no model.
    """
    if requested is None:
        return list(models)
    for index, outcome in enumerate(requested):
        if outcome not in models:
            raise InputError(
                f"outcomes.{index}: no model predicts {outcome!r}; this server predicts only {', '.join(models)}"
            )
    sides = {is_toxicity(outcome) for outcome in requested}
    missing_side = (outcome for outcome in models if is_toxicity(outcome) not in sides)
    return list(dict.fromkeys([*requested, *missing_side]))


def compare_request(
    models: ModelsByOutcome, engraftment: EngraftmentBundle | None, request: DonorComparisonRequest
) -> DonorComparisonResponse:
    """Compare the donors of a request.

    Raises
    ------
    ModelMissing
        No engraftment model is served.
    InputError
        A value cannot be read, or the donors cannot be compared: see `models.donors.compare_donors`.
    """
    comparison = compare_donors(require_engraftment(engraftment), models, request.candidate(), request.donor_stools())
    return DonorComparisonResponse(PatientReference(request.patient.id), comparison, NOTICE)


def compare_changes(
    models: ModelsByOutcome, engraftment: EngraftmentBundle | None, request: WhatIfRequest
) -> WhatIfResponse:
    """Compare the candidate of a request with one who has other measurements.

    Raises
    ------
    ModelMissing
        A donor's stool was sent, and no engraftment model is served.
    InputError
        A value cannot be read, or a measurement cannot be changed: see `models.what_if.what_if`.
    """
    candidate, stool_after = request.candidate(), None
    if request.donor_stool is not None:
        stool_after = expected_stool(require_engraftment(engraftment), candidate, request.donor_stool.profile())
    comparison = what_if(models, candidate, request.changes, stool_after)
    return WhatIfResponse(PatientReference(request.patient.id), comparison, NOTICE)


def require_engraftment(engraftment: EngraftmentBundle | None) -> EngraftmentBundle:
    """Return the engraftment model, or raise ModelMissing where none is served."""
    if engraftment is None:
        raise ModelMissing("no engraftment model is loaded; 'taxokine engraftment train COHORT' registers one")
    return engraftment


def describe_models(models: ModelsByOutcome) -> ModelsResponse:
    """Return the description of every served model."""
    return ModelsResponse([_describe(served) for served in every_model(models)])


def _describe(served: ServedModel) -> ModelDescription:
    model = served.model
    return ModelDescription(
        **asdict(served.reference),
        outcome=model.outcome,
        definition=model.evidence.definition,
        inputs={block: tuple(names) for block, names in model.encoder.names_.items()},
        units=model.units,
        profilers=model.profilers,
        evidence=model.evidence,
        population=model.population,
        simulated=model.simulated,
        external_validations=served.external_validations,
    )
