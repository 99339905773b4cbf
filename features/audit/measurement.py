"""Checks of how things were measured, and of what that alone tells of the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from features.audit.findings import Finding, Suspicion, by_cohort, finding, joined, words
from features.audit.rows import Rows
from features.cohort import Cohort
from features.columns import Column

TELLS = 0.9
"""AUROC from which one column alone tells an outcome; nothing measured before treatment is known to reach it."""


def different_profilers(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Profiles made by different programs or databases."""
    profilers = [cohort.taxa.profiler or "not stated" for cohort in cohorts]
    if len(set(profilers)) > 1:
        yield finding("profilers-differ", joined(cohorts), by_cohort(cohorts, profilers))


def profiler_stated(cohort: Cohort) -> Iterator[Finding]:
    """Profiles of an unknown program."""
    if cohort.taxa.profiler is None:
        yield finding("profiler-not-stated", cohort.name, "neither the file nor the manifest names the profiler")


def mixed_batches(cohort: Cohort) -> Iterator[Finding]:
    """Several platforms, kits or read lengths in one cohort."""
    kinds: dict[str, list[str]] = {}
    for name, values in cohort.technical.items():
        column = Column.from_name("technical", str(name))
        if column.level:
            kinds.setdefault(column.field, []).append(f"{column.level} in {values.sum():g}")
        elif column.field == "read_length":
            kinds[column.field] = [f"{length:g} in {n}" for length, n in values.value_counts().items()]
    for kind, levels in kinds.items():
        if len(levels) > 1:
            yield finding("mixed-batches", cohort.name, f"{words(kind)}: {', '.join(levels)} samples")


def told_by_one_column(rows: Rows) -> Iterator[Suspicion]:
    """Batches, missingness and clinical columns that alone go with the outcome, or tell it.

    The AUROC is the Mann-Whitney statistic over its maximum, the better way round; its p-value is exact for columns of
    two values (Fisher) and in small groups. A clinical column may go with the outcome; it may not tell it.
    """
    for kind, column, outcome, auroc, p, n in rows.column_tests:
        code = "tells-outcome" if auroc >= TELLS else None if kind == "clinical" else "predicts-outcome"
        what = f"{column} alone reaches AUROC {auroc:.2f} for {words(outcome)} in {n} patients"
        yield Suspicion(p, finding(code, rows.cohort.name, what) if code else None)


def strongest_technical(rows: Rows) -> Iterator[Finding]:
    """How well the best technical column does alone."""
    tests = [test for test in rows.column_tests if test.kind == "technical"]
    if tests:
        best = min(tests, key=lambda test: test.p)
        what = (
            f"{best.column} does best of the technical columns: AUROC {best.auroc:.2f} for {words(best.outcome)} in "
            f"{best.n} patients (p = {best.p:.2g}, the smallest of {len(tests)})"
        )
        yield finding("technical-auroc", rows.cohort.name, what)
