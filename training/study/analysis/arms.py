"""The arms of a trial, and whether one of them is a comparator."""

from __future__ import annotations

import pandas as pd

from features.cohort import Cohort
from features.donors import donor_samples_given
from training.study.analysis.covariates import characteristic


def arms(cohort: Cohort) -> pd.Series[str]:
    """Return the arm of each patient in whom it is known, by patient; empty without an `arm` in the covariates."""
    patients = cohort.manifest.patients
    if patients is None or "arm" not in patients.covariates:
        return pd.Series(dtype="str")
    return characteristic(cohort.characteristics, "arm", patients.covariates["arm"]).dropna().astype("str")


def has_several_arms(cohort: Cohort) -> bool:
    """Return whether at least two arms have two patients each."""
    return bool(arms(cohort).value_counts().gt(1).sum() > 1)


def has_comparator(cohort: Cohort) -> bool:
    """Return whether one of several arms received no FMT; without any record of FMT, several arms are enough."""
    recipients = set(donor_samples_given(cohort)) | set(cohort.course.transplants["patient"])
    arm = arms(cohort)
    arm = arm[arm.map(arm.value_counts()) > 1]
    untreated = pd.Series(~arm.index.isin(recipients)).groupby(arm.to_numpy()).all()
    return has_several_arms(cohort) and (not recipients or bool(untreated.any()))
