"""The test for an outcome that is coded the wrong way round: other columns tell that patients fared the opposite."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pandas as pd
from scipy.stats import CensoredData, fisher_exact, logrank

from features.audit.findings import ChanceTest, new_finding, readable
from features.audit.outcome_columns import UNUSED, EventTimes, contingency_table, outcome_columns
from features.audit.patients import MIN_PER_LABEL, AuditedPatients


def inverted_outcomes(patients: AuditedPatients) -> Iterator[ChanceTest]:
    """Test whether an outcome and another column of how patients fared contradict each other more than by chance.

    Columns that are excluded from features count. Two columns of which no outcome takes either are not compared.
    """
    columns, reported = outcome_columns(patients.cohort), patients.cohort.labels
    for flags in (columns.favourable, columns.toxicity):
        for (name_a, flag_a), (name_b, flag_b) in combinations(flags.items(), 2):
            if not (name_a.startswith(UNUSED) and name_b.startswith(UNUSED)):
                yield _opposite_flags(patients.cohort.name, (name_a, flag_a), (name_b, flag_b))
    for name, flag in columns.favourable.items():
        for time_name, times in columns.times.items():
            if name in reported.label_by_outcome and (
                test := _shorter_times(patients.cohort.name, name, flag, time_name, times)
            ):
                yield test


def _opposite_flags(
    cohort: str, named_a: tuple[str, pd.Series[bool]], named_b: tuple[str, pd.Series[bool]]
) -> ChanceTest:
    """Test whether two columns, of which both say yes of the same patients or fate, are negatively associated."""
    (name_a, flag_a), (name_b, flag_b) = named_a, named_b
    flag_b = flag_b.reindex(flag_a.index)
    complete = flag_a.notna() & flag_b.notna()
    a, b = flag_a[complete].astype(bool), flag_b[complete].astype(bool)
    differ = a != b
    description = f"{readable(name_a)} and {readable(name_b)} disagree in {differ.sum()} of {len(a)} patients"
    p = fisher_exact(contingency_table(a, b), alternative="less").pvalue
    return ChanceTest(p, new_finding("outcome-inverted", cohort, description, a.index[differ]))


def _shorter_times(
    cohort: str, name: str, flag: pd.Series[bool], time_name: str, times: EventTimes
) -> ChanceTest | None:
    """Test whether patients with a favourable outcome died or progressed earlier; None where too few are known."""
    time, event = times.time.reindex(flag.index), times.event.reindex(flag.index)
    complete = flag.notna() & time.notna() & event.notna()
    favourable, happened = flag[complete].astype(bool), event[complete].astype(bool)
    groups = [time[complete][favourable == is_favourable] for is_favourable in (True, False)]
    if min(map(len, groups)) < MIN_PER_LABEL or not happened.any():
        return None
    censored = [
        CensoredData(uncensored=group[happened[group.index]], right=group[~happened[group.index]]) for group in groups
    ]
    p = float(logrank(*censored, alternative="greater").pvalue)
    description = (
        f"{readable(time_name)} is shorter in {len(groups[0])} patients with {readable(name)} (median of the recorded "
        f"times {groups[0].median():.3g}) than in {len(groups[1])} without ({groups[1].median():.3g}), log-rank test"
    )
    return ChanceTest(p, new_finding("outcome-inverted", cohort, description, favourable.index))
