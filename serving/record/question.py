"""A question that was answered: what the record keeps of it, and its form in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter
from pydantic_core import to_json

from models.donors import DonorComparison
from models.patient_input import Candidate, EarlierVisit, Measurement, StoolProfile
from models.predict import ServedModel
from models.prediction import Prediction
from models.what_if import ProbabilityShift
from serving.record.answer import RecordedProbability


@dataclass(frozen=True)
class Inputs:
    """What was sent with a question.

    Attributes
    ----------
    candidate : Candidate
    changes : tuple of str
        What a what-if changes, as `block:name`.
    stools : mapping of str to StoolProfile
        Donors' stools, by name.
    """

    candidate: Candidate
    changes: tuple[str, ...] = ()
    stools: Mapping[str, StoolProfile] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the inputs as JSON: the same for the same measurements, in whatever order they were sent."""
        stools = {name: _ordered(stool) for name, stool in sorted(self.stools.items())}
        ordered = Inputs(_ordered_candidate(self.candidate), tuple(sorted(self.changes)), stools)
        # The digests of entries from before these fields were there stay as they are.
        absent = {name for name in ("day", "earlier") if getattr(self.candidate, name) in (None, ())}
        return to_json(ordered, exclude={"candidate": absent}, inf_nan_mode="constants")


def _by_analyte_and_day(measurement: Measurement) -> tuple[str, bool, float]:
    return measurement.analyte, measurement.day is not None, measurement.day or 0.0


@dataclass(frozen=True)
class Question:
    """A question and its answer.

    Attributes
    ----------
    asker : str
        "key NAME" of a program, "user NAME" of a person.
    request_id : str
    route : str
        Where it was asked, such as "POST /v1/predictions", without what the path says of the patient.
    patient : str
        Id of the patient; the database gets a pseudonym.
    inputs : Inputs
    answer : tuple of RecordedProbability
    """

    asker: str
    request_id: str
    route: str
    patient: str
    inputs: Inputs
    answer: tuple[RecordedProbability, ...]


INPUTS: TypeAdapter[Inputs] = TypeAdapter(Inputs)


def recorded_predictions(predictions: Iterable[Prediction]) -> tuple[RecordedProbability, ...]:
    """Return what the record keeps of predictions."""
    return tuple(
        RecordedProbability(
            prediction.outcome,
            "as measured",
            prediction.model.name,
            prediction.model.version,
            prediction.probability,
            prediction.trust.verdict,
        )
        for prediction in predictions
    )


def recorded_changes(shifts: Sequence[ProbabilityShift]) -> tuple[RecordedProbability, ...]:
    """Return what the record keeps of a what-if: the probability before and after, of each outcome."""
    return tuple(
        RecordedProbability(shift.outcome, case, shift.model.name, shift.model.version, probability, verdict)
        for shift in shifts
        for case, probability, verdict in (
            ("as measured", shift.probability_before, None),
            ("as changed", shift.probability_after, shift.trust.verdict),
        )
    )


def recorded_donors(comparison: DonorComparison) -> tuple[RecordedProbability, ...]:
    """Return what the record keeps of a comparison of donors: the probability after a transplant from each."""
    return tuple(
        RecordedProbability(
            change.outcome,
            f"donor {donor.donor}",
            change.model.name,
            change.model.version,
            change.probability_after,
            change.trust.verdict,
        )
        for donor in comparison.donors
        for change in donor.changes
    )


def recorded_list(models: Iterable[ServedModel]) -> tuple[RecordedProbability, ...]:
    """Return what the record keeps of the list of candidates: the models behind it."""
    return tuple(
        RecordedProbability(served.model.outcome, "list", served.name, served.version, None, None) for served in models
    )


def _ordered_candidate(candidate: Candidate) -> Candidate:
    taxa = candidate.taxa
    return replace(
        candidate,
        # 61 and 61.0 are one number, and two texts.
        clinical={
            name: float(value) if type(value) is int else value for name, value in sorted(candidate.clinical.items())
        },
        taxa=None if taxa is None else _ordered(taxa),
        immune=tuple(sorted(candidate.immune, key=_by_analyte_and_day)),
        donor=dict(sorted(candidate.donor.items())),
        over_time=dict(sorted(candidate.over_time.items())),
        serial=tuple(sorted(candidate.serial, key=_by_analyte_and_day)),
        earlier=tuple(
            EarlierVisit(visit.day, _ordered_candidate(visit.candidate))
            for visit in sorted(candidate.earlier, key=lambda visit: visit.day)
        ),
    )


def _ordered(stool: StoolProfile) -> StoolProfile:
    taxa = sorted(stool.values)
    return replace(stool, values=dict(zip(taxa, map(float, map(stool.values.__getitem__, taxa)), strict=True)))
