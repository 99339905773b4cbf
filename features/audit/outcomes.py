"""Checks of outcomes: columns that contradict each other, or have different definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import pandas as pd
from scipy.stats import fisher_exact

from features.audit.findings import ChanceTest, Finding, joint_name, new_finding, readable, value_by_cohort
from features.audit.outcome_columns import contingency_table, response_columns
from features.audit.patients import MIN_PER_LABEL, AuditedPatients
from features.cohort import Cohort
from features.deaths import deaths
from features.outcomes import RESPONSES, is_toxicity

IMPLICATIONS = (
    ("objective_response", "disease_control"),
    ("objective_response", "published_response"),
    ("objective_response", "durable_benefit"),
    ("published_response", "disease_control"),
    ("durable_benefit", "disease_control"),
)
"""Outcomes of which the first implies the second. Complete or partial response is a response by any label, and
progression as the best response is none (Eisenhauer 2009, Eur J Cancer 45:228-247)."""


def contradictions(cohort: Cohort) -> Iterator[Finding]:
    """Find responses that exclude each other, and survival times that do."""
    flags = cohort.labels.label_by_outcome
    for stronger, weaker in IMPLICATIONS:
        if stronger in flags and weaker in flags:
            has_stronger = flags[stronger].eq(True).fillna(False)
            contradicts = has_stronger & flags[weaker].eq(False).fillna(False)
            if contradicts.any():
                n = (has_stronger & flags[weaker].notna()).sum()
                description = (
                    f"{contradicts.sum()} of {n} patients with {readable(stronger)} have no {readable(weaker)}"
                )
                yield new_finding("outcome-contradiction", cohort.name, description, flags[stronger].index[contradicts])
    dates = cohort.labels.dates
    if dates is not None and {"progression_free_survival", "overall_survival"} <= set(dates):
        yield from _survival_contradictions(cohort, dates)


def _survival_contradictions(cohort: Cohort, dates: pd.DataFrame) -> Iterator[Finding]:
    """Find patients without progression after their last day alive, or on the day of their death."""
    pfs, os = dates["progression_free_survival"], dates["overall_survival"]
    too_long = pfs > os
    if too_long.any():
        description = f"{too_long.sum()} of {len(dates)} patients were free of progression after their last day alive"
        yield new_finding("outcome-contradiction", cohort.name, description, dates.index[too_long])
    unknown = pd.Series(pd.NA, dates.index, dtype="boolean")
    died = dates.get("overall_survival_event", unknown).eq(True).fillna(False)
    censored = dates.get("progression_free_survival_event", unknown).eq(False).fillna(False)
    contradicts = died & censored & (pfs == os)
    if contradicts.any():
        description = (
            f"{contradicts.sum()} of {died.sum()} patients who died count as free of progression on the day they died"
        )
        yield new_finding("outcome-contradiction", cohort.name, description, dates.index[contradicts])


def tumour_deaths_without_progression(cohort: Cohort) -> Iterator[Finding]:
    """Find deaths from the tumour before which no progression is recorded."""
    dead = deaths(cohort)
    if dead is None:
        return
    of_tumour = dead[(dead["cause"] == "tumour") & dead["followed"]]
    silent = of_tumour["progression"].isna()
    if silent.any():
        description = (
            f"{silent.sum()} of {len(of_tumour)} patients whose cause of death is the tumour have no progression "
            "recorded before"
        )
        yield new_finding("tumour-death-without-progression", cohort.name, description, of_tumour.index[silent])


def response_against_progression(cohort: Cohort) -> Iterator[Finding]:
    """Find response with progression in the first three months, or none despite six months free of progression.

    It takes about three months to see and confirm a response; six months without progression are a durable benefit.
    """
    for months, progression_free in cohort.labels.progression_free.items():
        early = months <= 3
        early_outcomes = ["objective_response", "durable_benefit", "published_response"] if early else []
        for name in early_outcomes if months < 6 else ["durable_benefit", "disease_control"]:
            response = response_columns(cohort).get(name)
            if response is None:
                continue
            patients = response.eq(early).fillna(False) & progression_free.notna()
            contradicts = patients & progression_free.ne(early).fillna(False)
            if contradicts.any():
                description = (
                    f"of {patients.sum()} patients with{'' if early else 'out'} {readable(name)}, {contradicts.sum()} "
                    f"{'had progressed' if early else 'were free of progression'} at month {months}"
                )
                rows = progression_free.index[contradicts]
                yield new_finding("response-against-progression", cohort.name, description, rows)


def unknown_as_no(patients: AuditedPatients) -> Iterator[ChanceTest]:
    """Test whether a column is "no" more often in patients whose response is unknown by another column."""
    for (name_a, column_a), (name_b, column_b) in permutations(response_columns(patients.cohort).items(), 2):
        known_b = column_b.dropna()
        unknown_a, no_b = column_a.isna()[known_b.index], known_b.eq(False)
        if name_a in RESPONSES and unknown_a.sum() >= MIN_PER_LABEL:
            table = contingency_table(unknown_a, no_b)
            description = (
                f'{name_b} is "no" in {table[0][0]} of {unknown_a.sum()} patients whose {readable(name_a)} is unknown, '
                f"and in {table[1][0]} of {(~unknown_a).sum()} others"
            )
            p = fisher_exact(table, alternative="greater").pvalue
            rows = known_b.index[unknown_a & no_b]
            yield ChanceTest(p, new_finding("unknown-as-no", patients.cohort.name, description, rows))


def published_label(cohort: Cohort) -> Iterator[Finding]:
    """Report which outcome a publication's own label equals, and how it counts stable disease."""
    if comparison := _published_definition(cohort):
        yield new_finding("published-label", cohort.name, f"published response {comparison}")


def _published_definition(cohort: Cohort) -> str:
    flags = cohort.labels.label_by_outcome
    published_response = flags.get("published_response")
    if published_response is None:
        return ""
    comparisons = [
        f"is {readable(name)}"
        for name in ("objective_response", "disease_control", "durable_benefit")
        if name in flags and not published_response.ne(flags[name]).any()
    ]
    if {"objective_response", "disease_control"} <= flags.keys():
        stable = (flags["disease_control"] & ~flags["objective_response"]).fillna(False)
        comparisons.append(f"counts {published_response[stable].sum()} of {stable.sum()} patients with stable disease")
    return ", ".join(comparisons)


def different_labels(cohorts: Sequence[Cohort], outcome: str | None) -> Iterator[Finding]:
    """Find labels with different definitions under one name."""
    with_published_label = [cohort for cohort in cohorts if "published_response" in cohort.labels.label_by_outcome]
    if outcome in (None, "published_response") and len(with_published_label) > 1:
        definitions = [
            _published_definition(cohort) or "equals no other outcome of the cohort" for cohort in with_published_label
        ]
        description = f"published response {value_by_cohort(with_published_label, definitions)}"
        yield new_finding("labels-differ", joint_name(with_published_label), description)
    with_toxicity = [cohort for cohort in cohorts if any(map(is_toxicity, cohort.labels.reported_outcomes))]
    dated = [cohort.name for cohort in with_toxicity if cohort.labels.events is not None]
    if (outcome is None or is_toxicity(outcome)) and 0 < len(dated) < len(with_toxicity):
        description = (
            f"toxicity: events after the landmark in {', '.join(dated)}; of any day, since undated, in the others"
        )
        yield new_finding("labels-differ", joint_name(with_toxicity), description)
