"""Patients' characteristics at baseline, and the arms of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from features.cohort import Cohort
from features.donors import donor_samples_given
from features.manifest import ClinicalField


def table_one(clinical: pd.DataFrame, keep: Mapping[str, ClinicalField]) -> pd.DataFrame:
    """Return the patients' characteristics: medians and ranges of numbers, counts and shares of words.

    Parameters
    ----------
    clinical : pandas.DataFrame
        One row a patient, columns as in `Cohort.clinical`.
    keep : mapping of str to ClinicalField
        The manifest's `patients.covariates`.

    Returns
    -------
    pandas.DataFrame
        `characteristic`, `level`, `value`, `known` (patients in whom it is) and `missing`.
    """
    rows = []
    for name, field in keep.items():
        said = characteristic(clinical, name, field)
        known = said.dropna()
        head = heading(name) + (f", {field.unit}" if field.unit else "")
        counts = {"known": known.size, "missing": said.size - known.size}
        if known.empty:
            rows.append({"characteristic": head, "level": "", "value": "unknown", **counts})
        elif pd.api.types.is_numeric_dtype(known) and not _counted(known, field):
            value = f"{known.median():.4g} ({known.min():.4g} to {known.max():.4g})"
            rows.append({"characteristic": head, "level": "median (range)", "value": value, **counts})
        else:
            for level, n in known.value_counts().sort_index().items():
                text = f"{level:g}" if isinstance(level, float) else str(level)
                value = f"{n} ({n / known.size:.0%})"
                rows.append({"characteristic": head, "level": text, "value": value, **counts})
    return pd.DataFrame(rows, columns=["characteristic", "level", "value", "known", "missing"])


def characteristic(clinical: pd.DataFrame, name: str, field: ClinicalField) -> pd.Series[Any]:
    """Return a characteristic as a reader has it, a number or a word, NaN where unknown; rows as of `clinical`."""
    if field.values is None:
        return clinical[name]
    if name in clinical:
        return clinical[name].map({1.0: "yes", 0.0: "no"})
    levels = clinical[[column for column in clinical if str(column).startswith(f"{name}=")]]
    known = levels.notna().all(axis=1)
    said = levels[known].idxmax(axis=1).astype("str")
    return said.str.removeprefix(f"{name}=").reindex(clinical.index)


def arms(cohort: Cohort) -> pd.Series[str]:
    """Return each patient's arm, by patient, where `patients.covariates` has one and it is known."""
    said = cohort.manifest.patients
    if said is None or "arm" not in said.covariates:
        return pd.Series(dtype="str")
    return characteristic(cohort.characteristics, "arm", said.covariates["arm"]).dropna().astype("str")


def several_arms(cohort: Cohort) -> bool:
    """Tell whether at least two arms have two patients each."""
    return bool(arms(cohort).value_counts().gt(1).sum() > 1)


def has_comparator(cohort: Cohort) -> bool:
    """Tell whether one of several arms went without FMT; where nothing tells who had it, several arms suffice."""
    given = set(donor_samples_given(cohort)) | set(cohort.course.transplants["patient"])
    told = arms(cohort)
    large = told[told.map(told.value_counts()) > 1]
    without = ~large.index.isin(given)
    return several_arms(cohort) and (not given or bool(pd.Series(without).groupby(large.to_numpy()).all().any()))


def _counted(known: pd.Series[float], field: ClinicalField) -> bool:
    """Tell a score such as ECOG, whose levels are counted, from a measurement."""
    return field.unit is None and bool((known % 1 == 0).all()) and known.nunique() <= 6


def heading(name: str) -> str:
    """Return a characteristic's name as a reader writes it."""
    return name.upper() if name in ("bmi", "ecog", "ldh") else name.replace("_", " ")
