"""Overall and progression-free survival of all patients together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from features.arrays import Mask, Vector
from features.cohort import Cohort
from features.outcomes import DAYS_PER_MONTH
from features.survival import EVENT, survival_exclusion_reason, time_to_event
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.survival_curves import Curve, beta_product, kaplan_meier, median_survival
from training.study.analysis.arms import compares_arms, has_several_arms
from training.study.codes import Codes

Outcome = Literal["overall_survival", "progression_free_survival"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
MONTHS = (3, 6, 12, 24, 36, 48, 60)
"""Months at which survival is tabled."""


@dataclass(frozen=True)
class SurvivalAtMonth:
    """Survival at one time: the month, the patients still at risk, and the share alive with its 95% interval."""

    month: int
    at_risk: int
    share: IntervalEstimate


@dataclass(frozen=True)
class OutcomeSurvival:
    """Survival by one outcome, of patients whose time is known.

    Attributes
    ----------
    outcome : Outcome
    days : ndarray, (n_patients,)
        Days from day 0 to the event or to the end of follow-up.
    event : ndarray of bool, (n_patients,)
    unknown : int
        Patients whose time is not known.
    curve : Curve
        Kaplan-Meier by day, with intervals by the beta product confidence procedure.
    median, follow_up : IntervalEstimate
        Median survival, and median follow-up by reverse Kaplan-Meier, in days.
    at_months : tuple of SurvivalAtMonth
        At `MONTHS`, while any patient is followed.
    """

    outcome: Outcome
    days: Vector
    event: Mask
    unknown: int
    curve: Curve
    median: IntervalEstimate
    follow_up: IntervalEstimate
    at_months: tuple[SurvivalAtMonth, ...]

    @property
    def n(self) -> int:
        """Patients whose time is known."""
        return self.days.size

    @property
    def events(self) -> int:
        """Patients who had the event."""
        return int(self.event.sum())

    @property
    def times(self) -> list[tuple[float, bool]]:
        """Days and whether they end with the event, of each patient, by days; events before censored times."""
        order = np.lexsort((~self.event, self.days))
        return [(float(self.days[index]), bool(self.event[index])) for index in order]


@dataclass(frozen=True)
class SurvivalByOutcome:
    """Survival of a cohort, by each outcome whose times are known.

    Attributes
    ----------
    outcomes : tuple of OutcomeSurvival
    excluded : dict of str to (str or None)
        Outcomes without survival, each with the reason, or None where no patient's time is known.
    has_several_arms : bool
    arms_compared : bool
        Whether the section of the arms compares survival.
    """

    outcomes: tuple[OutcomeSurvival, ...]
    excluded: dict[Outcome, str | None]
    has_several_arms: bool
    arms_compared: bool


def survival_result(cohort: Cohort, codes: Codes) -> SurvivalByOutcome:
    """Return survival of all patients by outcome, from day 0."""
    outcomes: list[OutcomeSurvival] = []
    excluded: dict[Outcome, str | None] = {}
    for outcome in OUTCOMES:
        reason = survival_exclusion_reason(cohort.manifest, cohort.labels, outcome)
        if reason:
            excluded[outcome] = reason
            continue
        times = time_to_event(cohort.labels, outcome, pd.Index(codes), 0).dropna(subset=["time"])
        if times.empty:
            excluded[outcome] = None
            continue
        days, event = times["time"].to_numpy(float), (times["event"] == EVENT).to_numpy()
        outcomes.append(outcome_survival(outcome, days, event, len(codes) - days.size))
    return SurvivalByOutcome(tuple(outcomes), excluded, has_several_arms(cohort), compares_arms(cohort))


def outcome_survival(outcome: Outcome, days: Vector, event: Mask, unknown: int = 0) -> OutcomeSurvival:
    """Return survival by one outcome, with its estimates; parameters as the fields of `OutcomeSurvival`."""
    curve = beta_product(days, event)
    estimates = {month: curve.estimate_on(month * DAYS_PER_MONTH, 1) for month in MONTHS}
    return OutcomeSurvival(
        outcome=outcome,
        days=days,
        event=event,
        unknown=unknown,
        curve=curve,
        median=median_survival(kaplan_meier(days, event)),
        follow_up=median_survival(kaplan_meier(days, ~event)),
        at_months=tuple(
            SurvivalAtMonth(month, int((days >= month * DAYS_PER_MONTH).sum()), share)
            for month, share in estimates.items()
            if np.isfinite(share.value)
        ),
    )
