"""Checks of times: stool, blood and events before and after day 0 and the landmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from features.audit.findings import Finding, joint_name, new_finding, value_by_cohort
from features.audit.patients import AuditedPatients
from features.cohort import Cohort
from features.feature_table import FeatureTable
from features.outcomes import DAYS_PER_UNIT, is_toxicity
from features.tables.text import finite_numbers

MAX_GAP_DAYS = 14.0
"""Days between stool and blood beyond which they do not describe one state of the patient."""
MIN_SHIFTED_VISITS = 5
"""Visits from which one and the same shift between the days of stool and blood is no coincidence."""


def late_baseline(cohort: Cohort) -> Iterator[Finding]:
    """Find stool or blood that is called baseline and was taken after day 0."""
    samples, immune = cohort.manifest.samples, cohort.manifest.immune
    stool = cohort.samples[~cohort.samples["donor"] & (cohort.samples["day"] > 0)]
    if samples.baseline and not stool.empty:
        description = f"{len(stool)} stool samples called {samples.baseline!r} were taken after day 0"
        yield new_finding("late-baseline", cohort.name, description, stool["sample"])
    if immune and immune.baseline and immune.day and cohort.immune:
        rows = cohort.immune.rows[["patient", "day"]].drop_duplicates()
        late = rows[finite_numbers(rows["day"]) > 0]
        if not late.empty:
            description = f"{len(late)} blood draws called {immune.baseline!r} were taken after day 0"
            yield new_finding("late-baseline", cohort.name, description, late["patient"])


def undated_samples(cohort: Cohort) -> Iterator[Finding]:
    """Find stool or blood without days."""
    samples, immune = cohort.manifest.samples, cohort.manifest.immune
    if samples.day is None:
        yield new_finding("undated", cohort.name, f"stool is not dated ({samples.baseline or 'numbered visits'})")
    if immune is not None and immune.sample is None and immune.day is None:
        contrast = "; stool is dated" if samples.day else ""
        description = f"blood is not dated ({immune.baseline or 'numbered visits'}){contrast}"
        yield new_finding("undated", cohort.name, description)


def unnamed_baseline_visit(cohort: Cohort) -> Iterator[Finding]:
    """Find undated visits of which none is named as the baseline."""
    samples = cohort.samples[~cohort.samples["donor"]]
    visits = sorted(samples["visit"].dropna().unique())
    if cohort.manifest.samples.needs_baseline_visit and len(visits) > 1:
        description = f"stool is of {len(visits)} visits without days, and no baseline visit is named"
        yield new_finding("no-baseline-visit", cohort.name, description, [f"visit {visit:g}" for visit in visits])


def samples_of_one_time(cohort: Cohort) -> Iterator[Finding]:
    """Find several samples of one patient that no day or visit tells apart."""
    samples = cohort.samples[~cohort.samples["donor"]]
    latest_visit = cohort.manifest.samples.baseline_visit
    if latest_visit is not None:
        samples = samples[samples["visit"] <= latest_visit]
    tied = samples[samples.duplicated(["patient", "day", "visit"], keep=False)]
    for code, rows, time in (
        ("samples-of-one-time", tied[tied["day"].isna()], "that no day or visit tells apart"),
        ("samples-of-one-day", tied[tied["day"].notna()], "of one day"),
    ):
        if not rows.empty:
            names = rows.groupby("patient")["sample"].agg(", ".join)
            subject = "1 patient has" if len(names) == 1 else f"{len(names)} patients have"
            description = f"{subject} several stool samples {time}"
            yield new_finding(code, cohort.name, description, [f"{name}: {group}" for name, group in names.items()])


def stool_after_start(patients: AuditedPatients) -> Iterator[Finding]:
    """Find patients represented by stool taken after day 0, or on or after the day of their first event."""
    cohort = patients.cohort
    stool = cohort.samples.iloc[patients.sample_positions]
    late = stool["day"] > 0
    if late.any():
        description = (
            f"{late.sum()} of {len(stool)} patients are represented by stool taken after day 0 "
            f"({cohort.manifest.clock.index}), on days {stool['day'][late].min():g} to {stool['day'].max():g}"
        )
        yield new_finding("stool-after-start", cohort.name, description, stool["patient"][late])
    day = stool.groupby("patient")["day"].min()
    for name, event_day in _first_event_days(cohort, day.index).items():
        preceded = event_day <= day
        if preceded.any():
            description = (
                f"{preceded.sum()} of {len(day)} patients gave stool on or after the day of their first {name}"
            )
            yield new_finding("event-before-stool", cohort.name, description, day.index[preceded])


def _first_event_days(cohort: Cohort, patients: pd.Index[str]) -> dict[str, pd.Series[float]]:
    days = {}
    if cohort.labels.events is not None:
        days["adverse event"] = cohort.labels.events.first_event_day("toxicity_any", patients)
    dates = cohort.labels.dates
    if dates is not None and "progression_free_survival" in dates:
        progressed = dates["progression_free_survival_event"].eq(True).fillna(False)
        days["progression"] = dates["progression_free_survival"].where(progressed).reindex(patients)
    return days


def events_before_treatment(cohort: Cohort) -> Iterator[Finding]:
    """Find dated events before the treatment."""
    if (events := cohort.labels.events) is not None:
        early = events.frame[events.frame["day"] < events.first_counted_day]
        if not early.empty:
            description = f"{len(early)} of {len(events.frame)} adverse events precede day {events.first_counted_day:g}"
            yield new_finding("event-before-treatment", cohort.name, description, early["patient"])


def dates_after_death(cohort: Cohort) -> Iterator[Finding]:
    """Find records dated after the patient's death."""
    dates, survival = cohort.labels.dates, cohort.manifest.outcomes.survival
    if dates is None or survival is None or "overall_survival_event" not in dates:
        return
    rule, died = survival.overall_survival, dates["overall_survival_event"].eq(True).fillna(False)
    rounding = DAYS_PER_UNIT[rule.unit] / 2 if rule is not None and rule.unit != "days" else 0.0
    death = dates["overall_survival"].where(died) + rounding
    for records, rows in _dated_records(cohort).items():
        late = rows["patient"][rows["day"] > rows["patient"].map(death).astype(float)]
        if not late.empty:
            description = f"{len(late)} of {len(rows)} {records} are dated after the patient's death"
            yield new_finding("after-death", cohort.name, description, late)


def _dated_records(cohort: Cohort) -> dict[str, pd.DataFrame]:
    """Return `patient` and `day` of every dated record, by kind of record."""
    course = cohort.course
    dated = {
        "stool samples": cohort.samples[~cohort.samples["donor"]],
        "transplants": course.transplants,
        "treatment cycles": course.cycles,
        "assessments": course.assessments,
        "lesions": course.lesions,
        "medications": course.medications.rename(columns={"start": "day"}),
        "measures": course.measures,
    }
    if cohort.labels.events is not None:
        dated["adverse events"] = cohort.labels.events.frame
    if cohort.immune is not None and "day" in cohort.immune.key:
        draws = cohort.immune.rows[["patient", "day"]].drop_duplicates()
        dated["blood draws"] = draws.assign(day=finite_numbers(draws["day"]))
    return dated


def events_before_landmark(table: FeatureTable, outcome: str | None) -> Iterator[Finding]:
    """Find patients whose first adverse event was on or before the landmark."""
    if outcome is None or not is_toxicity(outcome):
        return
    for name, rows in table.rows.groupby("cohort"):
        not_at_risk = rows[f"at_risk_{outcome}"] == "no"
        if not_at_risk.any():
            landmark = rows["landmark"].iloc[0]
            description = f"{not_at_risk.sum()} of {len(rows)} patients had an event on or before day {landmark:g}"
            yield new_finding("event-before-landmark", str(name), description, rows["patient"][not_at_risk])


def visits_apart(cohort: Cohort) -> Iterator[Finding]:
    """Find stool and blood of one visit number that differ in time, or whose visits are numbered differently."""
    blood, samples = cohort.manifest.immune, cohort.samples[~cohort.samples["donor"]]
    if blood is None or cohort.immune is None or not blood.visit:
        return
    draws = cohort.immune.rows[list(cohort.immune.key)].drop_duplicates().rename(columns={"day": "draw_day"})
    draws = draws.assign(**{name: finite_numbers(draws[name]) for name in draws.columns[1:]})
    if not (blood.day and cohort.manifest.samples.day):
        yield from _visit_numbers_differ(cohort, samples, draws)
        return
    visits = samples.merge(draws, on=["patient", "visit"])
    shift = visits["draw_day"] - visits["day"]
    far, description = shift.abs() > MAX_GAP_DAYS, ""
    if far.any():
        description = (
            f"in {far.sum()} of {len(visits)} visits they are more than {MAX_GAP_DAYS:g} days apart, "
            f"up to {shift.abs().max():g}"
        )
    elif len(shift) >= MIN_SHIFTED_VISITS and shift.nunique() == 1 and shift.iloc[0] != 0:
        far, description = shift != 0, f"in all {len(visits)} visits blood is dated {shift.iloc[0]:+g} days from stool"
    if description:
        description = f"stool and blood are paired by visit; {description}"
        yield new_finding("paired-by-label", cohort.name, description, visits["sample"][far])


def _visit_numbers_differ(cohort: Cohort, samples: pd.DataFrame, draws: pd.DataFrame) -> Iterator[Finding]:
    """Find undated visits whose numbers differ between stool and blood: one number may mean two times."""
    with_both = set(samples["patient"]) & set(draws["patient"])
    of_stool = set(samples["visit"][samples["patient"].isin(with_both)].dropna())
    of_blood = set(draws["visit"][draws["patient"].isin(with_both)].dropna())
    if of_stool and of_stool != of_blood:
        numbers = [", ".join(f"{visit:g}" for visit in sorted(visits)) for visits in (of_stool, of_blood)]
        description = (
            f"stool and blood are paired by visit, undated; stool is of visits {numbers[0]}, blood of {numbers[1]}, so "
            "that one number may mean two times"
        )
        rows = [f"visit {visit:g}" for visit in sorted(of_stool ^ of_blood)]
        yield new_finding("paired-by-label", cohort.name, description, rows)


def distant_blood(table: FeatureTable) -> Iterator[Finding]:
    """Find rows whose blood was drawn long before or after the stool sample."""
    for name, rows in table.rows.groupby("cohort"):
        far = rows["gap_days"].abs() > MAX_GAP_DAYS
        if far.any():
            description = (
                f"in {far.sum()} of {rows['draw'].notna().sum()} rows with blood it is more than {MAX_GAP_DAYS:g} "
                f"days from the stool, up to {rows['gap_days'].abs().max():g}"
            )
            yield new_finding("blood-far", str(name), description, rows["patient"][far])


def different_clocks(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Find clocks that start at different events."""
    clocks = [f"{cohort.manifest.clock.name} from {cohort.manifest.clock.index}" for cohort in cohorts]
    if len(set(clocks)) > 1:
        yield new_finding("clocks-differ", joint_name(cohorts), value_by_cohort(cohorts, clocks))
