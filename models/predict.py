"""Predict one outcome for one candidate, with its explanation, evidence and applicability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from features.errors import BundleError
from features.measured_values import MeasuredValue
from features.outcomes import definition_of
from models.applicability import assess_applicability
from models.bundle import Model
from models.evidence import ExternalValidation
from models.patient_input import Candidate, ModelInput
from models.prediction import (
    Contribution,
    Explanation,
    ModelReference,
    PlattCalibration,
    Prediction,
    ProbabilityRange,
    ReportedValue,
)

RANGE_MEANS = (
    "among patients who resemble the training cohorts and have this score, the average share with the outcome lies in "
    "this range. It describes such patients together, not this patient, and may not hold in another cohort; it is "
    "fitted separately from the probability, which may lie outside it"
)
"""How to read the range of a probability."""
RANGE_COVERAGE = ". The model card reports how often the range held in held-out cohorts"
"""Added where the model has a validation."""


@dataclass(frozen=True)
class ServedModel:
    """A model with its name in the registry.

    Attributes
    ----------
    model : Model
    name, version : str
        Registered name and version; for a bundle outside the registry the folder's name and "".
    run_id : str
        MLflow run that trained it, or "".
    alias : str
        Alias under which it was loaded, or "".
    experiment_id : str
        MLflow experiment of the run, or "".
    external_validations : tuple of ExternalValidation
        The latest validation on each cohort that the model had not seen.
    """

    model: Model
    name: str
    version: str
    run_id: str
    alias: str
    experiment_id: str = ""
    external_validations: tuple[ExternalValidation, ...] = ()

    @cached_property
    def reference(self) -> ModelReference:
        """How a prediction refers to the model."""
        model = self.model
        return ModelReference(self.name, self.version, self.run_id, self.alias, model.family, model.blocks)


def predict(models: Sequence[ServedModel], candidate: Candidate) -> Prediction:
    """Predict one outcome for one candidate.

    The first model predicts of which the candidate has a measurement in every block; models whose landmark precedes the
    day of the stool sample come last. If there is none, the prediction
    is the first model's abstention.

    Parameters
    ----------
    models : sequence of ServedModel
        The outcome's models, the registered best first; at least one.
    candidate : Candidate

    Raises
    ------
    InputError
        A value of the candidate cannot be read.
    """
    served, model_input = select_model(models, candidate)
    model = served.model
    encoded = model.encoder.encode(model_input.values)
    assessment = assess_applicability(model, candidate, model_input, encoded)
    probability, probability_range, explanation = None, None, None
    if assessment.trust.verdict != "abstain":
        explanation = _explain(model, model_input, encoded)
        probability = float(model.calibration.probability(np.array(explanation.value)))
        probability_range = _probability_range(model, explanation.value)
    return Prediction(
        outcome=model.outcome,
        definition=definition_of(model.outcome),
        probability=probability,
        probability_range=probability_range,
        explanation=explanation,
        model=served.reference,
        evidence=model.evidence,
        trust=assessment.trust,
        nearest=assessment.nearest,
        simulated=model.simulated,
    )


def select_model(models: Sequence[ServedModel], candidate: Candidate) -> tuple[ServedModel, ModelInput]:
    """Return the model that predicts, chosen as `predict` describes, and what it reads of the candidate.

    Raises
    ------
    InputError
        A value of the candidate cannot be read.
    """
    day = candidate.taxa.day if candidate.taxa else None
    # A model may read what was measured by its landmark: for later stool, those of later landmarks come first.
    ranked = sorted(models, key=lambda served: day is not None and day > served.model.evidence.landmark)
    pairs = ((served, served.model.model_input(candidate)) for served in ranked)
    preferred = next(pairs)
    for served, model_input in chain([preferred], pairs):
        if all(model_input.is_measured(block).any() for block in served.model.blocks):
            return served, model_input
    return preferred


def _probability_range(model: Model, margin: float) -> ProbabilityRange | None:
    if model.calibration.venn_abers is None:
        return None
    low, high = model.calibration.venn_abers.range(margin)
    meaning = RANGE_MEANS + (RANGE_COVERAGE if model.validation is not None else "")
    return ProbabilityRange(float(low), float(high), "Venn-Abers", meaning)


def _report_readings(contributions: Sequence[Contribution], readings: Mapping[str, MeasuredValue]) -> None:
    """Report the values of these contributions that are censored or extrapolated as such.

    A censored value has no number: the one that the model reads in its place is no measurement.
    """
    for contribution in contributions:
        reading = readings.get(contribution.feature) if contribution.block == "immune" else None
        if reading is not None:
            limit = None if math.isnan(reading.limit) else reading.limit
            contribution.reported = ReportedValue(reading.text, reading.censored or None, limit)
            if reading.censored:
                contribution.value = None


def _explain(model: Model, model_input: ModelInput, encoded: NDArray[np.float64]) -> Explanation:
    encoder = model.encoder
    shap, base_value = model.predictor.contributions(encoded)
    shares = encoder.sum_by_feature(shap)[0]
    numbers = encoder.display_values(model_input.values, encoded)
    values: list[float | None] = numbers.tolist()
    for missing in np.flatnonzero(~np.isfinite(numbers)).tolist():
        # A missing value has no number to show.
        values[missing] = None
    names, blocks = encoder.explained_names_
    contributions = list(map(Contribution, names, blocks, values, shares.tolist()))
    if model_input.readings:
        _report_readings(contributions, model_input.readings)
    # The sum itself, so that the contributions on show add up to the value that was calibrated.
    value = base_value + float(shap.sum())
    if not math.isfinite(value):
        raise BundleError(f"the {model.family} model of {model.outcome} predicted {value}, not a finite number")
    calibration = PlattCalibration(model.calibration.slope, model.calibration.intercept)
    return Explanation("log-odds", base_value, value, contributions, calibration)
