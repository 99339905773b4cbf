"""A Bundle about one patient, read as the request to the API that it means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from pydantic import JsonValue, ValidationError

from models.landmarks import latest_landmark
from serving.fhir.choice import ChosenObservation, Landmark, choose_observations
from serving.fhir.conformance import conformance_issues
from serving.fhir.diagnosis import read_diagnosis
from serving.fhir.entries import Located, PatientResources, patient_resources
from serving.fhir.issues import Issue, RefusedBundle, validation_issues
from serving.fhir.measurements import (
    analyte_of,
    body_mass_index,
    immune_measurement,
    is_body_mass_index,
    is_stool_profile,
    stool_profile,
)
from serving.fhir.resources import FhirPatient, Observation
from serving.fhir.treatment import read_treatment
from serving.schemas import PredictionRequest

_USED_STATUSES = frozenset({"final", "amended", "corrected", "preliminary"})
_STOOL, _BMI = "stool profile", "body mass index"


@dataclass(frozen=True)
class ReadBundle:
    """What a Bundle says.

    Attributes
    ----------
    request : PredictionRequest
        The same question, as the API takes it.
    subject : str
        Reference to the patient.
    basis : tuple of str
        References to the resources that were used.
    issues : tuple of Issue
        Warnings and information: what was not used, and why.
    """

    request: PredictionRequest
    subject: str
    basis: tuple[str, ...]
    issues: tuple[Issue, ...]


@dataclass
class _Collected:
    """What was read so far; the observations are read one after another."""

    basis: list[str]
    issues: list[Issue]
    immune: list[JsonValue]
    stools: list[JsonValue] = field(default_factory=list)
    bmi: float | None = None


def read_bundle(content: dict[str, JsonValue], landmarks: Collection[float], sexes: Collection[str]) -> ReadBundle:
    """Return the question that a Bundle asks.

    Parameters
    ----------
    content : dict
        A Bundle of any type, in JSON.
    landmarks : collection of float
        Landmarks of the models, in days from the first dose: the last whose measurements each may read.
    sexes : collection of str
        Levels of the clinical field `sex` that all models know.

    Raises
    ------
    RefusedBundle
        It does not conform to R4, is not about one patient, or a value or unit cannot be read.
    """
    if errors := conformance_issues(content):
        raise RefusedBundle(errors)
    resources = patient_resources(content)
    treatment = read_treatment(resources.medications)
    diagnosis = read_diagnosis(resources.conditions)
    collected = _Collected(
        [*treatment.basis, *diagnosis.basis], [*resources.issues, *treatment.issues, *diagnosis.issues], []
    )
    day = _last_day(resources, treatment.day_0)
    due = latest_landmark(landmarks, day)
    _read_observations(resources, Landmark(treatment.day_0, due), collected)
    clinical, patient_issues = _clinical_fields(resources.patient, treatment.day_0, sexes)
    issues = [*patient_issues, *collected.issues]
    if any(issue.severity == "error" for issue in issues):
        raise RefusedBundle(issues)
    patient = resources.patient.resource
    fields: dict[str, JsonValue] = {
        "id": patient.id or resources.patient.reference,
        "tumour_type": diagnosis.tumour_type,
        "drug_class": treatment.drug_class,
        **clinical,
        **({} if collected.bmi is None else {"bmi": collected.bmi}),
    }
    *earlier_stools, stool = collected.stools or [None]
    request = _request(
        {"patient": fields, "taxa": stool, "earlier_taxa": earlier_stools, "immune": collected.immune, "day": day}
    )
    return ReadBundle(request, resources.patient.reference, tuple(collected.basis), tuple(issues))


def _request(content: dict[str, JsonValue]) -> PredictionRequest:
    try:
        return PredictionRequest.model_validate(content)
    except ValidationError as error:
        raise RefusedBundle(validation_issues(error, "request")) from None


def _last_day(resources: PatientResources, day_0: date | None) -> float | None:
    """Return the day of the last observation that has an effect; None where it cannot be counted from day 0."""
    dates = [item.resource.date for item in resources.observations if _name(item)[0] is not None]
    last_date = max((day for day in dates if day is not None), default=None)
    return None if last_date is None or day_0 is None else float((last_date - day_0).days)


def _read_observations(resources: PatientResources, landmark: Landmark, collected: _Collected) -> None:
    by_name: dict[str, list[Located[Observation]]] = {}
    for item in resources.observations:
        name, issue = _name(item)
        if issue is not None:
            collected.issues.append(issue)
        if name is not None:
            by_name.setdefault(name, []).append(item)
    for name, items in by_name.items():
        selections, issues = choose_observations(items, landmark, name)
        collected.issues += issues
        for selection in selections[-1:] if name == _BMI else selections:
            try:
                _add(name, selection, collected)
            except RefusedBundle as error:
                collected.issues += error.issues


def _add(name: str, selection: ChosenObservation, collected: _Collected) -> None:
    if name == _STOOL:
        collected.stools.append(stool_profile(selection))
    elif name == _BMI:
        collected.bmi = body_mass_index(selection)
    else:
        collected.immune.append(immune_measurement(name, selection))
    collected.basis.append(selection.item.reference)


def _name(item: Located[Observation]) -> tuple[str | None, Issue | None]:
    """Return what an observation measures; None, and why, where it has no effect."""
    observation = item.resource
    if observation.status not in _USED_STATUSES:
        text = f"an observation of status {observation.status} has no effect"
        return None, Issue("information", "informational", f"{item.place}.status", text)
    if is_stool_profile(observation):
        return _STOOL, None
    name = _BMI if is_body_mass_index(observation) else analyte_of(observation)
    if name is None:
        text = f"{observation.code.label} is no analyte known here, and has no effect"
        return None, Issue("warning", "code-invalid", f"{item.place}.code", text)
    if observation.dataAbsentReason is not None:
        text = f"{name} was not measured: {observation.dataAbsentReason.label}"
        return None, Issue("information", "informational", f"{item.place}.dataAbsentReason", text)
    return name, None


def _clinical_fields(
    patient: Located[FhirPatient], day_0: date | None, sexes: Collection[str]
) -> tuple[dict[str, JsonValue], Sequence[Issue]]:
    """Return age, at day 0 or else today, and administrative sex, where models know its level."""
    fields: dict[str, JsonValue] = {}
    issues: list[Issue] = []
    birth, sex = patient.resource.birthDate, patient.resource.gender
    if len(birth) == len("1960-01-31"):
        fields["age"] = _age(date.fromisoformat(birth), day_0 or datetime.now(UTC).date())
    elif birth:
        text = "the date of birth is not complete, so that the age is not known"
        issues.append(Issue("warning", "value", f"{patient.place}.birthDate", text))
    if sex in sexes:
        fields["sex"] = sex
    elif sex:
        levels = ", ".join(sorted(sexes)) or "none"
        text = f"gender {sex!r} has no effect; the models know {levels}"
        issues.append(Issue("warning", "code-invalid", f"{patient.place}.gender", text))
    return fields, issues


def _age(birthday: date, day: date) -> float:
    """Return the completed years on a day."""
    return float(day.year - birthday.year - ((day.month, day.day) < (birthday.month, birthday.day)))
