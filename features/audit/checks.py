"""The audit: every check of one cohort, of its patients, of several cohorts, and of chance.

A check is a small function of what was read. Those of facts look at one cohort (`WITHIN`, `OF_ROWS`), at several
(`ACROSS`) or at the table that a model would learn from. Those in `TESTED` ask whether something is more unequal than
chance allows; their p-values are adjusted over the audit by Holm's method, so that cohorts with nothing wrong raise a
false alarm by chance in at most one audit of twenty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from features.audit.findings import SEVERITIES, Finding, Suspicion, beyond_chance
from features.audit.identities import donors, shared_samples, similar_profiles
from features.audit.measurement import (
    different_profilers,
    mixed_batches,
    profiler_stated,
    strongest_technical,
    told_by_one_column,
)
from features.audit.outcomes import (
    contradictions,
    different_labels,
    inverted_outcomes,
    published_label,
    response_against_progression,
    unknown_as_no,
)
from features.audit.profiles import (
    depth,
    few_taxa_shared,
    samples_without_taxa,
    suffixed_taxa,
    taxa_under_two_names,
    units,
)
from features.audit.rows import Rows, rows_of
from features.audit.times import (
    after_death,
    blood_far,
    different_clocks,
    events_before_landmark,
    events_before_treatment,
    late_baseline,
    late_stool,
    paired_by_label,
    undated,
)
from features.cohort import Cohort
from features.feature_table import FeatureTable

FALSE_ALARMS = 0.05
"""Chance that an audit of cohorts with nothing wrong alarms by chance (Holm 1979, Scand J Statist 6:65-70)."""

WITHIN: tuple[Callable[[Cohort], Iterable[Finding]], ...] = (
    contradictions,
    response_against_progression,
    published_label,
    units,
    samples_without_taxa,
    depth,
    suffixed_taxa,
    donors,
    late_baseline,
    undated,
    events_before_treatment,
    after_death,
    paired_by_label,
    profiler_stated,
    mixed_batches,
)
OF_ROWS: tuple[Callable[[Rows], Iterable[Finding]], ...] = (late_stool, strongest_technical)
ACROSS: tuple[Callable[[Sequence[Cohort]], Iterable[Finding]], ...] = (
    shared_samples,
    taxa_under_two_names,
    few_taxa_shared,
    different_clocks,
    different_profilers,
)
TESTED: tuple[Callable[[Rows], Iterable[Suspicion]], ...] = (inverted_outcomes, unknown_as_no, told_by_one_column)


def audit(cohorts: Sequence[Cohort], table: FeatureTable | None = None, outcome: str | None = None) -> list[Finding]:
    """Look for what would make a model's result wrong, and for what must be known of it.

    Parameters
    ----------
    cohorts : sequence of Cohort
        They are looked at one by one and against each other.
    table : FeatureTable, optional
        The rows that a model is about to learn from. Without it, each patient's first stool stands for the patient.
    outcome : str, optional
        The outcome, of `OUTCOME_IDS`, that is about to be trained on; each that the cohorts tell, when left out.

    Returns
    -------
    list of Finding
        Errors first, then warnings, then notes.
    """
    rows = [rows_of(cohort, table, outcome) for cohort in cohorts]
    found = [finding for cohort in cohorts for check in WITHIN for finding in check(cohort)]
    found += [finding for part in rows for check in OF_ROWS for finding in check(part)]
    found += similar_profiles(cohorts)
    if len(cohorts) > 1:
        found += [finding for check in ACROSS for finding in check(cohorts)]
        found += different_labels(cohorts, outcome)
    if table is not None:
        found += [*blood_far(table), *events_before_landmark(table, outcome)]
    for check in TESTED:
        found += beyond_chance([one for part in rows for one in check(part)], FALSE_ALARMS / len(TESTED))
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
