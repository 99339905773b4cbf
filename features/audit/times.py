"""Checks of when: stool, blood and events before and after day 0 and the landmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from features.audit.findings import Finding, by_cohort, finding, joined
from features.audit.rows import Rows
from features.cohort import Cohort
from features.feature_table import FeatureTable
from features.outcomes import MONTH, is_toxicity
from features.tables.text import finite_numbers

APART = 14.0
"""Days from which stool and blood are not of one time."""


def late_baseline(cohort: Cohort) -> Iterator[Finding]:
    """Stool or blood called baseline whose day says otherwise."""
    said = cohort.manifest
    stool = cohort.samples[~cohort.samples["donor"] & (cohort.samples["day"] > 0)]
    if said.samples.baseline and not stool.empty:
        what = f"{len(stool)} stool samples called {said.samples.baseline!r} are of later than day 0"
        yield finding("late-baseline", cohort.name, what, stool["sample"])
    if said.immune and said.immune.baseline and said.immune.day and cohort.immune:
        rows = cohort.immune.rows[[said.immune.patient, said.immune.day]].drop_duplicates()
        late = rows[finite_numbers(rows[said.immune.day]) > 0]
        if not late.empty:
            what = f"{len(late)} blood draws called {said.immune.baseline!r} are of later than day 0"
            yield finding("late-baseline", cohort.name, what, late[said.immune.patient])


def undated(cohort: Cohort) -> Iterator[Finding]:
    """Stool or blood taken at the publication's word."""
    said = cohort.manifest
    for what, part in (("stool", said.samples), ("blood", said.immune)):
        if part is not None and part.day is None:
            dated = "; the other is dated" if what == "blood" and said.samples.day else ""
            yield finding("undated", cohort.name, f"{what} is not dated ({part.baseline or 'numbered visits'}){dated}")


def late_stool(rows: Rows) -> Iterator[Finding]:
    """Patients for whom stool stands that was taken after day 0, and those whose event had happened by then."""
    cohort = rows.cohort
    stool = cohort.samples.iloc[rows.positions]
    late = stool["day"] > 0
    if late.any():
        what = (
            f"{late.sum()} of {len(stool)} patients are told by stool of later than day 0 "
            f"({cohort.manifest.clock.index}), of day {stool['day'][late].min():g} to {stool['day'].max():g}"
        )
        yield finding("stool-after-start", cohort.name, what, stool["patient"][late])
    day = stool.groupby("patient")["day"].min()
    for name, first in _first_events(cohort, day.index).items():
        over = first <= day
        if over.any():
            what = f"in {over.sum()} of {len(day)} patients stool was taken on the day of their first {name}, or later"
            yield finding("event-before-stool", cohort.name, what, day.index[over])


def _first_events(cohort: Cohort, patients: pd.Index[str]) -> dict[str, pd.Series[float]]:
    first = {}
    if cohort.labels.events is not None:
        first["adverse event"] = cohort.labels.events.first("toxicity_any", patients)
    dates = cohort.labels.dates
    if dates is not None and "progression_free_survival" in dates:
        happened = dates["progression_free_survival_event"].eq(True).fillna(False)
        first["progression"] = dates["progression_free_survival"].where(happened).reindex(patients)
    return first


def events_before_treatment(cohort: Cohort) -> Iterator[Finding]:
    """Dated events that precede the treatment."""
    if (events := cohort.labels.events) is not None:
        before = events.frame[events.frame["day"] < events.first_counted_day]
        if not before.empty:
            what = f"{len(before)} of {len(events.frame)} adverse events are of before day {events.first_counted_day:g}"
            yield finding("event-before-treatment", cohort.name, what, before["patient"])


def after_death(cohort: Cohort) -> Iterator[Finding]:
    """Whatever is dated later than its patient's death."""
    dates, said = cohort.labels.dates, cohort.manifest
    if dates is None or said.outcomes.survival is None or "overall_survival_event" not in dates:
        return
    rule, died = said.outcomes.survival.overall_survival, dates["overall_survival_event"].eq(True).fillna(False)
    rounded = MONTH / 2 if rule is not None and rule.unit == "months" else 0.0
    death = dates["overall_survival"].where(died) + rounded
    for what, rows in _dated(cohort).items():
        late = rows["patient"][rows["day"] > rows["patient"].map(death)]
        if not late.empty:
            counted = f"{len(late)} of {len(rows)} {what}"
            yield finding("after-death", cohort.name, f"{counted} are of later than the patient's death", late)


def _dated(cohort: Cohort) -> dict[str, pd.DataFrame]:
    """Return `patient` and `day` of everything that the cohort dates, by what it is."""
    course, blood = cohort.course, cohort.manifest.immune
    dated = {
        "stool samples": cohort.samples[~cohort.samples["donor"]],
        "transplants": course.transplants,
        "treatment cycles": course.cycles,
        "assessments": course.assessments,
        "medications": course.medications.rename(columns={"start": "day"}),
        "measures": course.measures,
    }
    if cohort.labels.events is not None:
        dated["adverse events"] = cohort.labels.events.frame
    if cohort.immune is not None and blood is not None and blood.day:
        drawn = cohort.immune.rows[[blood.patient, blood.day]].set_axis(["patient", "day"], axis=1).drop_duplicates()
        dated["blood draws"] = drawn.assign(day=finite_numbers(drawn["day"]))
    return dated


def events_before_landmark(table: FeatureTable, outcome: str | None) -> Iterator[Finding]:
    """Patients whose first adverse event was over by the landmark."""
    if outcome is None or not is_toxicity(outcome):
        return
    for name, rows in table.rows.groupby("cohort"):
        over = rows[f"at_risk_{outcome}"] == "no"
        if over.any():
            what = f"{over.sum()} of {len(rows)} patients had an event on or before day {rows['landmark'].iloc[0]:g}"
            yield finding("event-before-landmark", str(name), what, rows["patient"][over])


def paired_by_label(cohort: Cohort) -> Iterator[Finding]:
    """Visits whose stool and blood, both dated, are of different times."""
    said, samples = cohort.manifest, cohort.samples
    blood = said.immune
    if blood is None or cohort.immune is None or not (blood.day and blood.visit and said.samples.day):
        return
    draws = cohort.immune.rows[[blood.patient, blood.day, blood.visit]].drop_duplicates()
    draws = draws.set_axis(["patient", "drawn", "visit"], axis=1)
    draws[["drawn", "visit"]] = draws[["drawn", "visit"]].apply(finite_numbers)
    visits = samples.merge(draws, on=["patient", "visit"])
    gap = (visits["drawn"] - visits["day"]).abs()
    if (gap > APART).any():
        what = (
            f"stool and blood are paired by visit; in {(gap > APART).sum()} of {len(visits)} visits they are more than "
            f"{APART:g} days apart, up to {gap.max():g}"
        )
        yield finding("paired-by-label", cohort.name, what, visits["sample"][gap > APART])


def blood_far(table: FeatureTable) -> Iterator[Finding]:
    """Rows whose blood was drawn long before or after the stool."""
    for name, rows in table.rows.groupby("cohort"):
        far = rows["gap_days"].abs() > APART
        if far.any():
            what = (
                f"in {far.sum()} of {rows['draw'].notna().sum()} rows with blood it is more than {APART:g} days from "
                f"the stool, up to {rows['gap_days'].abs().max():g}"
            )
            yield finding("blood-far", str(name), what, rows["patient"][far])


def different_clocks(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Clocks that start at different events."""
    clocks = [f"{cohort.manifest.clock.name} from {cohort.manifest.clock.index}" for cohort in cohorts]
    if len(set(clocks)) > 1:
        yield finding("clocks-differ", joined(cohorts), by_cohort(cohorts, clocks))
