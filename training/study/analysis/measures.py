"""Clinical measures over time: weight, albumin, CRP, ECOG, quality of life."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.cohort import Cohort
from training.study.codes import Codes, by_code


@dataclass(frozen=True)
class MeasureChange:
    """The change of one measure from the last value on or before day 0 to the last value.

    Attributes
    ----------
    name, unit : str
    patients, values : int
        Patients with any value, and their values.
    changes : pandas.Series
        Of patients with a baseline and a later value.
    """

    name: str
    unit: str
    patients: int
    values: int
    changes: pd.Series[float]


@dataclass(frozen=True)
class MeasuresResult:
    """Clinical measures of a cohort.

    Attributes
    ----------
    rows : pandas.DataFrame
        `patient` (code), `day`, `name`, `unit`, `value`.
    measures : tuple of MeasureChange
    """

    rows: pd.DataFrame
    measures: tuple[MeasureChange, ...]


def measures_result(cohort: Cohort, codes: Codes) -> MeasuresResult:
    """Return the dated measures of patients and their changes."""
    rows = by_code(cohort.course.measures.dropna(subset=["day", "value"]), codes)
    groups = rows.groupby(["name", "unit"], sort=False)
    return MeasuresResult(rows, tuple(_change(str(name), str(unit), values) for (name, unit), values in groups))


def _change(name: str, unit: str, rows: pd.DataFrame) -> MeasureChange:
    baseline = rows[rows["day"] <= 0].groupby("patient")["value"].last()
    final = rows[rows["day"] > 0].groupby("patient")["value"].last()
    return MeasureChange(name, unit, rows["patient"].nunique(), len(rows), (final - baseline).dropna())
