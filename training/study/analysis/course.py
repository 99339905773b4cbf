"""The course of each patient: how long a patient was followed, and every dated record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from features.cohort import Cohort
from training.study.analysis.arms import is_treated
from training.study.analysis.exposure import transplants
from training.study.analysis.response import best_responses
from training.study.codes import Codes


@dataclass(frozen=True)
class CourseResult:
    """The dated records of each patient. Every frame holds `patient`, an identifier, and `day`.

    Attributes
    ----------
    codes : mapping of str to str
    day_zero : str
        The event on day 0.
    last_day : pandas.Series
        By patient with any record: the day of death or last follow-up; without these, of the last record. Arm by arm,
        ascending within.
    arm : mapping of str to str
        By patient with a known arm.
    follow_up_dated : bool
        Whether deaths or follow-up are dated.
    best_response : mapping of str to str
        By patient, "" where not assessed; empty without responses.
    treatment_end : pandas.Series or None
        The last day of treatment, by patient, at most `last_day`; None where the cohort does not date it.
    stool, cycles, transplants : pandas.DataFrame
    assessments : pandas.DataFrame
        With `response`.
    events : pandas.DataFrame
        With `grade`; adverse events.
    progressions, deaths, alive : pandas.DataFrame
        Progressions that are not deaths, deaths, and the last follow-up of patients who did not die.
    """

    codes: Mapping[str, str]
    day_zero: str
    last_day: pd.Series[float]
    arm: Mapping[str, str]
    follow_up_dated: bool
    best_response: Mapping[str, str]
    treatment_end: pd.Series[float] | None
    stool: pd.DataFrame
    cycles: pd.DataFrame
    transplants: pd.DataFrame
    assessments: pd.DataFrame
    events: pd.DataFrame
    progressions: pd.DataFrame
    deaths: pd.DataFrame
    alive: pd.DataFrame


def course_result(cohort: Cohort, codes: Codes) -> CourseResult:
    """Return the dated records of each patient."""
    course, dates, events = cohort.course, cohort.labels.dates, cohort.labels.events
    best = best_responses(cohort, codes)
    last_day = last_days(cohort, codes).dropna().sort_values(kind="stable")
    # Controls below, patients without a known arm above.
    last_day = last_day.loc[last_day.index.to_series().map(is_treated(cohort)).sort_values(kind="stable").index]
    treatment_end = None
    if dates is not None and "treatment_end" in dates:
        treatment_end = dates["treatment_end"].reindex(last_day.index).fillna(last_day).clip(upper=last_day)
    return CourseResult(
        codes=codes,
        day_zero=cohort.manifest.clock.index,
        last_day=last_day,
        arm=dict(zip(cohort.arm.index, cohort.arm, strict=True)),
        follow_up_dated=dates is not None and bool({"overall_survival", "last_follow_up"} & set(dates)),
        best_response=dict(zip(best.index, best.iloc[:, 0], strict=True)) if len(best.columns) else {},
        treatment_end=treatment_end,
        stool=cohort.samples,
        cycles=course.cycles,
        transplants=transplants(cohort),
        assessments=course.assessments,
        events=pd.DataFrame({"patient": [], "day": [], "grade": []}) if events is None else events.frame,
        progressions=_dated_events(dates, "progression_free_survival", unless="overall_survival"),
        deaths=_dated_events(dates, "overall_survival"),
        alive=_last_follow_up(dates),
    )


def last_days(cohort: Cohort, codes: Codes) -> pd.Series[float]:
    """Return the day of death or last follow-up of each patient; where neither is dated, of the last record."""
    course = cohort.course
    frames = [cohort.samples, course.transplants, course.cycles, course.assessments, course.measures]
    if cohort.labels.events is not None:
        frames.append(cohort.labels.events.frame)
    if cohort.immune is not None and "day" in cohort.immune.key:
        rows = cohort.immune.rows
        frames.append(pd.DataFrame({"patient": rows["patient"], "day": pd.to_numeric(rows["day"])}))
    days = pd.concat([frame[["patient", "day"]] for frame in frames if not frame.empty], ignore_index=True)
    last_day = days.groupby("patient")["day"].max().reindex(list(codes))
    dates = cohort.labels.dates
    if dates is None:
        return last_day
    for name in ("last_follow_up", "overall_survival"):
        if name in dates:
            last_day = dates[name].reindex(list(codes)).fillna(last_day)
    return last_day


def _dated_events(dates: pd.DataFrame | None, name: str, unless: str | None = None) -> pd.DataFrame:
    """Return patients with an event and its day, without those in whom `unless` occurred by that day."""
    if dates is None or name not in dates:
        return pd.DataFrame({"patient": [], "day": []})
    event = dates[f"{name}_event"].fillna(False).astype(bool)
    if unless is not None and unless in dates:
        event &= ~(dates[f"{unless}_event"].fillna(False).astype(bool) & (dates[unless] <= dates[name]))
    return pd.DataFrame({"patient": dates.index[event], "day": dates.loc[event, name].to_numpy()})


def _last_follow_up(dates: pd.DataFrame | None) -> pd.DataFrame:
    if dates is None or "overall_survival" not in dates:
        return pd.DataFrame({"patient": [], "day": []})
    alive = ~dates["overall_survival_event"].fillna(True).astype(bool)
    return pd.DataFrame({"patient": dates.index[alive], "day": dates.loc[alive, "overall_survival"].to_numpy()})
