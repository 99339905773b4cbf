"""Features over time: how each immune marker moves from the baseline to the landmark, from draws by then alone.

The baseline is the last dated draw on or before day 0. A model of a landmark on day 0 or before has no such features.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from features.arrays import Vector
from features.cohort import Cohort
from features.columns import Column
from features.feature_table import Block
from features.measured_values import CensoredPolicy
from features.tables.text import finite_numbers
from features.units import LOG2_UNITS


class DatedLevel(NamedTuple):
    """One marker in one draw: the day, and the level in the marker's unit."""

    day: float
    level: float


def over_time_numbers(
    draws: Mapping[str, Iterable[DatedLevel]], units: Mapping[str, str], landmark: float, window: float
) -> dict[str, float]:
    """Return the features over time of one patient, by name.

    Of each marker, on the log2 scale: `at baseline`; `change` from there to the last draw by the landmark; `peak`, the
    largest change; `area` under the change from day 0 to the last draw (trapezoids); `slope`, by least squares. Names
    state the landmark and the unit, as `IL-6 change to day 28 (log2)`.

    Parameters
    ----------
    draws : mapping of str to iterable of DatedLevel
        Dated levels of each marker, in any order; several of one day are averaged. Missing, infinite and, of
        concentrations, levels of 0 and below do not count.
    units : mapping of str to str
        Unit of each marker.
    landmark : float
        Last day whose draws enter.
    window : float
        Days before the landmark in which a draw counts.

    Returns
    -------
    dict of str to float
        What can be computed: without a draw by day 0, or after it, only the slope, or nothing but the baseline.
    """
    numbers: dict[str, float] = {}
    if landmark <= 0:
        return numbers
    for marker, levels in draws.items():
        unit = units.get(marker, "unstated")
        days, logs = _daily_logs(levels, unit in LOG2_UNITS, landmark - window, landmark)
        scale = unit if unit in LOG2_UNITS else f"log2 {unit}"
        by_day, end = f"to day {landmark:g}", "log2"
        is_baseline, is_later = days <= 0, days > 0
        if is_baseline.any():
            numbers[f"{marker} at baseline ({scale})"] = float(logs[is_baseline][-1])
        if is_baseline.any() and is_later.any():
            change = logs[is_later] - logs[is_baseline][-1]
            numbers[f"{marker} change {by_day} ({end})"] = float(change[-1])
            numbers[f"{marker} peak {by_day} ({end})"] = float(change.max())
            area = np.trapezoid([0.0, *change], [0.0, *days[is_later]])
            numbers[f"{marker} area {by_day} ({end} x days)"] = float(area)
        if is_later.any() and len(days) > 1:
            centred = days - days.mean()
            numbers[f"{marker} slope {by_day} ({end} per day)"] = float(centred @ logs / (centred @ centred))
    return numbers


def over_time_block(
    cohort: Cohort, patients: Sequence[str], landmark: float, window: float, policy: CensoredPolicy
) -> Block | None:
    """Return the features over time of a feature table's rows; None where blood is not dated or there are none.

    Parameters
    ----------
    cohort : Cohort
    patients : sequence of str
        Patient of each row.
    landmark, window : float
        Last day, on the cohort's clock, whose draws enter, and for how many days before it they count.
    policy : {"half_limit", "limit", "missing"}
        The number for a value beyond a reported limit of quantification.
    """
    table = cohort.immune
    if table is None or "day" not in table.key:
        return None
    wide = table.wide(policy)
    keys = wide.index.to_frame(index=False)
    days = finite_numbers(keys["day"])
    names = [Column("immune", analyte, unit=table.unit).name for analyte in wide.columns]
    draws: defaultdict[str, dict[str, list[DatedLevel]]] = defaultdict(lambda: {name: [] for name in names})
    for patient, day, levels in zip(keys["patient"], days.tolist(), wide.to_numpy().tolist(), strict=True):
        for name, level in zip(names, levels, strict=True):
            draws[patient][name].append(DatedLevel(day, level))
    units = dict.fromkeys(names, table.unit)
    rows = [over_time_numbers(draws.get(patient, {}), units, landmark, window) for patient in patients]
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    values = np.array([[row.get(name, math.nan) for name in columns] for row in rows]).reshape(len(rows), len(columns))
    return Block(columns, values) if columns else None


def _daily_logs(
    levels: Iterable[DatedLevel], is_log2: bool, first_day: float, last_day: float
) -> tuple[Vector, Vector]:
    """Return the days between two, in order, with the mean log2 level of each."""
    by_day: defaultdict[float, list[float]] = defaultdict(list)
    for day, level in levels:
        if first_day <= day <= last_day and math.isfinite(level) and (is_log2 or level > 0):
            by_day[day].append(level if is_log2 else math.log2(level))
    days = sorted(by_day)
    return np.array(days), np.array([math.fsum(by_day[day]) / len(by_day[day]) for day in days])
