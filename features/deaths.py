"""Patients who died, and the progression recorded before."""

from __future__ import annotations

import pandas as pd

from features.cohort import Cohort

PROGRESSIONS = ("PD", "iUPD", "iCPD")
"""Responses of an assessment that are progression, confirmed or not."""


def deaths(cohort: Cohort) -> pd.DataFrame | None:
    """Return the patients who died, by patient; None where the cohort does not date deaths.

    Returns
    -------
    pandas.DataFrame
        `day` of death; `cause`, "tumour", "treatment", "other" or "" where not reported; `progression`, the day of the
        first progression recorded before death, NaN without one; `followed`, whether the patient's progression-free
        survival is known, or a tumour assessment after day 0.
    """
    dates, causes = cohort.labels.dates, cohort.labels.cause_of_death
    if dates is None or "overall_survival_event" not in dates:
        return None
    dead = dates[dates["overall_survival_event"].eq(True).fillna(False)]
    day, unknown = dead["overall_survival"], pd.Series(float("nan"), dead.index)
    progression_free = dead.get("progression_free_survival", unknown)
    progressed = dead.get("progression_free_survival_event", unknown).eq(True).fillna(False)
    assessments = cohort.course.assessments
    later = assessments[
        (assessments["day"] > 0) & (assessments["day"] <= assessments["patient"].map(day).astype(float))
    ]
    assessed = later[later["response"].isin(PROGRESSIONS)].groupby("patient")["day"].min().reindex(dead.index)
    recorded = progression_free.where(progressed & (progression_free < day))
    return pd.DataFrame(
        {
            "day": day,
            "cause": "" if causes is None else causes.reindex(dead.index).fillna(""),
            "progression": pd.concat([recorded, assessed], axis=1).min(axis=1),
            "followed": progression_free.notna() | dead.index.isin(later["patient"]),
        },
        index=dead.index,
    )
