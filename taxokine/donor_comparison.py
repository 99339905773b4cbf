"""Donors of a cohort compared for one of its patients, with the registered models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from features.cohort import read_cohort
from features.donors import donor_samples_given
from features.errors import InputError, ModelMissing
from features.landmark import LandmarkSpec, landmark_table
from features.settings import settings
from models.batch import cohort_donors, table_candidates
from models.donors import DonorComparison, compare_donors
from models.engraftment_registry import find_engraftment
from models.evidence import Evidence
from models.predict import every_model
from models.registry import served_models


class CohortComparison(NamedTuple):
    """A comparison of a cohort's donors, with what a reader must know of the cohort and of the models.

    `evidence` is that of the outcome models, by name and version.
    """

    comparison: DonorComparison
    cautions: tuple[str, ...]
    evidence: Mapping[tuple[str, str], Evidence]


def compare_cohort_donors(name: str, patient: str, landmark: float | None = None) -> CohortComparison:
    """Compare a cohort's donors for one of its patients.

    Parameters
    ----------
    name : str
        Name or path of a manifest.
    patient : str
    landmark : float, optional
        Last day of the patient's measurements that enter; by default the earliest landmark of the served models, as on
        the server's page, or day 0 where none is served.

    Raises
    ------
    InputError
        The cohort has no such patient with stool by the landmark, or profiles were made by different profilers.
    ModelMissing
        No engraftment model is registered.
    """
    bundle = find_engraftment().bundle
    try:
        models = served_models()
    except ModelMissing:
        models = {}
    if landmark is None:
        landmark = min((served.model.evidence.landmark for served in every_model(models)), default=0.0)
    cohort = read_cohort(name, settings().data)
    table = landmark_table(cohort, LandmarkSpec(landmark=landmark))
    patients = table.rows["patient"].tolist()
    if patient not in patients:
        raise InputError(
            f"{cohort.name} has no patient {patient!r} with stool by day {landmark:g}; it has {', '.join(patients[:8])}"
            + (" and others" if len(patients) > 8 else "")
        )
    candidate = next(table_candidates(table.take(np.array([patients.index(patient)]))))
    cautions: tuple[str, ...] = ()
    if cohort.name in bundle.evidence.cohorts:
        cautions = (f"the engraftment model was trained on {cohort.name}: what it expects here does not test it",)
    if donors_given := donor_samples_given(cohort).get(patient):
        cautions += (f"retrospective: {patient} received stool of {', '.join(donors_given)}",)
    evidence = {(served.name, served.version): served.model.evidence for served in every_model(models)}
    return CohortComparison(compare_donors(bundle, models, candidate, cohort_donors(cohort)), cautions, evidence)
