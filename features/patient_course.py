"""The course of each patient: treatments, distance to the own donor and immune markers over time.

Pages show it beside the predictions; no model reads it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from features.cohort import Cohort
from features.donors import donor_samples_given
from features.measured_values import MeasuredValue
from features.units import ImmuneUnit

EventKind = Literal["transplant", "cycle", "assessment"]
MedicationKind = Literal["antibiotic", "steroid", "ppi", "other"]


@dataclass(frozen=True)
class TreatmentEvent:
    """One transplant, dose of an immune checkpoint inhibitor, or assessment of the tumour; `label` says which."""

    kind: EventKind
    day: float
    label: str


@dataclass(frozen=True)
class MedicationPeriod:
    """One medication; a day is None where it is unknown, or the medication continues."""

    kind: MedicationKind
    name: str
    start: float | None
    end: float | None


@dataclass(frozen=True)
class SampleDonorDistance:
    """Bray-Curtis dissimilarity of one stool sample, 0 to 1.

    Attributes
    ----------
    day : float
    to_own_donors : float
        Mean to the samples of the patient's donors.
    to_unrelated : float or None
        Mean to the other donors; None where there are none.
    """

    day: float
    to_own_donors: float
    to_unrelated: float | None


@dataclass(frozen=True)
class SerialReading:
    """One measurement of an analyte, in the unit of its series."""

    day: float
    reading: MeasuredValue


@dataclass(frozen=True)
class AnalyteSeries:
    """The measurements of one analyte in one patient, by day.

    Attributes
    ----------
    analyte : str
        Canonical name.
    unit : ImmuneUnit
    readings : tuple of SerialReading
    lower_limit, upper_limit : float or None
        Limits of quantification that the cohort states.
    """

    analyte: str
    unit: ImmuneUnit
    readings: tuple[SerialReading, ...]
    lower_limit: float | None
    upper_limit: float | None


@dataclass(frozen=True)
class PatientCourse:
    """What happened to one patient, in days on the cohort's clock.

    Attributes
    ----------
    donors : tuple of str
        Donors whose stool the patient received.
    events : tuple of TreatmentEvent
        By day.
    medications : tuple of MedicationPeriod
    distances : tuple of SampleDonorDistance
        By day; empty without a known donor who has a sample.
    analytes : tuple of AnalyteSeries
        By name.
    """

    donors: tuple[str, ...] = ()
    events: tuple[TreatmentEvent, ...] = ()
    medications: tuple[MedicationPeriod, ...] = ()
    distances: tuple[SampleDonorDistance, ...] = ()
    analytes: tuple[AnalyteSeries, ...] = ()

    @property
    def received_transplant(self) -> bool:
        """Whether the patient received a transplant."""
        return bool(self.donors) or any(event.kind == "transplant" for event in self.events)


def patient_courses(cohort: Cohort) -> dict[str, PatientCourse]:
    """Return the course of each patient with a stool sample, by patient."""
    donors = {patient: tuple(samples) for patient, samples in donor_samples_given(cohort).items()}
    events, medications = _events(cohort), _medications(cohort)
    distances, analytes = _donor_distances(cohort), _analyte_series(cohort)
    return {
        patient: PatientCourse(
            donors.get(patient, ()),
            tuple(sorted(events[patient], key=lambda event: event.day)),
            tuple(medications[patient]),
            tuple(distances[patient]),
            tuple(analytes[patient]),
        )
        for patient in cohort.samples.loc[~cohort.samples["donor"], "patient"].unique()
    }


def _events(cohort: Cohort) -> defaultdict[str, list[TreatmentEvent]]:
    events: defaultdict[str, list[TreatmentEvent]] = defaultdict(list)
    course = cohort.course
    transplants = course.transplants[["patient", "day", "donor", "batch", "dose", "unit", "route"]]
    for patient, day, donor, batch, dose, unit, route in transplants.to_numpy(object).tolist():
        amount = "" if math.isnan(dose) else f"{dose:g} {unit}".strip()
        parts = [f"donor {donor}" if donor else "", f"batch {batch}" if batch else "", amount, route]
        events[patient].append(TreatmentEvent("transplant", day, ", ".join(filter(None, parts))))
    for patient, day, drug in course.cycles[["patient", "day", "drug"]].to_numpy(object).tolist():
        events[patient].append(TreatmentEvent("cycle", day, drug))
    assessments = course.assessments[["patient", "day", "response", "sum_mm"]]
    for patient, day, response, sum_mm in assessments.to_numpy(object).tolist():
        size = "" if math.isnan(sum_mm) else f"target lesions {sum_mm:g} mm"
        events[patient].append(TreatmentEvent("assessment", day, ", ".join(filter(None, [response, size]))))
    return events


def _medications(cohort: Cohort) -> defaultdict[str, list[MedicationPeriod]]:
    medications: defaultdict[str, list[MedicationPeriod]] = defaultdict(list)
    rows = cohort.course.medications[["patient", "kind", "name", "start", "end"]]
    for patient, kind, name, start, end in rows.to_numpy(object).tolist():
        medications[patient].append(MedicationPeriod(kind, name, _reported_day(start), _reported_day(end)))
    return medications


def _reported_day(day: float) -> float | None:
    return None if math.isnan(day) else day


def _donor_distances(cohort: Cohort) -> defaultdict[str, list[SampleDonorDistance]]:
    """Return the distances of each patient's dated samples to the donors' samples, by patient and day.

    Where it is known which of a donor's samples a patient received, these count, else all of the donor's.

    References
    ----------
    Bray and Curtis 1957, Ecological Monographs 27:325-349.
    """
    distances: defaultdict[str, list[SampleDonorDistance]] = defaultdict(list)
    samples, donors = cohort.samples, cohort.donor_samples
    dated = samples[~samples["donor"] & samples["day"].notna()].sort_values("day", kind="stable")
    if donors.empty or dated.empty:
        return distances
    proportions = cohort.taxa.proportions().values
    matrix = cdist(proportions[dated.index], proportions[donors.index], "braycurtis")
    samples_given = donor_samples_given(cohort)
    column = {position: i for i, position in enumerate(donors.index)}
    for row, patient, day in zip(matrix, dated["patient"], dated["day"], strict=True):
        own_donors = samples_given.get(patient, {})
        is_own = donors["patient"].isin(own_donors.keys()).to_numpy()
        sample_columns = [column[position] for positions in own_donors.values() for position in positions]
        if not is_own.any() or np.isnan(row).any():
            continue
        own_distances = row[sample_columns] if sample_columns else row[is_own]
        unrelated = None if is_own.all() else float(row[~is_own].mean())
        distances[patient].append(SampleDonorDistance(float(day), float(own_distances.mean()), unrelated))
    return distances


def _analyte_series(cohort: Cohort) -> defaultdict[str, list[AnalyteSeries]]:
    series: defaultdict[str, list[AnalyteSeries]] = defaultdict(list)
    part, table = cohort.manifest.immune, cohort.immune
    if part is None or table is None or "day" not in table.key:
        return series
    rows = table.rows[table.rows["value"].notna() | (table.rows["censored"] != "")]
    rows = rows.assign(day=rows["day"].astype(float)).sort_values("day", kind="stable")
    for (patient, analyte), group in rows.groupby(["patient", "analyte"], sort=True):
        limits = part.limits.get(group["analyte_published"].iloc[0])
        series[str(patient)].append(
            AnalyteSeries(
                str(analyte),
                table.unit,
                tuple(_serial_readings(group)),
                limits.lloq if limits else None,
                limits.uloq if limits else None,
            )
        )
    return series


def _serial_readings(group: pd.DataFrame) -> list[SerialReading]:
    return [
        SerialReading(day, MeasuredValue(value, censored, limit, bool(extrapolated)))
        for day, value, censored, limit, extrapolated in zip(
            group["day"], group["value"], group["censored"], group["limit"], group["extrapolated"], strict=True
        )
    ]
