"""Predictions as RiskAssessments (R4), each with the Provenance that names its model.

R4 states probabilities as percentages: `probabilityDecimal` is at most 100
(http://hl7.org/fhir/R4/riskassessment-definitions.html#RiskAssessment.prediction.probability_x_).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from pydantic import JsonValue

from models.evidence import DEMONSTRATION
from models.predict import ModelsByOutcome, every_model
from models.prediction import ModelReference, Prediction, reservations, use_of
from serving.fhir.codes import TAXOKINE_OUTCOME, UCUM
from serving.fhir.issues import operation_outcome
from serving.fhir.reading import ReadBundle
from serving.schemas import PredictionResponse

BENEFIT = "response_without_toxicity"
"""Code of response without toxicity, in the system `codes.TAXOKINE_OUTCOME`."""

_FAMILIES = {
    "elastic_net": "elastic-net logistic regression",
    "xgboost": "gradient-boosted trees (XGBoost)",
    "xgboost_forest": "random forest (XGBoost)",
}
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_Json = dict[str, JsonValue]


@dataclass(frozen=True)
class _Frame:
    """What all resources of one response share."""

    subject: str
    basis: tuple[str, ...]
    time: str


def response_bundle(bundle: ReadBundle, answer: PredictionResponse, models: ModelsByOutcome) -> _Json:
    """Return the Bundle of a response.

    It holds a RiskAssessment for each outcome and one for response without toxicity, a Device and a Provenance for each
    model, and an OperationOutcome that lists what was not understood.

    Parameters
    ----------
    bundle : ReadBundle
        The question.
    answer : PredictionResponse
    models : ModelsByOutcome
        The models of each outcome, for the hashes of their bundles.
    """
    frame = _Frame(bundle.subject, bundle.basis, datetime.now(UTC).isoformat(timespec="seconds"))
    digests = {(served.name, served.version): served.model.digest for served in every_model(models)}
    entries: list[JsonValue] = []
    devices: list[str] = []
    for prediction in answer.answers:
        device, assessment = _new_url(), _new_url()
        model = prediction.model
        digest = digests.get((model.name, model.version), "")
        entries += [
            _entry(assessment, _risk_assessment(prediction, device, answer.notice, frame)),
            _entry(device, _device(model, digest)),
            _entry(_new_url(), _provenance([assessment], [device], frame)),
        ]
        devices.append(device)
    benefit = _new_url()
    entries += [
        _entry(benefit, _benefit(answer, frame)),
        _entry(_new_url(), _provenance([benefit], devices, frame)),
        _entry(_new_url(), operation_outcome(bundle.issues)),
    ]
    return {"resourceType": "Bundle", "type": "collection", "timestamp": frame.time, "entry": entries}


def _risk_assessment(prediction: Prediction, device: str, notice: str, frame: _Frame) -> _Json:
    outcome: _Json = {
        "coding": [{"system": TAXOKINE_OUTCOME, "code": prediction.outcome}],
        "text": prediction.definition,
    }
    predicted: _Json = {"outcome": outcome}
    if prediction.probability is None:
        predicted["rationale"] = f"The model abstains: {'; '.join(reservations(prediction))}"
    else:
        predicted["probabilityDecimal"] = 100 * prediction.probability
        predicted["rationale"] = f"Use for this patient: {use_of(prediction.trust.verdict, prediction.evidence)}"
    family = _FAMILIES.get(prediction.model.family, prediction.model.family)
    return {
        **_assessed(frame, f"{family}, calibrated on held-out patients"),
        "performer": {"reference": device},
        "prediction": [predicted],
        "note": [{"text": text} for text in _notes(prediction, notice)],
    }


def _notes(prediction: Prediction, notice: str) -> list[str]:
    """Return the evidence, the reasons against use, and the limits, one note each."""
    interval = prediction.probability_range
    return [
        *([f"The model {DEMONSTRATION}"] if prediction.simulated else []),
        f"Evidence: {prediction.evidence.sentence}",
        *_reservation_notes([prediction.unconfirmed_reason, *reservations(prediction)]),
        *([f"Range: {100 * interval.low:.1f}% to {100 * interval.high:.1f}%: {interval.meaning}"] if interval else []),
        f"Prediction day {prediction.landmark.day:g}: {prediction.landmark.reason}",
        f"Donor: {prediction.donor_part}",
        prediction.interpretation,
        notice,
    ]


def _reservation_notes(reasons: Sequence[str | None]) -> list[str]:
    return [f"Reservation: {reason}" for reason in reasons if reason]


def _benefit(answer: PredictionResponse, frame: _Frame) -> _Json:
    """Return the assessment of response without toxicity: bounds that hold whatever the dependence of the two."""
    bounds = answer.benefit
    predicted: _Json = {
        "outcome": {"coding": [{"system": TAXOKINE_OUTCOME, "code": BENEFIT}], "text": "response without toxicity"}
    }
    if bounds.low is None or bounds.high is None:
        predicted["rationale"] = f"No bounds: {bounds.reason}"
    else:
        low, high = _percent(bounds.low), _percent(bounds.high)
        predicted["probabilityRange"] = {"low": low, "high": high}
        predicted["rationale"] = (
            f"Of the outcomes {' and '.join(bounds.outcomes)} together; these bounds are no interval"
        )
    return {
        **_assessed(frame, "Fréchet bounds of the two predictions"),
        "prediction": [predicted],
        "note": [{"text": text} for text in (*_reservation_notes([bounds.unconfirmed_reason]), answer.notice)],
    }


def _assessed(frame: _Frame, method: str) -> _Json:
    assessed: _Json = {
        "resourceType": "RiskAssessment",
        "status": "final",
        "method": {"text": method},
        "subject": {"reference": frame.subject},
        "occurrenceDateTime": frame.time,
    }
    if frame.basis:
        assessed["basis"] = [{"reference": reference} for reference in frame.basis]
    return assessed


def _device(model: ModelReference, digest: str) -> _Json:
    identifiers: list[JsonValue] = [{"system": "urn:x-taxokine:model", "value": f"{model.name}/{model.version or '-'}"}]
    if digest:
        identifiers.append({"system": "urn:x-taxokine:bundle-sha256", "value": digest})
    return {
        "resourceType": "Device",
        "identifier": identifiers,
        "status": "active",
        "deviceName": [{"name": f"Taxokine {model.name}", "type": "model-name"}],
        "version": [{"value": model.version or "-"}],
    }


def _provenance(targets: Sequence[str], devices: Sequence[str], frame: _Frame) -> _Json:
    return {
        "resourceType": "Provenance",
        "target": [{"reference": target} for target in targets],
        "recorded": frame.time,
        "agent": [
            {
                "type": {"coding": [{"system": _PARTICIPANT, "code": "assembler"}]},
                "who": {"reference": device},
            }
            for device in devices
        ],
        "entity": [{"role": "source", "what": {"reference": reference}} for reference in (frame.subject, *frame.basis)],
    }


def _percent(probability: float) -> _Json:
    return {"value": 100 * probability, "unit": "%", "system": UCUM, "code": "%"}


def _entry(url: str, resource: _Json) -> JsonValue:
    return {"fullUrl": url, "resource": resource}


def _new_url() -> str:
    return f"urn:uuid:{uuid4()}"
