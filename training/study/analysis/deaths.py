"""Each patient's death: its day and cause, and the last that is recorded of the tumour before."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from features.cohort import Cohort
from features.deaths import deaths
from training.study.analysis.arms import compares_arms
from training.study.codes import Codes


@dataclass(frozen=True)
class Death:
    """The death of one patient.

    Attributes
    ----------
    patient : str
        The code.
    day : float
    cause : str
        "tumour", "treatment", "other" or "" (not reported).
    progression : float
        Day of the first progression recorded before; NaN without one.
    followed : bool
        Whether progression would have been recorded.
    response : str
        That of the last assessment up to the day of death; "" without one.
    response_day : float
    """

    patient: str
    day: float
    cause: str
    progression: float
    followed: bool
    response: str
    response_day: float


@dataclass(frozen=True)
class DeathResults:
    """The deaths of a cohort.

    Attributes
    ----------
    deaths : tuple of Death
        In the order of codes.
    n : int
        Patients of whom it is known whether they died.
    arms_compared : bool
        Whether the report compares arms, which these are together.
    """

    deaths: tuple[Death, ...]
    n: int
    arms_compared: bool

    @property
    def by_cause(self) -> dict[str, int]:
        """Deaths by cause, the most frequent first; empty where no cause is reported."""
        causes = Counter(death.cause for death in self.deaths)
        return dict(causes.most_common()) if any(causes) else {}

    @property
    def without_progression(self) -> tuple[str, ...]:
        """Codes of the patients who were followed for progression, and died with none recorded."""
        return tuple(death.patient for death in self.deaths if death.followed and pd.isna(death.progression))


def death_results(cohort: Cohort, codes: Codes) -> DeathResults | None:
    """Return the deaths of a cohort; None where it does not date deaths."""
    dead, dates = deaths(cohort), cohort.labels.dates
    if dead is None or dates is None:
        return None
    n = int(dates["overall_survival_event"].reindex(list(codes)).notna().sum())
    assessments = cohort.course.assessments
    assessments = assessments[(assessments["day"] > 0) & (assessments["response"] != "")]
    dead = dead.loc[[patient for patient in codes if patient in dead.index]]
    columns = (dead[name].tolist() for name in ("day", "cause", "progression", "followed"))
    rows = []
    for patient, day, *record in zip(dead.index, *columns, strict=True):
        scans = assessments[(assessments["patient"] == patient) & (assessments["day"] <= day)]
        assessment = ("", float("nan")) if scans.empty else scans.iloc[-1][["response", "day"]]
        rows.append(Death(codes[patient], day, *record, *assessment))
    return DeathResults(tuple(rows), n, compares_arms(cohort))
