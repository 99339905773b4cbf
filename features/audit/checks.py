"""The audit: checks of one cohort, of its patients, of several cohorts, and tests against chance.

A check is a small function that yields findings. Checks of facts look at one cohort (`COHORT_CHECKS`), at its patients
(`PATIENT_CHECKS`), at several cohorts (`CROSS_COHORT_CHECKS`) or at the table that a model is about to be trained on.
`CHANCE_TESTS` ask whether a difference exceeds chance; their p-values are adjusted over the audit by Holm's method, so
that at most one audit in twenty of cohorts without errors raises a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from features.audit.findings import ChanceTest, Finding, significant_findings
from features.audit.identities import (
    donor_labels,
    donors_among_patients,
    donors_named_differently,
    near_miss_names,
    shared_samples,
    similar_profiles,
)
from features.audit.immune import limits_as_values, plates_apart, quality_warnings
from features.audit.inverted_outcomes import inverted_outcomes
from features.audit.manifests import unfinished_manifest
from features.audit.measurement import (
    different_profilers,
    mixed_batches,
    profiler_not_stated,
    single_column_predictors,
    strongest_technical,
)
from features.audit.outcomes import (
    contradictions,
    different_labels,
    published_label,
    response_against_progression,
    tumour_deaths_without_progression,
    unknown_as_no,
)
from features.audit.patients import AuditedPatients, audited_patients
from features.audit.profiles import (
    few_taxa_shared,
    outlying_depth,
    profile_units,
    samples_without_taxa,
    suffixed_taxa,
    taxa_under_two_names,
)
from features.audit.times import (
    dates_after_death,
    different_clocks,
    distant_blood,
    events_before_landmark,
    events_before_treatment,
    late_baseline,
    samples_of_one_time,
    stool_after_start,
    undated_samples,
    unnamed_baseline_visit,
    visits_apart,
)
from features.audit.tubes import swapped_tubes
from features.cohort import Cohort
from features.feature_table import FeatureTable
from features.severity import SEVERITIES

FALSE_ALARM_RATE = 0.05
"""Probability that an audit of cohorts without errors raises a false alarm (Holm 1979, Scand J Statist 6:65-70)."""

COHORT_CHECKS: tuple[Callable[[Cohort], Iterable[Finding]], ...] = (
    unfinished_manifest,
    contradictions,
    tumour_deaths_without_progression,
    response_against_progression,
    published_label,
    profile_units,
    samples_without_taxa,
    outlying_depth,
    suffixed_taxa,
    near_miss_names,
    donors_among_patients,
    donors_named_differently,
    donor_labels,
    swapped_tubes,
    late_baseline,
    undated_samples,
    unnamed_baseline_visit,
    samples_of_one_time,
    events_before_treatment,
    dates_after_death,
    visits_apart,
    profiler_not_stated,
    mixed_batches,
    limits_as_values,
    plates_apart,
    quality_warnings,
)
PATIENT_CHECKS: tuple[Callable[[AuditedPatients], Iterable[Finding]], ...] = (stool_after_start, strongest_technical)
CROSS_COHORT_CHECKS: tuple[Callable[[Sequence[Cohort]], Iterable[Finding]], ...] = (
    shared_samples,
    taxa_under_two_names,
    few_taxa_shared,
    different_clocks,
    different_profilers,
)
CHANCE_TESTS: tuple[Callable[[AuditedPatients], Iterable[ChanceTest]], ...] = (
    inverted_outcomes,
    unknown_as_no,
    single_column_predictors,
)


def audit(cohorts: Sequence[Cohort], table: FeatureTable | None = None, outcome: str | None = None) -> list[Finding]:
    """Find what would make a model's result wrong, and what a reader of it must know.

    Parameters
    ----------
    cohorts : sequence of Cohort
        They are checked one by one and against each other.
    table : FeatureTable, optional
        The rows that a model is about to be trained on. Without it, each patient's first stool sample represents the
        patient.
    outcome : str, optional
        The outcome, of `OUTCOME_IDS`, that a model is about to be trained on; without it, every reported outcome.

    Returns
    -------
    list of Finding
        Errors first, then warnings, then notes.
    """
    patients = [audited_patients(cohort, table, outcome) for cohort in cohorts]
    findings = [finding for cohort in cohorts for check in COHORT_CHECKS for finding in check(cohort)]
    findings += [finding for group in patients for check in PATIENT_CHECKS for finding in check(group)]
    findings += similar_profiles(cohorts)
    if len(cohorts) > 1:
        findings += [finding for check in CROSS_COHORT_CHECKS for finding in check(cohorts)]
        findings += different_labels(cohorts, outcome)
    if table is not None:
        findings += [*distant_blood(table), *events_before_landmark(table, outcome)]
    for chance_test in CHANCE_TESTS:
        tests = [test for group in patients for test in chance_test(group)]
        findings += significant_findings(tests, FALSE_ALARM_RATE / len(CHANCE_TESTS))
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
