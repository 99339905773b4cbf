"""Checks of outcomes: columns that contradict each other, or mean something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

import pandas as pd
from scipy.stats import fisher_exact

from features.audit.findings import Finding, Suspicion, by_cohort, finding, joined, words
from features.audit.rows import LEAST_EVENTS, Rows
from features.cohort import Cohort
from features.outcomes import RESPONSES, is_toxicity


def contradictions(cohort: Cohort) -> Iterator[Finding]:
    """Responses that a response excludes, and follow-up that ends before it.

    Complete or partial response is a response by any label, and progression as the best response is none (Eisenhauer
    2009, Eur J Cancer 45:228-247). Progression is no later than the last day alive.
    """
    flags = cohort.labels.flags
    for a, b in (
        ("objective_response", "published_response"),
        ("objective_response", "durable_benefit"),
        ("published_response", "disease_control"),
        ("durable_benefit", "disease_control"),
    ):
        if a in flags and b in flags:
            yes, so = flags[a].eq(True).fillna(False), flags[b]
            wrong = yes & so.eq(False).fillna(False)
            if wrong.any():
                what = f"{wrong.sum()} of {(yes & so.notna()).sum()} patients with {words(a)} have no {words(b)}"
                yield finding("outcome-contradiction", cohort.name, what, flags[a].index[wrong])
    dates = cohort.labels.dates
    if dates is not None and {"progression_free_survival", "overall_survival"} <= set(dates):
        wrong = dates["progression_free_survival"] > dates["overall_survival"]
        if wrong.any():
            what = f"{wrong.sum()} of {len(dates)} patients were free of progression after their last day alive"
            yield finding("outcome-contradiction", cohort.name, what, dates.index[wrong])
        died, free = (
            dates.get(f"{name}_event", pd.Series(pd.NA, dates.index, dtype="boolean")).eq(said).fillna(False)
            for name, said in (("overall_survival", True), ("progression_free_survival", False))
        )
        wrong = died & free & (dates["progression_free_survival"] == dates["overall_survival"])
        if wrong.any():
            what = f"{wrong.sum()} of {died.sum()} patients who died count as free of progression on the day they died"
            yield finding("outcome-contradiction", cohort.name, what, dates.index[wrong])


def response_against_progression(cohort: Cohort) -> Iterator[Finding]:
    """Response with progression in the first three months, or none with six months or more free of progression.

    A response takes about three months to be seen and confirmed; six months without progression are a durable benefit.
    """
    for months, free in cohort.labels.progression_free.items():
        early = months <= 3
        needed = ["objective_response", "durable_benefit", "published_response"] if early else []
        for name in needed if months < 6 else ["durable_benefit", "disease_control"]:
            flag = _responses(cohort).get(name)
            if flag is None:
                continue
            of = flag.eq(early).fillna(False) & free.notna()
            wrong = of & free.ne(early).fillna(False)
            if wrong.any():
                what = (
                    f"of {of.sum()} patients with{'' if early else 'out'} {words(name)}, {wrong.sum()} "
                    f"{'had progressed' if early else 'were free of progression'} at month {months}"
                )
                yield finding("response-against-progression", cohort.name, what, free.index[wrong])


def _responses(cohort: Cohort) -> dict[str, pd.Series[bool]]:
    """Return the columns that tell response, one of each kind, and freedom from progression by month."""
    told: dict[str, pd.Series[bool]] = {}
    for name in RESPONSES:  # a publication's own label comes last
        flag = cohort.labels.flags.get(name)
        if flag is not None and not any(flag.equals(other) for other in told.values()):
            told[name] = flag
    return told | {f"PFS at month {months}": free for months, free in cohort.labels.progression_free.items()}


def inverted_outcomes(rows: Rows) -> Iterator[Suspicion]:
    """Columns of response that go with each other's opposite."""
    for (a, first), (b, second) in combinations(_responses(rows.cohort).items(), 2):
        both = first.notna() & second.notna()
        x, y = first[both].astype(bool), second[both].astype(bool)
        what = f"{words(a)} and {words(b)} disagree in {(x != y).sum()} of {len(x)} patients"
        p = fisher_exact(_crossed(x, y), alternative="less").pvalue
        yield Suspicion(p, finding("outcome-inverted", rows.cohort.name, what, x.index[x != y]))


def unknown_as_no(rows: Rows) -> Iterator[Suspicion]:
    """Patients of unknown response whom another column calls "no" more often than those of known response."""
    told = _responses(rows.cohort)
    for (a, first), (b, second) in permutations(told.items(), 2):
        said = second.dropna()
        hidden, no = first.isna()[said.index], said.eq(False)
        if a in RESPONSES and hidden.sum() >= LEAST_EVENTS:
            counts = _crossed(hidden, no)
            what = (
                f'{b} says "no" of {counts[0][0]} of {hidden.sum()} patients whose {words(a)} is unknown, and of '
                f"{counts[1][0]} of {(~hidden).sum()} others"
            )
            p = fisher_exact(counts, alternative="greater").pvalue
            yield Suspicion(p, finding("unknown-as-no", rows.cohort.name, what, said.index[hidden & no]))


def _crossed(x: Any, y: Any) -> list[list[int]]:
    return [[int((x & y).sum()), int((x & ~y).sum())], [int((~x & y).sum()), int((~x & ~y).sum())]]


def published_label(cohort: Cohort) -> Iterator[Finding]:
    """Whether a publication's own label is another one, and what it makes of stable disease."""
    if said := _published_meaning(cohort):
        yield finding("published-label", cohort.name, f"published response {said}")


def _published_meaning(cohort: Cohort) -> str:
    flags = cohort.labels.flags
    published, said = flags.get("published_response"), []
    if published is None:
        return ""
    for name in ("objective_response", "disease_control", "durable_benefit"):
        if name in flags and not published.ne(flags[name]).any():
            said.append(f"is {words(name)}")
    if "disease_control" in flags:
        stable = (flags["disease_control"] & ~flags["objective_response"]).fillna(False)
        said.append(f"counts {published[stable].sum()} of {stable.sum()} patients with stable disease")
    return ", ".join(said)


def different_labels(cohorts: Sequence[Cohort], outcome: str | None) -> Iterator[Finding]:
    """Labels that mean different things under one name."""
    published = [cohort for cohort in cohorts if "published_response" in cohort.labels.flags]
    if outcome in (None, "published_response") and len(published) > 1:
        said = by_cohort(published, [_published_meaning(c) or "gives no RECIST to tell by" for c in published])
        yield finding("labels-differ", joined(published), f"published response {said}")
    toxic = [cohort for cohort in cohorts if any(map(is_toxicity, cohort.labels.defined))]
    dated = [cohort.name for cohort in toxic if cohort.labels.events is not None]
    if (outcome is None or is_toxicity(outcome)) and 0 < len(dated) < len(toxic):
        what = f"toxicity: events after the landmark in {', '.join(dated)}; of any day, since undated, in the others"
        yield finding("labels-differ", joined(toxic), what)
