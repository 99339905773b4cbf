"""Trajectories: serial immune measurements on a log2 scale, their levels in time windows, and the changes between."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from features.cohort import Cohort
from features.errors import InputError
from features.units import LOG2_UNITS, ImmuneUnit


class Window(NamedTuple):
    """Days, or numbered visits, that count as one time point, from `start` to `end`, both included."""

    name: str
    start: float
    end: float


WINDOWS = (Window("baseline", -math.inf, 0), Window("days 7 to 28", 7, 28), Window("day 90 and later", 90, math.inf))
"""The default windows, fixed in advance: the last blood draw up to day 0, the rise, and the lasting change."""


def parse_windows(text: str) -> tuple[Window, ...]:
    """Return the baseline and the windows of days that a text such as ``7-28,90-`` names.

    Raises
    ------
    InputError
        A window is not written so, begins before day 1, or does not lie after the one before it.
    """
    windows = [WINDOWS[0]]
    for part in text.split(","):
        days = re.fullmatch(r"\s*(\d+)-(\d*)\s*", part)
        start, end = (float(days[1]), float(days[2] or math.inf)) if days else (math.nan, math.nan)
        if not max(windows[-1].end, 0) < start <= end:
            raise InputError(
                f"{part.strip()!r} is no window after {windows[-1].name}; expected days in the order of time without "
                "overlap, as in 7-28,90-, where the last window may be open"
            )
        name = f"day {start:g} and later" if math.isinf(end) else f"days {start:g} to {end:g}"
        windows.append(Window(name, start, end))
    return tuple(windows)


def times_outside(times: Iterable[float], windows: Sequence[Window]) -> tuple[float, ...]:
    """Return the times that lie in no window, in their order."""
    return tuple(sorted(t for t in times if not any(window.start <= t <= window.end for window in windows)))


@dataclass(frozen=True)
class Trajectories:
    """A cohort's immune measurements over time.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row per measurement, by analyte, patient and time: `analyte`, `patient`, `time`, `log2`, `censored` ("",
        "below" or "above") and `limit` (log2; NaN where not censored). Below the limit of detection, `log2` is that of
        half the limit; above the range, that of its upper end. A limit that is not reported is replaced by the smallest
        number measured of the analyte, or the largest; `log2` is NaN where there is none.
    clock : str
        The clock of `time`, such as `day_fmt`; `visit` where visits are numbered and not dated.
    dated : bool
        Whether `time` is in days.
    unit : ImmuneUnit
        The unit of the measurements; `log2` is its logarithm, or the value itself on a log2 scale.
    """

    rows: pd.DataFrame
    clock: str
    dated: bool
    unit: ImmuneUnit


def trajectories(cohort: Cohort) -> Trajectories | None:
    """Return a cohort's immune measurements over time; None where it has none, or neither days nor visits."""
    table = cohort.immune
    column = next((name for name in ("day", "visit") if table is not None and name in table.key), None)
    if table is None or column is None:
        return None
    is_log2 = table.unit in LOG2_UNITS
    rows = pd.DataFrame(
        {
            "analyte": table.rows["analyte"],
            "patient": table.rows["patient"],
            "time": table.rows[column].astype(float),
            "number": table.rows["value"].astype(float),
            "censored": table.rows["censored"],
            "limit": table.rows["limit"].astype(float),
        }
    )
    rows = rows[rows["number"].notna() | (rows["censored"] != "")].reset_index(drop=True)
    if not is_log2:
        # A published 0 is a number too small for the assay, not an amount.
        rows["censored"] = rows["censored"].mask(rows["number"] == 0, "below")
        rows[["number", "limit"]] = np.log2(rows[["number", "limit"]].where(lambda x: x > 0))
    uncensored = rows["number"].where(rows["censored"] == "").groupby(rows["analyte"])
    is_below, is_above = rows["censored"] == "below", rows["censored"] == "above"
    smallest, largest = uncensored.transform("min"), uncensored.transform("max")
    limit = rows["limit"].fillna(smallest.where(is_below, largest)).where(is_below | is_above)
    rows["limit"] = limit
    rows["log2"] = rows.pop("number").mask(is_below, limit - 1).mask(is_above, limit)
    rows = rows.sort_values(["analyte", "patient", "time"], kind="stable", ignore_index=True)
    clock = cohort.manifest.clock.name if column == "day" else "visit"
    return Trajectories(rows, clock, column == "day", table.unit)


def windows_of_visits(series: Trajectories) -> tuple[Window, ...]:
    """Return a window for each numbered visit; the first is the baseline."""
    return tuple(Window(f"visit {visit:g}", visit, visit) for visit in sorted(set(series.rows["time"])))


def levels_in_windows(rows: pd.DataFrame, windows: Sequence[Window]) -> pd.DataFrame:
    """Return each patient's level of each analyte in each window.

    Parameters
    ----------
    rows : pandas.DataFrame
        `Trajectories.rows`.
    windows : sequence of Window
        In the order of time, without overlap. Of several blood draws in the first window the last counts, since it is
        the nearest to what follows; the draws in any other window are averaged on the log scale.

    Returns
    -------
    pandas.DataFrame
        By analyte, patient and window (its position, 0 is the first): `log2`, `draws`, and `below` and `above`, whether
        every draw is below the limit, or above the range. A patient without a draw in a window has no row for it.

    Raises
    ------
    InputError
        There are fewer than two windows, or they overlap.
    """
    if len(windows) < 2 or any(earlier.end >= later.start for earlier, later in pairwise(windows)):
        raise InputError(
            f"expected at least two windows in the order of time that do not overlap, got {[tuple(w) for w in windows]}"
        )
    parts = []
    for position, window in enumerate(windows):
        draws = rows[rows["time"].between(window.start, window.end)]
        if position == 0:
            draws = draws[draws["time"] == draws.groupby(["analyte", "patient"])["time"].transform("max")]
        sides = {side: draws["censored"] == side for side in ("below", "above")}
        parts.append(draws.assign(window=position, **sides))
    grouped = pd.concat(parts).groupby(["analyte", "patient", "window"])
    levels: pd.DataFrame = grouped.agg(
        log2=("log2", "mean"), draws=("log2", "size"), below=("below", "all"), above=("above", "all")
    )
    return levels


def log2_changes(levels: pd.DataFrame, window: int, reference: int = 0) -> pd.DataFrame:
    """Return each patient's log2 change of each analyte from one window to a later one, of patients with both.

    Parameters
    ----------
    levels : pandas.DataFrame
        As `levels_in_windows` returns it.
    window, reference : int
        Positions of the later and of the earlier window.

    Returns
    -------
    pandas.DataFrame
        By analyte and patient: `change`; `below` and `above`, whether both levels are below the limit, or above the
        range. Two levels beyond the same end of the range show no change: their change is 0, a tie, though the two
        limits may differ.
    """
    positions = levels.index.get_level_values("window")
    later, earlier = (levels[positions == position].droplevel("window") for position in (window, reference))
    pairs = later.join(earlier.add_suffix("_reference"), how="inner")
    is_below, is_above = (pairs[side] & pairs[f"{side}_reference"] for side in ("below", "above"))
    change = (pairs["log2"] - pairs["log2_reference"]).mask(is_below | is_above, 0.0)
    return pd.DataFrame({"change": change, "below": is_below, "above": is_above})
