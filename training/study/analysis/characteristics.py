"""Patients' characteristics at baseline: Table 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from features.cohort import Cohort
from features.manifest import ClinicalField
from features.survival import EVENT, survival_exclusion_reason, time_to_event
from training.study.analysis.covariates import Characteristic, characteristic
from training.study.analysis.response import best_responses
from training.study.analysis.survival import OUTCOMES, Outcome
from training.study.codes import Codes, donor_codes

MAX_LEVELS = 6
"""Whole numbers without a unit and with no more values than these are levels of a score, such as ECOG."""


@dataclass(frozen=True)
class MedianRange:
    """The median and the range of a number."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class CharacteristicSummary:
    """One characteristic over all patients.

    Attributes
    ----------
    name : str
        As in the manifest.
    unit : str or None
    n_known, n_missing : int
        Patients in whom the characteristic is known, and others.
    range : MedianRange or None
        Of a measurement.
    levels : dict of str to int
        Patients by level, of a category or a score.
    by_arm : dict of str to CharacteristicSummary
        The same of each arm; empty where the manifest states no arms.
    """

    name: str
    unit: str | None
    n_known: int
    n_missing: int
    range: MedianRange | None
    levels: dict[str, int]
    by_arm: dict[str, CharacteristicSummary] = field(default_factory=dict)


@dataclass(frozen=True)
class CharacteristicsResult:
    """The patients of a cohort.

    Attributes
    ----------
    title : str
        The cohort's.
    n, donors : int
        Patients and donors.
    summaries : tuple of CharacteristicSummary
        In the order of the manifest's covariates.
    values : dict of str to pandas.Series
        Each patient's value of each characteristic, by patient.
    best_response : pandas.Series or None
        Best overall response by patient, "" where not assessed.
    survival : dict of str to pandas.DataFrame
        By outcome: `time` in days, `event` and `at_risk` of each patient, as of `time_to_event`.
    """

    title: str
    n: int
    donors: int
    summaries: tuple[CharacteristicSummary, ...]
    values: dict[str, Characteristic]
    best_response: pd.Series[str] | None
    survival: dict[Outcome, pd.DataFrame]


def characteristics_result(cohort: Cohort, codes: Codes) -> CharacteristicsResult:
    """Return each patient's characteristics, best response and survival, and the summaries of characteristics."""
    patients = pd.Index(codes)
    covariates = {} if cohort.manifest.patients is None else cohort.manifest.patients.covariates
    clinical = cohort.characteristics.reindex(patients)
    best = best_responses(cohort, codes)
    return CharacteristicsResult(
        title=cohort.manifest.title,
        n=patients.size,
        donors=len(donor_codes(cohort)),
        summaries=characteristic_summaries(clinical, covariates, cohort.arm),
        values={name: characteristic(clinical, name, field) for name, field in covariates.items()},
        best_response=best.iloc[:, 0] if len(best.columns) else None,
        survival={
            outcome: time_to_event(cohort.labels, outcome, patients, 0)
            for outcome in OUTCOMES
            if survival_exclusion_reason(cohort.manifest, cohort.labels, outcome) is None
        },
    )


def had_event(times: pd.DataFrame) -> pd.Series[str]:
    """Return "yes", "no" or "unknown" for each row of `time_to_event`."""
    event = (times["event"] == EVENT).map({True: "yes", False: "no"})
    return event.mask(times["at_risk"] == "unknown", "unknown")


def characteristic_summaries(
    clinical: pd.DataFrame, covariates: Mapping[str, ClinicalField], arm: pd.Series[str] | None = None
) -> tuple[CharacteristicSummary, ...]:
    """Return medians and ranges of measurements, and counts of categories and scores.

    Parameters
    ----------
    clinical : pandas.DataFrame
        One row a patient, columns as in `Cohort.clinical`.
    covariates : mapping of str to ClinicalField
        The manifest's `patients.covariates`.
    arm : pandas.Series, optional
        Each patient's arm, where it is known.
    """
    arm_names = [] if arm is None else list(dict.fromkeys(arm))
    summaries = []
    for name, column in covariates.items():
        values = characteristic(clinical, name, column)
        is_measurement = _is_measurement(values, column)
        by_arm = {
            arm_name: _summary(name, column, values[values.index.isin(arm.index[arm == arm_name])], is_measurement)
            for arm_name in arm_names
            if arm is not None
        }
        summaries.append(replace(_summary(name, column, values, is_measurement), by_arm=by_arm))
    return tuple(summaries)


def _summary(name: str, column: ClinicalField, values: Characteristic, is_measurement: bool) -> CharacteristicSummary:
    reported = values.dropna()
    median_range, levels = None, {}
    if is_measurement and reported.size:
        numbers = reported.astype("float64")
        median_range = MedianRange(numbers.median(), numbers.min(), numbers.max())
    elif not is_measurement:
        counts = reported.value_counts().sort_index()
        levels = {f"{level:g}" if isinstance(level, float) else str(level): int(n) for level, n in counts.items()}
    return CharacteristicSummary(name, column.unit, reported.size, values.size - reported.size, median_range, levels)


def _is_measurement(values: Characteristic, column: ClinicalField) -> bool:
    """Return whether a characteristic is summarised by its median; a score, such as ECOG, has levels."""
    reported = values.dropna()
    if not reported.size or not pd.api.types.is_numeric_dtype(reported):
        return False
    is_score = column.unit is None and bool((reported % 1 == 0).all()) and reported.nunique() <= MAX_LEVELS
    return not is_score
