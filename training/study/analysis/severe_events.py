"""Patients with adverse events by grade, of all arms together and in each."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.cohort import Cohort
from training.study.analysis.adverse_events import GradeRates, grade_rates
from training.study.analysis.arm_comparison import RateByArm, adverse_events_by_arm
from training.study.analysis.rates import ExactRate, exact_rate
from training.study.codes import Codes

SEVERE = 3
"""The lowest severe CTCAE grade."""


@dataclass(frozen=True)
class GradeRatesByArm(GradeRates):
    """Patients by their worst CTCAE grade, and those with a severe event by arm.

    Attributes
    ----------
    n, at_least
        As of `GradeRates`, of all arms together.
    severe_by_arm : RateByArm or None
        Patients with an event of grade 3 or above; None without a control.
    worst_terms : tuple of str
        Terms of the events of the worst grade that any patient had, the most frequent first.
    serious : ExactRate or None
        Patients with a serious event; None where the cohort does not report seriousness.
    """

    severe_by_arm: RateByArm | None
    worst_terms: tuple[str, ...]
    serious: ExactRate | None

    @property
    def worst_grade(self) -> int:
        """The worst grade that any patient had; 0 without an event."""
        return sum(rate.events > 0 for rate in self.at_least)

    @property
    def severe(self) -> ExactRate:
        """Patients with an event of grade 3 or above."""
        return self.at_least[SEVERE - 1]


def grade_rates_by_arm(cohort: Cohort, events: pd.DataFrame, codes: Codes) -> GradeRatesByArm:
    """Return the rates of patients by worst grade; `events` as of `grade_rates`."""
    rates = grade_rates(events, len(codes))
    worst = events[events["grade"] == events["grade"].max()]
    is_serious = events["serious"].fillna(False).astype(bool)
    return GradeRatesByArm(
        n=rates.n,
        at_least=rates.at_least,
        severe_by_arm=adverse_events_by_arm(cohort, codes).get(SEVERE),
        worst_terms=tuple(worst.groupby("term")["patient"].nunique().sort_values(ascending=False, kind="stable").index),
        serious=exact_rate(events["patient"][is_serious].nunique(), rates.n)
        if events["serious"].notna().any()
        else None,
    )
