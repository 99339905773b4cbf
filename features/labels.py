"""A cohort's outcomes by patient: labels, dated adverse events and survival."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from features.outcomes import OUTCOME_IDS, is_toxicity, lowest_grade


@dataclass(frozen=True)
class AdverseEvents:
    """Dated, graded adverse events.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per event: `patient`, `term`, `grade` (1 to 5), `day`, `attribution` ("FMT", "ICI", "disease" or ""),
        `serious` (nullable boolean) and `organism` (or "").
    first_counted_day : float
        The first day on which an event counts, as the manifest states it.
    """

    frame: pd.DataFrame
    first_counted_day: float

    def first_event_day(self, outcome: str, patients: pd.Index[str]) -> pd.Series[float]:
        """Return the day of each patient's first event of the grade of an outcome of toxicity; NaN without one."""
        is_late_enough = self.frame["day"] >= self.first_counted_day
        events = self.frame[is_late_enough & (self.frame["grade"] >= lowest_grade(outcome))]
        return events.groupby("patient")["day"].min().reindex(patients)


class LabelAndRisk(NamedTuple):
    """An outcome at a landmark, by patient.

    Attributes
    ----------
    label : pandas.Series
        Nullable boolean; NA is unknown, and never "no".
    at_risk : pandas.Series
        Whether a first event can still occur after the landmark: "yes", "no", or "unknown" where the cohort does not
        date the outcome.
    """

    label: pd.Series[bool]
    at_risk: pd.Series[str]


@dataclass(frozen=True)
class OutcomeLabels:
    """A cohort's outcomes.

    Attributes
    ----------
    label_by_outcome : mapping of str to pandas.Series
        For each outcome that the cohort reports as a column, or that follows from RECIST: True, False or NA by patient.
    events : AdverseEvents or None
        Dated events, from which toxicity is counted after the landmark.
    dates : pandas.DataFrame or None
        By patient, days on the cohort's clock under the names of the manifest's `survival`; for its events also, under
        the name with `_event`, whether the event happened on that day (True) or the patient was last known to be
        without it (False).
    progression_free : mapping of int to pandas.Series
        For each number of months that the cohort reports, whether patients were free of progression; for audits.
    recist : pandas.Series or None
        Each patient's best overall response, CR, PR, SD or PD, NaN where unknown; for the study report.
    cause_of_death : pandas.Series or None
        "tumour", "treatment" or "other" by patient, "" where unknown or alive; for the study report.
    """

    label_by_outcome: Mapping[str, pd.Series[bool]]
    events: AdverseEvents | None
    dates: pd.DataFrame | None = None
    progression_free: Mapping[int, pd.Series[bool]] = field(default_factory=dict)
    recist: pd.Series[str] | None = None
    cause_of_death: pd.Series[str] | None = None

    @property
    def reported_outcomes(self) -> tuple[str, ...]:
        """The outcomes, of `OUTCOME_IDS`, that the cohort reports."""
        return tuple(
            name for name in OUTCOME_IDS if name in self.label_by_outcome or (self.events and is_toxicity(name))
        )

    @property
    def follow_up_is_dated(self) -> bool:
        """Whether the cohort dates the end of patients' follow-up."""
        return self.dates is not None and bool({"last_follow_up", "overall_survival"} & set(self.dates.columns))

    def at_landmark(
        self, outcome: str, patients: pd.Index[str], landmark: float, by_day: float | None
    ) -> LabelAndRisk | None:
        """Return an outcome at the landmark; None where the cohort does not report it.

        Parameters
        ----------
        outcome : str
            One of `OUTCOME_IDS`.
        patients : pandas.Index
        landmark : float
            A patient with an event on or before this day is no longer at risk of a first one.
        by_day : float, optional
            Last day on which a dated event counts. A patient without one, alive and followed for a shorter or unknown
            time, is unknown; where the cohort dates no follow-up, it is presumed to reach this day.
        """
        if outcome in self.label_by_outcome:
            return LabelAndRisk(self.label_by_outcome[outcome].reindex(patients), pd.Series("unknown", index=patients))
        if self.events is None or not is_toxicity(outcome):
            return None
        event_day = self.events.first_event_day(outcome, patients)
        at_risk = (event_day.isna() | (event_day > landmark)).map({True: "yes", False: "no"})
        label = (event_day > landmark) & (event_day <= (np.inf if by_day is None else by_day))
        is_known = (at_risk == "yes") & (label | self._is_followed(landmark, by_day, patients))
        return LabelAndRisk(label.where(is_known).astype("boolean"), at_risk)

    def _is_followed(self, landmark: float, by_day: float | None, patients: pd.Index[str]) -> pd.Series[bool]:
        """Return whose follow-up goes beyond the landmark, and up to a day or to death; all where it is not dated."""
        if self.dates is None or not self.follow_up_is_dated:
            return pd.Series(True, index=patients)
        dates = self.dates.reindex(
            index=patients, columns=["last_follow_up", "overall_survival", "overall_survival_event"]
        )
        end = dates["overall_survival"].astype(float)
        last_day = dates["last_follow_up"].astype(float).fillna(end)
        if by_day is None:
            return ~(last_day <= landmark)
        is_death = dates["overall_survival_event"].astype("boolean").fillna(False).astype(bool)
        # Times in months are no whole days.
        is_whole = (last_day >= by_day) | (is_death & (last_day.round() >= end.round()))
        return (last_day > landmark) & is_whole
