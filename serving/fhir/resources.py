"""The elements of FHIR R4 resources that Taxokine reads; it reads no others, and `conformance` has checked all."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue


class _Element(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Coding(_Element):
    """A code of a code system."""

    system: str = ""
    code: str = ""
    display: str = ""


class CodeableConcept(_Element):
    """Codes of one concept in several systems, and its text."""

    coding: tuple[Coding, ...] = ()
    text: str = ""

    @property
    def label(self) -> str:
        """How a message names the concept: by its codes, else its text."""
        codes = ", ".join(f"{coding.system}|{coding.code}" for coding in self.coding)
        return codes or repr(self.text)


class ResourceReference(_Element):
    """A reference to another resource."""

    reference: str = ""


class Quantity(_Element):
    """A number with its unit."""

    value: float | None = None
    comparator: Literal["<", "<=", ">=", ">", ""] = ""
    unit: str = ""
    code: str = ""


class EffectivePeriod(_Element):
    """A period of time; only its start is read."""

    start: str = ""


class _Dated(_Element):
    effectiveDateTime: str = ""
    effectivePeriod: EffectivePeriod = EffectivePeriod()

    @property
    def date(self) -> date | None:
        """The calendar day at the place of the event; None where it is not reported to the day."""
        text = (self.effectiveDateTime or self.effectivePeriod.start)[:10]
        return date.fromisoformat(text) if len(text) == len("2026-01-31") else None


class FhirPatient(_Element):
    """The patient."""

    resourceType: Literal["Patient"]
    id: str = ""
    birthDate: str = ""
    gender: str = ""


class Component(_Element):
    """One of several values of an Observation."""

    code: CodeableConcept
    valueQuantity: Quantity | None = None


class Observation(_Dated):
    """A measurement."""

    resourceType: Literal["Observation"]
    id: str = ""
    status: Literal[
        "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"
    ]
    code: CodeableConcept
    subject: ResourceReference = ResourceReference()
    valueQuantity: Quantity | None = None
    dataAbsentReason: CodeableConcept | None = None
    component: tuple[Component, ...] = ()
    method: CodeableConcept = CodeableConcept()


class Condition(_Element):
    """A diagnosis."""

    resourceType: Literal["Condition"]
    id: str = ""
    clinicalStatus: CodeableConcept = CodeableConcept()
    verificationStatus: CodeableConcept = CodeableConcept()
    code: CodeableConcept = CodeableConcept()
    subject: ResourceReference = ResourceReference()


class Medication(_Dated):
    """A drug that was given (MedicationAdministration), or is taken or intended (MedicationStatement)."""

    resourceType: Literal["MedicationAdministration", "MedicationStatement"]
    id: str = ""
    status: Literal[
        "in-progress", "not-done", "on-hold", "completed", "entered-in-error", "stopped", "unknown", "active",
        "intended", "not-taken",
    ]  # fmt: skip
    medicationCodeableConcept: CodeableConcept | None = None
    subject: ResourceReference = ResourceReference()


READ_TYPES: dict[str, type[FhirPatient] | type[Observation] | type[Condition] | type[Medication]] = {
    "Patient": FhirPatient,
    "Observation": Observation,
    "Condition": Condition,
    "MedicationAdministration": Medication,
    "MedicationStatement": Medication,
}
"""Types of resources that are read."""


class BundleEntry(_Element):
    """An entry of a Bundle."""

    fullUrl: str = ""
    resource: dict[str, JsonValue] = {}


class PatientBundle(_Element):
    """A Bundle."""

    resourceType: Literal["Bundle"]
    entry: tuple[BundleEntry, ...] = ()
