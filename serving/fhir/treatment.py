"""The immune checkpoint inhibitors of a patient: day 0 and the class of drugs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from features.population import DrugClass
from serving.fhir.codes import DrugTarget, drug_target
from serving.fhir.entries import Located
from serving.fhir.issues import Issue
from serving.fhir.resources import CodeableConcept, Medication

CONCURRENT = timedelta(days=42)
"""Drugs that begin within this time after day 0, two cycles of three weeks, are given together with it."""

_NOT_GIVEN = frozenset({"not-done", "not-taken", "entered-in-error", "unknown"})
_CLASSES: dict[frozenset[DrugTarget], DrugClass] = {
    frozenset({"PD-1"}): "anti-PD-1",
    frozenset({"PD-L1"}): "anti-PD-L1",
    frozenset({"CTLA-4"}): "anti-CTLA-4",
    frozenset({"PD-1", "CTLA-4"}): "anti-PD-1 + anti-CTLA-4",
}


@dataclass(frozen=True)
class Treatment:
    """The treatment with immune checkpoint inhibitors.

    Attributes
    ----------
    day_0 : date or None
        Calendar day of the first dose, given or intended; None where none is dated.
    drug_class : DrugClass or None
        None where no inhibitor is coded.
    basis : tuple of str
        References to the resources that were used.
    issues : tuple of Issue
    """

    day_0: date | None
    drug_class: DrugClass | None
    basis: tuple[str, ...]
    issues: tuple[Issue, ...]


def read_treatment(medications: Sequence[Located[Medication]]) -> Treatment:
    """Return the treatment that these medications describe.

    Parameters
    ----------
    medications : sequence of Located
        Of one course: the first dated inhibitor is day 0.
    """
    issues: list[Issue] = []
    targets: list[tuple[Located[Medication], DrugTarget]] = []
    for item in medications:
        target, issue = _target(item)
        if issue is not None:
            issues.append(issue)
        if target is not None:
            targets.append((item, target))
    inhibitors = [(item, target) for item, target in targets if target != "chemotherapy"]
    dates = [day for item, _ in inhibitors if (day := item.resource.date) is not None]
    day_0 = min(dates, default=None)
    concurrent_drugs = [(item, target) for item, target in targets if _is_concurrent(item, target, day_0)]
    issues += [
        Issue(
            "warning",
            "business-rule",
            item.place,
            f"this drug is not counted: it does not begin within {CONCURRENT.days} days from the first dose of an "
            "immune checkpoint inhibitor",
        )
        for item, target in targets
        if (item, target) not in concurrent_drugs
    ]
    if day_0 is None:
        text = "no dated dose of an immune checkpoint inhibitor was sent: days of samples are unknown, and not checked"
        issues.append(Issue("warning", "business-rule", "Bundle.entry", text))
    return Treatment(
        day_0,
        _drug_class(frozenset(target for _, target in concurrent_drugs)) if inhibitors else None,
        tuple(item.reference for item, _ in concurrent_drugs),
        tuple(issues),
    )


def _target(item: Located[Medication]) -> tuple[DrugTarget | None, Issue | None]:
    concept = item.resource.medicationCodeableConcept
    if item.resource.status in _NOT_GIVEN:
        return None, Issue(
            "information", "informational", f"{item.place}.status", f"status {item.resource.status}: it has no effect"
        )
    if concept is None:
        text = "a reference to a Medication is not followed; send medicationCodeableConcept with an ATC or RxNorm code"
        return None, Issue("warning", "not-supported", item.place, text)
    target = _target_of(concept)
    if target is None:
        text = f"{concept.label} is no immune checkpoint inhibitor or chemotherapy known here; it has no effect"
        return None, Issue("warning", "code-invalid", f"{item.place}.medicationCodeableConcept", text)
    return target, None


def _target_of(concept: CodeableConcept) -> DrugTarget | None:
    targets = (drug_target(coding.system, coding.code) for coding in concept.coding)
    return next((target for target in targets if target is not None), None)


def _is_concurrent(item: Located[Medication], target: DrugTarget, day_0: date | None) -> bool:
    day = item.resource.date
    if day is None or day_0 is None:
        return target != "chemotherapy"
    return day_0 <= day <= day_0 + CONCURRENT


def _drug_class(targets: frozenset[DrugTarget]) -> DrugClass:
    return "with chemotherapy" if "chemotherapy" in targets else _CLASSES.get(targets, "other")
