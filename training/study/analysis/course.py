"""Patients' courses: their transplants, and how long each was followed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.cohort import Cohort
from features.donors import donor_samples_given
from training.study.codes import Codes


def transplants(cohort: Cohort) -> pd.DataFrame:
    """Return the transplants: as the course has them, else as the samples' sheet says whose stool was given.

    Returns
    -------
    pandas.DataFrame
        `patient`, `day` (0 where the clock's day 0 is the transplant, else NaN), `donor`, and what the course tells.
    """
    told = cohort.course.transplants
    if not told.empty:
        return told
    given = [(patient, donor) for patient, donors in donor_samples_given(cohort).items() for donor in donors]
    day = 0.0 if cohort.manifest.clock.name == "day_fmt" else np.nan
    return pd.DataFrame(given, columns=["patient", "donor"]).assign(day=day)


def last_days(cohort: Cohort, codes: Codes) -> pd.Series[float]:
    """Return the last day known of each patient: of follow-up, and where that is not dated, of any record."""
    course, blood = cohort.course, cohort.manifest.immune
    frames = [cohort.samples, course.transplants, course.cycles, course.assessments, course.measures]
    if cohort.labels.events is not None:
        frames.append(cohort.labels.events.frame)
    if cohort.immune is not None and blood is not None and blood.day is not None:
        rows = cohort.immune.rows
        frames.append(pd.DataFrame({"patient": rows[blood.patient], "day": pd.to_numeric(rows[blood.day])}))
    days = pd.concat([frame[["patient", "day"]] for frame in frames if not frame.empty], ignore_index=True)
    recorded = days.groupby("patient")["day"].max().reindex(list(codes))
    dates = cohort.labels.dates
    if dates is None:
        return recorded
    for name in ("last_follow_up", "overall_survival"):
        if name in dates:
            recorded = dates[name].reindex(list(codes)).fillna(recorded)
    return recorded
