"""The clinic's own candidates: every patient and visit of a cohort folder, as the models read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from features.cohort import read_cohort
from features.landmark import LandmarkSpec, landmark_table
from features.settings import settings
from models.batch import table_candidates
from models.patient_input import Candidate

_EVER = 1e6
"""Days: no visit is earlier or later, so that a table up to this landmark holds every one."""


@dataclass(frozen=True)
class Visit:
    """One stool sample, with the blood and the clinical data that go with it.

    Attributes
    ----------
    label : str
        The sample's day on the clinic's clock, or its number.
    day : float or None
        None where the cohort does not date its samples.
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
        In the order of time; at least one.
    baseline : int
        The position of the visit that stands for the patient: what was known by the landmark, as in training; the first
        where nothing was.
    """

    id: str
    visits: tuple[Visit, ...]
    baseline: int


@dataclass(frozen=True)
class Clinic:
    """A cohort folder's patients.

    Attributes
    ----------
    name, title : str
    clock : str
        What days are counted from.
    latest : float
        The last day of what a patient is judged by: the models' landmark, or an earlier day after which the cohort's
        stool carries the treatment or the donor.
    simulated : bool
    patients : mapping of str to Patient
        By id, in the cohort's order.
    """

    name: str
    title: str
    clock: str
    latest: float
    simulated: bool
    patients: Mapping[str, Patient]


def read_clinic(cohort: str, landmark: float) -> Clinic:
    """Read a cohort's patients, those of unknown outcome included.

    Parameters
    ----------
    cohort : str
        The name of a shipped manifest, or the path of one.
    landmark : float
        The models' last day of measurements.

    Raises
    ------
    TaxokineError
        As reading a cohort raises.
    """
    read = read_cohort(cohort, settings().data)
    clock = read.manifest.clock
    judged = landmark_table(read, LandmarkSpec(landmark=landmark))
    at_landmark = dict(zip(judged.rows["sample"], table_candidates(judged), strict=True))
    # Each visit is a row, also those that no model may learn from.
    open_ended = clock.model_copy(update={"latest_sample": None})
    everything = replace(read, manifest=read.manifest.model_copy(update={"clock": open_ended}))
    table = landmark_table(everything, LandmarkSpec(landmark=_EVER, window=2 * _EVER, row_per="visit"))
    visits: dict[str, list[Visit]] = {}
    baseline: dict[str, int] = {}
    rows = table.rows[["patient", "sample", "sample_day", "visit"]].itertuples(index=False)
    for (patient, sample, day, number), candidate in zip(rows, table_candidates(table), strict=True):
        seen, dated = visits.setdefault(patient, []), not math.isnan(day)
        if sample in at_landmark:
            baseline[patient] = len(seen)
        label = f"day {day:g}" if dated else f"sample {len(seen) + 1}" if math.isnan(number) else f"visit {number:g}"
        seen.append(Visit(label, float(day) if dated else None, at_landmark.get(sample, candidate)))
    return Clinic(
        name=read.name,
        title=read.manifest.title,
        clock=clock.name,
        latest=landmark if clock.latest_sample is None else min(landmark, clock.latest_sample),
        simulated=read.manifest.simulated,
        patients={name: Patient(name, tuple(seen), baseline.get(name, 0)) for name, seen in visits.items()},
    )
