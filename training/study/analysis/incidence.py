"""Time to the first adverse event, with death as the competing event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.arrays import Matrix, Vector
from features.cohort import Cohort
from features.outcomes import GRADES, Grade
from features.survival import EVENT, CensoredAt, survival_exclusion_reason, time_to_event
from training.statistics.cumulative_incidence import aalen_johansen
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.survival_curves import Curve
from training.study.codes import Codes

DAYS = (30, 90, 180, 365)
"""Days at which cumulative incidence is tabled."""


@dataclass(frozen=True)
class FirstEvents:
    """The first adverse event of a grade in each patient.

    Attributes
    ----------
    grade : Grade
    censored_at : str or None
        The date at which follow-up ends: the end of treatment, or None for the last follow-up.
    days : ndarray, (n_patients,)
        Days to the event, to death or to the end of follow-up.
    event_days : ndarray, (n_events,)
        Days to the event, in the order of patients.
    curve, death : Curve
        Cumulative incidence of the event, and of death before it.
    """

    grade: Grade
    censored_at: CensoredAt | None
    days: Vector
    event_days: Vector
    curve: Curve
    death: Curve

    @property
    def median_day(self) -> float:
        """The median day of the event, among patients who had one."""
        return float(np.median(self.event_days))


@dataclass(frozen=True)
class IncidenceAtDay:
    """Cumulative incidence at one day.

    Attributes
    ----------
    grade, censored_at
        As of `FirstEvents`.
    day, at_risk : int
        The day, and the patients still followed on it without the event.
    incidence : IntervalEstimate
    died_before : float
        Share of patients who died without the event.
    """

    grade: Grade
    censored_at: CensoredAt | None
    day: int
    at_risk: int
    incidence: IntervalEstimate
    died_before: float


@dataclass(frozen=True)
class IncidenceResult:
    """First adverse events by grade, and by the date at which follow-up is censored.

    Attributes
    ----------
    refusal : str or None
        Why times to an event are not known, or None.
    first_events : tuple of FirstEvents
    by_day : tuple of IncidenceAtDay
    n : int
        All patients.
    treatment_end_known : bool
        Whether the cohort dates the end of treatment.
    """

    refusal: str | None
    first_events: tuple[FirstEvents, ...] = ()
    by_day: tuple[IncidenceAtDay, ...] = ()
    n: int = 0
    treatment_end_known: bool = False

    @property
    def to_last_follow_up(self) -> tuple[FirstEvents, ...]:
        """The first events by grade, censored at the last follow-up only."""
        return tuple(events for events in self.first_events if events.censored_at is None)


def incidence_result(cohort: Cohort, codes: Codes) -> IncidenceResult:
    """Return cumulative incidences by Aalen and Johansen's method, of patients at risk after day 0."""
    dates = cohort.labels.dates
    refusal = survival_exclusion_reason(cohort.manifest, cohort.labels, "time_to_toxicity_any")
    if refusal or dates is None:
        return IncidenceResult(refusal)
    treatment_end_known = "treatment_end" in dates
    censorings: list[CensoredAt | None] = [None, "treatment_end"] if treatment_end_known else [None]
    first_events = []
    for grade in GRADES:
        if not len(_times(cohort, codes, grade, None)):
            continue
        for censored_at in censorings:
            y = _times(cohort, codes, grade, censored_at)
            curve, death = aalen_johansen(y)
            first_events.append(FirstEvents(grade, censored_at, y[:, 0], y[y[:, 1] == EVENT, 0], curve, death))
    by_day = tuple(row for grade_events in first_events for row in _at_days(grade_events))
    return IncidenceResult(None, tuple(first_events), by_day, len(codes), treatment_end_known)


def _times(cohort: Cohort, codes: Codes, grade: Grade, censored_at: CensoredAt | None) -> Matrix:
    """Return the day and the event (none, adverse event, death) of each patient at risk, (n_patients, 2)."""
    frame = time_to_event(cohort.labels, f"time_to_toxicity_{grade}", pd.Index(codes), 0, censored_at)
    return frame.loc[frame["at_risk"] == "yes", ["time", "event"]].to_numpy(float)


def _at_days(events: FirstEvents) -> list[IncidenceAtDay]:
    rows = []
    for day in DAYS:
        share = events.curve.estimate_on(day, 0)
        if np.isfinite(share.value):
            at_risk, died = int((events.days >= day).sum()), events.death.estimate_on(day, 0).value
            rows.append(IncidenceAtDay(events.grade, events.censored_at, day, at_risk, share, died))
    return rows
