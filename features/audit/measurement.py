"""Checks of how samples were measured, and of how well that alone predicts the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from features.audit.findings import ChanceTest, Finding, joint_name, new_finding, readable, value_by_cohort
from features.audit.patients import AuditedPatients
from features.cohort import Cohort
from features.columns import Column

IMPLAUSIBLE_AUROC = 0.9
"""AUROC from which one column alone gives the outcome away; nothing measured before treatment is known to reach it."""


def different_profilers(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Find profiles made by different programs or databases."""
    profilers = [cohort.taxa.profiler or "not stated" for cohort in cohorts]
    if len(set(profilers)) > 1:
        yield new_finding("profilers-differ", joint_name(cohorts), value_by_cohort(cohorts, profilers))


def profiler_not_stated(cohort: Cohort) -> Iterator[Finding]:
    """Find profiles of an unknown program."""
    if cohort.taxa.profiler is None:
        yield new_finding("profiler-not-stated", cohort.name, "neither the file nor the manifest names the profiler")


def mixed_batches(cohort: Cohort) -> Iterator[Finding]:
    """Find several platforms, kits or read lengths in one cohort."""
    levels_by_field: dict[str, list[str]] = {}
    for name, values in cohort.technical.items():
        column = Column.from_name("technical", str(name))
        if column.level:
            levels_by_field.setdefault(column.field, []).append(f"{column.level} in {values.sum():g}")
        elif column.field == "read_length":
            levels_by_field[column.field] = [f"{length:g} in {n}" for length, n in values.value_counts().items()]
    for field, levels in levels_by_field.items():
        if len(levels) > 1:
            yield new_finding("mixed-batches", cohort.name, f"{readable(field)}: {', '.join(levels)} samples")


def single_column_predictors(patients: AuditedPatients) -> Iterator[ChanceTest]:
    """Test whether a technical, missingness or clinical column alone predicts the outcome.

    The AUROC is the Mann-Whitney statistic over its maximum, in the direction that exceeds a half; its p-value is exact
    for columns of two values (Fisher) and in small groups. A clinical column may predict the outcome, but not so well
    that it gives the outcome away.
    """
    for kind, column, outcome, auroc, p, n in patients.column_tests:
        code = "tells-outcome" if auroc >= IMPLAUSIBLE_AUROC else None if kind == "clinical" else "predicts-outcome"
        description = f"{column} alone reaches AUROC {auroc:.2f} for {readable(outcome)} in {n} patients"
        yield ChanceTest(p, new_finding(code, patients.cohort.name, description) if code else None)


def strongest_technical(patients: AuditedPatients) -> Iterator[Finding]:
    """Report the AUROC of the best technical column."""
    tests = [test for test in patients.column_tests if test.kind == "technical"]
    if tests:
        best = min(tests, key=lambda test: test.p)
        description = (
            f"{best.column} is the best of the technical columns: AUROC {best.auroc:.2f} for "
            f"{readable(best.outcome)} in {best.n} patients (p = {best.p:.2g}, the smallest of {len(tests)})"
        )
        yield new_finding("technical-auroc", patients.cohort.name, description)
