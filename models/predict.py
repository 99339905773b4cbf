"""Predict one outcome for one candidate, with its explanation, evidence and applicability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from features.arrays import Matrix
from features.errors import BundleError
from features.measured_values import MeasuredValue
from features.outcomes import side_of
from models.applicability import assess_applicability
from models.bundle import Model
from models.confirmation import is_unconfirmed, unconfirmed_reason
from models.evidence import ExternalValidation
from models.landmarks import as_of, landmark_choice, last_visit_day, preference
from models.patient_input import Candidate, ModelInput
from models.prediction import (
    Contribution,
    Explanation,
    LandmarkChoice,
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
RANGE_COVERAGE = ". The model card reports how often the range held for held-out patients"
"""Added where the model has a validation."""
NO_DONOR_READ = (
    "the model reads the patient's own measurements, and nothing of a donor: by itself it tells no donors apart"
)
"""The donor's part in a prediction of a model without the donor block."""


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


ModelsByOutcome = Mapping[str, Sequence[ServedModel]]
"""The served models of each outcome, best first."""


def every_model(models: ModelsByOutcome) -> list[ServedModel]:
    """Return the models of all outcomes, in their order."""
    return list(chain.from_iterable(models.values()))


@dataclass(frozen=True)
class SelectedModel:
    """The model that predicts one outcome for one candidate.

    Attributes
    ----------
    served : ServedModel
    candidate : Candidate
        The candidate as of the model's landmark.
    model_input : ModelInput
        What the model reads of that candidate.
    landmark : LandmarkChoice
    """

    served: ServedModel
    candidate: Candidate
    model_input: ModelInput
    landmark: LandmarkChoice


def predict(models: Sequence[ServedModel], candidate: Candidate) -> Prediction:
    """Predict one outcome for one candidate.

    Models are tried by landmark, the latest first that the candidate has reached (`models.landmarks`), and in their
    order within one landmark. The first predicts of which the candidate has a measurement in every block; if there is
    none, the prediction is the abstention of the first that was tried.

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
    selected = select_model(models, candidate)
    served, candidate, model_input = selected.served, selected.candidate, selected.model_input
    model = served.model
    encoded = model.encoder.encode(model_input.values)
    assessment = assess_applicability(model, candidate, model_input, encoded)
    probability, probability_range, explanation, unconfirmed = None, None, None, None
    if assessment.trust.verdict != "abstain":
        explanation = _explain(model, model_input, encoded)
        probability = float(model.calibration.probability(np.array(explanation.value)))
        probability_range = _probability_range(model, explanation.value)
        # What the model learnt from the patient is no forecast, which held-out patients could confirm.
        if not assessment.trust.in_training_set and is_unconfirmed(model.validation, probability):
            unconfirmed = unconfirmed_reason([side_of(model.outcome)])
    return Prediction(
        outcome=model.outcome,
        definition=model.evidence.definition,
        probability=probability,
        probability_range=probability_range,
        unconfirmed_reason=unconfirmed,
        explanation=explanation,
        model=served.reference,
        evidence=model.evidence,
        trust=assessment.trust,
        nearest=assessment.nearest,
        simulated=model.simulated,
        landmark=selected.landmark,
        donor_part=_donor_part(model, explanation),
    )


def _donor_part(model: Model, explanation: Explanation | None) -> str:
    if "donor" not in model.blocks:
        return NO_DONOR_READ
    if explanation is None:
        return "the model reads how near the stool is to the donor's, and abstains"
    share = sum(item.shap for item in explanation.contributions if item.block == "donor") * model.calibration.slope
    return f"how near the stool is to the donor's moves the log-odds by {share:+.2f}; an association, not an effect"


def select_model(models: Sequence[ServedModel], candidate: Candidate) -> SelectedModel:
    """Return the model that predicts, chosen as `predict` describes, and what it reads of the candidate.

    Raises
    ------
    InputError
        A value of the candidate cannot be read.
    """
    day = last_visit_day(candidate)
    ranked = sorted(models, key=lambda served: preference(served.model.evidence.landmark, day))
    readings = ((served, *_read_by_landmark(served.model, candidate)) for served in ranked)
    preferred = next(readings)
    served, visit, model_input = next(
        (
            reading
            for reading in chain([preferred], readings)
            if all(reading[2].is_measured(block).any() for block in reading[0].model.blocks)
        ),
        preferred,
    )
    landmarks = [other.model.evidence.landmark for other in models]
    reads_stool = not {"taxa", "donor"}.isdisjoint(served.model.blocks)
    stool_day = visit.taxa.day if visit.taxa is not None and reads_stool else None
    choice = landmark_choice(served.model.evidence.landmark, landmarks, day, stool_day)
    return SelectedModel(served, visit, model_input, choice)


def _read_by_landmark(model: Model, candidate: Candidate) -> tuple[Candidate, ModelInput]:
    """Return a candidate as of a model's landmark, and what the model reads of it."""
    visit = as_of(candidate, model.evidence.landmark, model.evidence.window)
    return visit, model.model_input(visit)


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


def _explain(model: Model, model_input: ModelInput, encoded: Matrix) -> Explanation:
    encoder = model.encoder
    shap, base_value = model.predictor.contributions(encoded)
    shares = encoder.sum_by_feature(shap)[0]
    numbers = encoder.display_values(model_input.values, encoded)
    values: list[float | None] = numbers.tolist()
    for missing in np.flatnonzero(~np.isfinite(numbers)).tolist():
        # A missing value has no number to show.
        values[missing] = None
    names, blocks = encoder.explained_names_
    contributions = list(map(Contribution, names, blocks, values, shares.tolist(), model.explained_units))
    if model_input.readings:
        _report_readings(contributions, model_input.readings)
    # The sum itself, so that the contributions on show add up to the value that was calibrated.
    value = base_value + float(shap.sum())
    if not math.isfinite(value):
        raise BundleError(f"the {model.family} model of {model.outcome} predicted {value}, not a finite number")
    calibration = PlattCalibration(model.calibration.slope, model.calibration.intercept)
    return Explanation("log-odds", base_value, value, contributions, calibration)
