"""The tumour of a patient, from coded diagnoses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.population import TumourType
from serving.fhir.codes import tumour_type
from serving.fhir.entries import Located
from serving.fhir.issues import Issue, RefusedBundle
from serving.fhir.resources import CodeableConcept, Condition

_REFUTED = frozenset({"refuted", "entered-in-error"})
_PAST = frozenset({"inactive", "remission", "resolved"})


@dataclass(frozen=True)
class Diagnosis:
    """The tumour.

    Attributes
    ----------
    tumour_type : TumourType or None
        None where no code decides it.
    basis : tuple of str
        References to the resources that were used.
    issues : tuple of Issue
    """

    tumour_type: TumourType | None
    basis: tuple[str, ...]
    issues: tuple[Issue, ...]


def read_diagnosis(conditions: Sequence[Located[Condition]]) -> Diagnosis:
    """Return the tumour that these diagnoses name.

    Raises
    ------
    RefusedBundle
        They name two types of tumour.
    """
    issues: list[Issue] = []
    types: dict[TumourType, list[Located[Condition]]] = {}
    for item in conditions:
        issue, kind = _tumour_of(item)
        if issue is not None:
            issues.append(issue)
        if kind is not None:
            types.setdefault(kind, []).append(item)
    if len(types) > 1:
        text = f"the conditions name several types of tumour ({', '.join(types)}); send the one that is to be treated"
        raise RefusedBundle(
            [Issue("error", "business-rule", item.place, text) for items in types.values() for item in items]
        )
    tumours = [item for items in types.values() for item in items]
    return Diagnosis(next(iter(types), None), tuple(item.reference for item in tumours), tuple(issues))


def _tumour_of(item: Located[Condition]) -> tuple[Issue | None, TumourType | None]:
    condition = item.resource
    statuses = _codes(condition.verificationStatus) & _REFUTED | _codes(condition.clinicalStatus) & _PAST
    if statuses:
        text = f"a condition that is {', '.join(sorted(statuses))} has no effect"
        return Issue("information", "informational", item.place, text), None
    types = {kind for coding in condition.code.coding if (kind := tumour_type(coding.system, coding.code))}
    if len(types) == 1:
        return None, types.pop()
    reason = "names several types of tumour" if types else "decides no type of tumour known here, and has no effect"
    text = f"{condition.code.label} {reason}; ICD-10 C34, for one, is lung cancer of either kind: add a SNOMED CT code"
    return Issue("error" if types else "warning", "code-invalid", f"{item.place}.code", text), None


def _codes(concept: CodeableConcept) -> frozenset[str]:
    return frozenset(coding.code for coding in concept.coding)
