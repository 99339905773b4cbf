"""What an audit finds: findings, and tests whose findings count only where chance is an unlikely explanation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from features.audit.kinds import KINDS
from features.cohort import Cohort
from features.severity import Severity


@dataclass(frozen=True)
class Finding:
    """A property of the data that makes a result wrong, or that a reader must know.

    Attributes
    ----------
    code : str
        Its kind, a key of `KINDS`, by which it can be waived.
    severity : Severity
    cohort : str
        The cohort, or the cohorts joined by " + ".
    rows : tuple of str
        The patients, samples, rows or taxa concerned: for the user's own screen, since they may name patients.
    description, consequence, remedy : str
        The finding with its counts; why it matters; what to do. They name no patient and no sample.
    """

    code: str
    severity: Severity
    cohort: str
    rows: tuple[str, ...]
    description: str
    consequence: str
    remedy: str


def new_finding(code: str, cohort: str, description: str, rows: Iterable[object] = ()) -> Finding:
    """Return a finding whose severity, consequence and remedy are those of its kind."""
    kind = KINDS[code]
    return Finding(code, kind.severity, cohort, tuple(map(str, rows)), description, kind.consequence, kind.remedy)


class ChanceTest(NamedTuple):
    """A test of the data, and the finding to report if its p-value stays significant after adjustment."""

    p: float
    finding: Finding | None


def significant_findings(tests: Sequence[ChanceTest], level: float) -> list[Finding]:
    """Return the findings of the tests that are significant at this level after Holm's adjustment."""
    ordered, findings = sorted(tests, key=lambda test: test.p), []
    for rank, (p, finding) in enumerate(ordered):
        if p * (len(ordered) - rank) > level:
            break
        if finding is not None:
            tested = f"{finding.description} (p = {p:.1g}, of {len(ordered)} tests)"
            findings.append(replace(finding, description=tested))
    return findings


def readable(name: str) -> str:
    """Return a column's or an outcome's name as words."""
    return name.replace("_", " ")


def joint_name(cohorts: Iterable[Cohort]) -> str:
    """Return the names of cohorts that share a finding, joined by " + "."""
    return " + ".join(cohort.name for cohort in cohorts)


def value_by_cohort(cohorts: Sequence[Cohort], values: Sequence[str]) -> str:
    """Return each distinct value with the names of its cohorts; one value per cohort is given."""
    names = {
        value: [cohort.name for cohort, cohort_value in zip(cohorts, values, strict=True) if cohort_value == value]
        for value in values
    }
    return "; ".join(f"{value} ({', '.join(cohort_names)})" for value, cohort_names in names.items())
