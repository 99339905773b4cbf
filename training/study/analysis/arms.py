"""The arms of a trial, and whether one of them is a comparator."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from features.cohort import Cohort
from features.donors import donor_samples_given
from training.study.analysis.covariates import characteristic


def arms(cohort: Cohort) -> pd.Series[str]:
    """Return the arm of each patient in whom it is known, by patient.

    It is empty in a cohort whose manifest states neither `patients.arms` nor a covariate `arm`.
    """
    patients = cohort.manifest.patients
    if patients is None or patients.arms is not None or "arm" not in patients.covariates:
        return cohort.arm
    return characteristic(cohort.characteristics, "arm", patients.covariates["arm"]).dropna().astype("str")


def is_treated(cohort: Cohort) -> pd.Series[bool]:
    """Return whether each patient was assigned to an arm with FMT, by patient, in the order of the sheet.

    A sham transplant, of placebo or autologous stool, is a control. It is empty where the manifest states no
    `patients.arms`.
    """
    roles = {} if cohort.manifest.arms is None else cohort.manifest.arms.roles
    return cohort.arm.map(lambda name: roles[name] == "fmt_ici").astype(bool)


def donor_clusters(cohort: Cohort) -> pd.Series[int]:
    """Return the cluster of each patient with an arm: recipients who share a donor are one, each other patient is one.

    Patients of an arm without FMT are clusters of their own, since an autologous transplant shares no donor.
    """
    received, treated = donor_samples_given(cohort), is_treated(cohort)
    donors = [set(received.get(str(name), {})) if is_fmt else set() for name, is_fmt in treated.items()]
    names = sorted(set().union(*donors))
    member = np.zeros((len(donors), len(names)), dtype=int)
    for row, subjects in enumerate(donors):
        member[row, [names.index(name) for name in subjects]] = 1
    _, cluster = connected_components(member @ member.T, directed=False)
    return pd.Series(cluster, index=treated.index)


def has_several_arms(cohort: Cohort) -> bool:
    """Return whether at least two arms have two patients each."""
    return bool(arms(cohort).value_counts().gt(1).sum() > 1)


def compares_arms(cohort: Cohort) -> bool:
    """Return whether the report compares arms: the manifest states their roles, and one of them is a control."""
    return has_comparator(cohort) and len(is_treated(cohort)) > 0


def has_comparator(cohort: Cohort) -> bool:
    """Return whether one of several arms is a control: by its stated role, else since none of it received FMT.

    Without roles and without any record of FMT, several arms are enough.
    """
    treated = is_treated(cohort)
    if len(treated):
        return min(int(treated.sum()), int((~treated).sum())) > 1
    recipients = set(donor_samples_given(cohort)) | set(cohort.course.transplants["patient"])
    arm = arms(cohort)
    arm = arm[arm.map(arm.value_counts()) > 1]
    untreated = pd.Series(~arm.index.isin(recipients)).groupby(arm.to_numpy()).all()
    return has_several_arms(cohort) and (not recipients or bool(untreated.any()))
