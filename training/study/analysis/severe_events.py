"""Patients with adverse events by grade, of all arms together and in each."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.cohort import Cohort
from training.study.analysis.adverse_events import GradeRates, grade_rates
from training.study.analysis.arm_comparison import RateByArm, adverse_events_by_arm
from training.study.analysis.rates import ExactRate
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
    """

    severe_by_arm: RateByArm | None

    @property
    def severe(self) -> ExactRate:
        """Patients with an event of grade 3 or above."""
        return self.at_least[SEVERE - 1]


def grade_rates_by_arm(cohort: Cohort, events: pd.DataFrame, codes: Codes) -> GradeRatesByArm:
    """Return the rates of patients by worst grade; `events` as of `grade_rates`."""
    rates = grade_rates(events, len(codes))
    return GradeRatesByArm(rates.n, rates.at_least, adverse_events_by_arm(cohort, codes).get(SEVERE))
