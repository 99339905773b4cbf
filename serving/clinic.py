"""The candidates of a clinic: the patients and visits of a cohort folder, as the models read them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from features.cohort import Cohort, read_cohort
from features.landmark import LandmarkSpec, landmark_table
from features.patient_course import PatientCourse, patient_courses
from features.settings import settings
from models.batch import cohort_donors, table_candidates
from models.donors import DonorStool
from models.patient_input import Candidate, EarlierVisit, Measurement

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
        Index in `visits` of the visit that predictions use by default: the last sample up to the earliest landmark, as
        in training, or the first visit where no sample is that early.
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
        Last day whose stool a prediction may use: the models' latest landmark, or the manifest's `clock.latest_sample`
        if that is earlier.
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


def read_clinic(cohort: str, landmarks: Sequence[float]) -> Clinic:
    """Read the patients of a cohort, those of unknown outcome included.

    Parameters
    ----------
    cohort : str
        Name of a manifest that Taxokine includes, or path of another.
    landmarks : sequence of float
        Landmarks of the models, on their clock: at each, a patient is joined as a training patient of that landmark.

    Raises
    ------
    TaxokineError
        The cohort cannot be read.
    """
    source = read_cohort(cohort, settings().data)
    clock, landmarks = source.manifest.clock, sorted(landmarks)
    courses = patient_courses(source)
    joined = [_joined_at(source, courses, landmark) for landmark in landmarks]
    visits: dict[str, list[Visit]] = {}
    default_visit: dict[str, int] = {}
    for sample, visit, patient in _visits(source, courses):
        patient_visits = visits.setdefault(patient, [])
        at_landmark = joined[0].get(patient)
        if at_landmark is not None and at_landmark.sample == sample:
            default_visit[patient] = len(patient_visits)
            visit = replace(visit, candidate=replace(at_landmark.candidate, day=visit.day))
        earlier = [
            EarlierVisit(landmark, by_patient[patient].candidate)
            for landmark, by_patient in zip(landmarks, joined, strict=True)
            if visit.day is not None and landmark <= visit.day and patient in by_patient
        ]
        label = visit.label or f"sample {len(patient_visits) + 1}"
        patient_visits.append(replace(visit, label=label, candidate=replace(visit.candidate, earlier=tuple(earlier))))
    last_landmark = landmarks[-1]
    return Clinic(
        name=source.name,
        title=source.manifest.title,
        clock=clock.name,
        last_day=last_landmark if clock.latest_sample is None else min(last_landmark, clock.latest_sample),
        simulated=source.manifest.simulated,
        patients={
            name: Patient(name, tuple(visits[name]), default_visit.get(name, 0), courses[name]) for name in visits
        },
        donors=cohort_donors(source),
    )


class _Joined(NamedTuple):
    """A patient as joined at a landmark, and the stool sample that represents the patient there."""

    sample: str
    candidate: Candidate


def _joined_at(source: Cohort, courses: Mapping[str, PatientCourse], landmark: float) -> dict[str, _Joined]:
    table = landmark_table(source, LandmarkSpec(landmark=landmark))
    rows = table.rows[["patient", "sample", "sample_day"]].itertuples(index=False)
    return {
        patient: _Joined(sample, candidate if math.isnan(day) else _with_draws(candidate, courses[patient], landmark))
        for (patient, sample, day), candidate in zip(rows, table_candidates(table), strict=True)
    }


def _visits(source: Cohort, courses: Mapping[str, PatientCourse]) -> Iterator[tuple[str, Visit, str]]:
    """Yield every stool sample of a patient as a visit, with its name and patient, in order of time."""
    # Without the manifest's limits, each visit is a row, also those that no model may be trained on.
    limits: dict[str, object] = {"clock": source.manifest.clock.model_copy(update={"latest_sample": None})}
    if source.manifest.samples.baseline_visit is not None:
        limits["samples"] = source.manifest.samples.model_copy(update={"baseline_visit": math.inf})
    cohort = replace(source, manifest=source.manifest.model_copy(update=limits))
    table = landmark_table(cohort, LandmarkSpec(landmark=_ALL_DAYS, window=2 * _ALL_DAYS, row_per="visit"))
    rows = table.rows[["patient", "sample", "sample_day", "visit"]].itertuples(index=False)
    for (patient, sample, day, number), candidate in zip(rows, table_candidates(table), strict=True):
        if math.isnan(day):
            label = "" if math.isnan(number) else f"visit {number:g}"
            yield sample, Visit(label, None, replace(candidate, day=None)), patient
        else:
            dated = replace(_with_draws(candidate, courses[patient], day), day=float(day))
            yield sample, Visit(f"day {day:g}".replace("-", "−"), float(day), dated), patient


def _with_draws(candidate: Candidate, course: PatientCourse, last_day: float) -> Candidate:
    """Return a candidate with the dated draws up to a day, from which models read changes over time."""
    return replace(candidate, serial=_draws_until(course, last_day), over_time={})


def _draws_until(course: PatientCourse, last_day: float) -> tuple[Measurement, ...]:
    """Return a patient's dated immune measurements up to a day."""
    return tuple(
        Measurement(series.analyte, item.reading, series.unit, item.day)
        for series in course.analytes
        for item in series.readings
        if item.day <= last_day
    )
