"""The candidates of a clinic: the patients and visits of a cohort folder, as the models read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from features.cohort import read_cohort
from features.landmark import LandmarkSpec, landmark_table
from features.patient_course import PatientCourse, patient_courses
from features.settings import settings
from models.batch import cohort_donors, table_candidates
from models.donors import DonorStool
from models.patient_input import Candidate, Measurement

_ALL_DAYS = 1e6
"""Landmark and window, in days, so large that no visit is excluded."""


@dataclass(frozen=True)
class Visit:
    """One stool sample with the blood and clinical data of the same visit.

    Attributes
    ----------
    label : str
        Day of the sample on the cohort's clock, or the number of the visit or sample.
    day : float or None
        Day of the sample; None where the cohort does not report days.
    candidate : Candidate
    """

    label: str
    day: float | None
    candidate: Candidate


@dataclass(frozen=True)
class Patient:
    """A candidate patient.

    Attributes
    ----------
    id : str
    visits : tuple of Visit
        In order of time; at least one.
    default_visit : int
        Index in `visits` of the visit that predictions use by default: the last sample up to the landmark, as in
        training, or the first visit where no sample is that early.
    course : PatientCourse
        Treatments, and distance to the own donor and immune markers over time.
    """

    id: str
    visits: tuple[Visit, ...]
    default_visit: int
    course: PatientCourse


@dataclass(frozen=True)
class Clinic:
    """The patients of a cohort folder.

    Attributes
    ----------
    name, title : str
    clock : str
        Name of the clock on which days are counted, such as day_ici.
    last_day : float
        Last day whose stool a prediction may use: the models' landmark, or the manifest's `clock.latest_sample` if that
        is earlier.
    simulated : bool
    patients : mapping of str to Patient
        By id, in the order of the cohort's files.
    donors : tuple of DonorStool
        The cohort's donors with stool, with the result of their screening.
    """

    name: str
    title: str
    clock: str
    last_day: float
    simulated: bool
    patients: Mapping[str, Patient]
    donors: tuple[DonorStool, ...]


def read_clinic(cohort: str, landmark: float) -> Clinic:
    """Read the patients of a cohort, those of unknown outcome included.

    Parameters
    ----------
    cohort : str
        Name of a manifest that Taxokine includes, or path of another.
    landmark : float
        Last day, on the models' clock, on which a measurement may enter.

    Raises
    ------
    TaxokineError
        The cohort cannot be read.
    """
    source = read_cohort(cohort, settings().data)
    clock = source.manifest.clock
    landmark_rows = landmark_table(source, LandmarkSpec(landmark=landmark))
    at_landmark = dict(zip(landmark_rows.rows["sample"], table_candidates(landmark_rows), strict=True))
    # Without the manifest's limits, each visit is a row, also those that no model may be trained on.
    limits: dict[str, object] = {"clock": clock.model_copy(update={"latest_sample": None})}
    if source.manifest.samples.baseline_visit is not None:
        limits["samples"] = source.manifest.samples.model_copy(update={"baseline_visit": math.inf})
    all_visits_cohort = replace(source, manifest=source.manifest.model_copy(update=limits))
    table = landmark_table(all_visits_cohort, LandmarkSpec(landmark=_ALL_DAYS, window=2 * _ALL_DAYS, row_per="visit"))
    courses = patient_courses(source)
    visits: dict[str, list[Visit]] = {}
    default_visit: dict[str, int] = {}
    rows = table.rows[["patient", "sample", "sample_day", "visit"]].itertuples(index=False)
    for (patient, sample, day, number), candidate in zip(rows, table_candidates(table), strict=True):
        patient_visits, has_day = visits.setdefault(patient, []), not math.isnan(day)
        if sample in at_landmark:
            default_visit[patient] = len(patient_visits)
        if has_day:
            label = f"day {day:g}"
        else:
            label = f"sample {len(patient_visits) + 1}" if math.isnan(number) else f"visit {number:g}"
        visit_candidate = at_landmark.get(sample, candidate)
        if has_day:
            draws = _draws_until(courses[patient], day if sample not in at_landmark else max(day, landmark))
            visit_candidate = replace(visit_candidate, serial=draws, over_time={})
        patient_visits.append(Visit(label, float(day) if has_day else None, visit_candidate))
    return Clinic(
        name=source.name,
        title=source.manifest.title,
        clock=clock.name,
        last_day=landmark if clock.latest_sample is None else min(landmark, clock.latest_sample),
        simulated=source.manifest.simulated,
        patients={
            name: Patient(name, tuple(visits[name]), default_visit.get(name, 0), courses[name]) for name in visits
        },
        donors=cohort_donors(source),
    )


def _draws_until(course: PatientCourse, last_day: float) -> tuple[Measurement, ...]:
    """Return a patient's dated immune measurements up to a day, from which models read changes over time."""
    return tuple(
        Measurement(series.analyte, item.reading, series.unit, item.day)
        for series in course.analytes
        for item in series.readings
        if item.day <= last_day
    )
