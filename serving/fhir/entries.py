"""The resources of a Bundle, all about one patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import JsonValue, ValidationError

from serving.fhir.issues import Issue, RefusedBundle, validation_issues
from serving.fhir.resources import (
    READ_TYPES,
    BundleEntry,
    Condition,
    FhirPatient,
    Medication,
    Observation,
    PatientBundle,
)

ReadResource = TypeVar("ReadResource", FhirPatient, Observation, Condition, Medication)


@dataclass(frozen=True)
class Located(Generic[ReadResource]):
    """A resource with its place in the Bundle.

    Attributes
    ----------
    place : str
        Its FHIRPath, such as `Bundle.entry[2].resource`.
    reference : str
        How another resource refers to it: its `fullUrl`, else its type and id.
    resource : FhirPatient, Observation, Condition or Medication
    """

    place: str
    reference: str
    resource: ReadResource


@dataclass(frozen=True)
class PatientResources:
    """What a Bundle says of its patient.

    Attributes
    ----------
    patient : Located of FhirPatient
    observations, conditions, medications : tuple of Located
        In the order of the Bundle.
    issues : tuple of Issue
        Resources of types that are not read.
    """

    patient: Located[FhirPatient]
    observations: tuple[Located[Observation], ...]
    conditions: tuple[Located[Condition], ...]
    medications: tuple[Located[Medication], ...]
    issues: tuple[Issue, ...]


def patient_resources(content: dict[str, JsonValue]) -> PatientResources:
    """Return the resources of a Bundle that conforms to R4.

    Raises
    ------
    RefusedBundle
        There is not one patient, or a resource is about no patient or another one.
    """
    entries = PatientBundle.model_validate(content).entry
    patients = _located(entries, FhirPatient)
    if len(patients) != 1:
        text = f"the Bundle has {len(patients)} Patient resources; send exactly one, and all else about that patient"
        raise RefusedBundle([Issue("error", "business-rule", "Bundle.entry", text)])
    patient = patients[0]
    observations, conditions = _located(entries, Observation), _located(entries, Condition)
    medications = _located(entries, Medication)
    _require_subject([*observations, *conditions, *medications], patient)
    issues = tuple(
        Issue("information", "not-supported", _place(index), f"{kind or 'an empty entry'} is not read")
        for index, kind in enumerate(map(_kind, entries))
        if kind not in READ_TYPES
    )
    return PatientResources(patient, observations, conditions, medications, issues)


def _located(entries: Sequence[BundleEntry], resource_class: type[ReadResource]) -> tuple[Located[ReadResource], ...]:
    """Return the resources of one class."""
    located: list[Located[ReadResource]] = []
    for index, entry in enumerate(entries):
        kind, place = _kind(entry), _place(index)
        if READ_TYPES.get(kind) is not resource_class:
            continue
        try:
            resource = resource_class.model_validate(entry.resource)
        except ValidationError as error:
            raise RefusedBundle(validation_issues(error, place)) from None
        located.append(Located(place, entry.fullUrl or f"{kind}/{resource.id}", resource))
    return tuple(located)


def _kind(entry: BundleEntry) -> str:
    return str(entry.resource.get("resourceType", ""))


def _place(index: int) -> str:
    return f"Bundle.entry[{index}].resource"


def _require_subject(
    items: Sequence[Located[Observation] | Located[Condition] | Located[Medication]], patient: Located[FhirPatient]
) -> None:
    """Raise RefusedBundle unless every resource is about the patient: a value of another one must never be used."""
    identity = patient.resource.id
    issues = []
    for item in items:
        subject = item.resource.subject.reference
        if subject != patient.reference and not (identity and f"/{subject}".endswith(f"/Patient/{identity}")):
            text = f"its subject is not the Patient of the Bundle; expected {patient.reference!r}"
            issues.append(Issue("error", "business-rule", f"{item.place}.subject", text))
    if issues:
        raise RefusedBundle(issues)
