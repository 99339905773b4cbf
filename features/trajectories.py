"""Trajectories: serial immune measurements on a log2 scale, as they are drawn and compared over time."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from features.cohort import Cohort
from features.errors import InputError
from features.units import LOG2_UNITS, ImmuneUnit


class Window(NamedTuple):
    """Days, or numbered visits, that count as one time point; both ends belong to it."""

    name: str
    first: float
    last: float


WINDOWS = (Window("baseline", -math.inf, 0), Window("days 7 to 28", 7, 28), Window("day 90 and later", 90, math.inf))
"""Fixed before anyone looks: the last draw before or on day 0, the rise, and what remains."""


def parse_windows(text: str) -> tuple[Window, ...]:
    """Return the baseline and the windows of days that a text such as ``7-28,90-`` names.

    Raises
    ------
    InputError
        A window is not written so, begins before day 1, or does not lie after the one before it.
    """
    found = [WINDOWS[0]]
    for part in text.split(","):
        days = re.fullmatch(r"\s*(\d+)-(\d*)\s*", part)
        first, last = (float(days[1]), float(days[2] or math.inf)) if days else (math.nan, math.nan)
        if not max(found[-1].last, 0) < first <= last:
            raise InputError(
                f"{part.strip()!r} is no window after {found[-1].name}; expected days in the order of time that do not "
                "overlap, as in 7-28,90-, where the last may have no end"
            )
        name = f"day {first:g} and later" if math.isinf(last) else f"days {first:g} to {last:g}"
        found.append(Window(name, first, last))
    return tuple(found)


@dataclass(frozen=True)
class Trajectories:
    """A cohort's immune measurements over time.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row a measurement, by analyte, patient and time: `analyte`, `patient`, `time`, `log2`, `censored` ("",
        "below" or "above") and `limit` (log2; NaN where not censored). Below the limit of detection, `log2` is that of
        half the limit; above the range, that of its upper end. Where nobody stated the limit, the smallest number seen
        of the analyte stands for it, or the largest; `log2` is NaN where none was seen.
    clock : str
        The clock of `time`, as in `day_fmt`; `visit` where visits are numbered and not dated.
    dated : bool
        Whether `time` is in days.
    unit : ImmuneUnit
        The unit of which `log2` is the logarithm, or that is a log2 scale itself.
    """

    rows: pd.DataFrame
    clock: str
    dated: bool
    unit: ImmuneUnit


def trajectories(cohort: Cohort) -> Trajectories | None:
    """Return a cohort's immune measurements over time; None where it has none, or where neither day nor visit tells."""
    said, table = cohort.manifest.immune, cohort.immune
    if said is None or table is None or (column := said.day or said.visit) is None:
        return None
    log = table.unit in LOG2_UNITS
    rows = pd.DataFrame(
        {
            "analyte": table.rows["analyte"],
            "patient": table.rows[said.patient],
            "time": table.rows[column].astype(float),
            "number": table.rows["value"].astype(float),
            "censored": table.rows["censored"],
            "limit": table.rows["limit"].astype(float),
        }
    )
    rows = rows[rows["number"].notna() | (rows["censored"] != "")].reset_index(drop=True)
    if not log:
        # A published 0 is a number too small for the assay, not an amount.
        rows["censored"] = rows["censored"].mask(rows["number"] == 0, "below")
        rows[["number", "limit"]] = np.log2(rows[["number", "limit"]].where(lambda x: x > 0))
    seen = rows["number"].where(rows["censored"] == "").groupby(rows["analyte"])
    below, above = rows["censored"] == "below", rows["censored"] == "above"
    smallest, largest = seen.transform("min"), seen.transform("max")
    limit = rows["limit"].fillna(smallest.where(below, largest)).where(below | above)
    rows["limit"] = limit
    rows["log2"] = rows.pop("number").mask(below, limit - 1).mask(above, limit)
    rows = rows.sort_values(["analyte", "patient", "time"], kind="stable", ignore_index=True)
    clock = cohort.manifest.clock.name if said.day else "visit"
    return Trajectories(rows, clock, said.day is not None, table.unit)


def windows_of_visits(found: Trajectories) -> tuple[Window, ...]:
    """Return a window for each numbered visit, the first of all being the baseline."""
    return tuple(Window(f"visit {visit:g}", visit, visit) for visit in sorted(set(found.rows["time"])))


def levels_in_windows(rows: pd.DataFrame, windows: Sequence[Window]) -> pd.DataFrame:
    """Return each patient's level of each analyte in each window.

    Parameters
    ----------
    rows : pandas.DataFrame
        `Trajectories.rows`.
    windows : sequence of Window
        Apart, in the order of time. Of several draws in the first the last counts, since the earlier ones are further
        from what follows; those in another are averaged on the log scale.

    Returns
    -------
    pandas.DataFrame
        By analyte, patient and window (its position, 0 is the first): `log2`, `draws`, `below` and `above` (whether
        every draw lay below the limit, or above the range). A patient without a draw in a window has no row for it.

    Raises
    ------
    InputError
        There are fewer than two windows, or they overlap.
    """
    if len(windows) < 2 or any(one.last >= other.first for one, other in pairwise(windows)):
        raise InputError(
            f"expected at least two windows in the order of time that do not overlap, got {[tuple(w) for w in windows]}"
        )
    parts = []
    for at, window in enumerate(windows):
        drawn = rows[rows["time"].between(window.first, window.last)]
        if at == 0:
            drawn = drawn[drawn["time"] == drawn.groupby(["analyte", "patient"])["time"].transform("max")]
        sides = {side: drawn["censored"] == side for side in ("below", "above")}
        parts.append(drawn.assign(window=at, **sides))
    grouped = pd.concat(parts).groupby(["analyte", "patient", "window"])
    levels: pd.DataFrame = grouped.agg(
        log2=("log2", "mean"), draws=("log2", "size"), below=("below", "all"), above=("above", "all")
    )
    return levels


def log2_changes(levels: pd.DataFrame, window: int, since: int = 0) -> pd.DataFrame:
    """Return each patient's log2 change of each analyte between two windows, where both were drawn.

    Parameters
    ----------
    levels : pandas.DataFrame
        As `levels_in_windows` returns it.
    window, since : int
        The later and the earlier window's positions.

    Returns
    -------
    pandas.DataFrame
        By analyte and patient: `change`; `below` and `above`, whether both ends lie below the limit, or above the
        range. What was beyond the same end twice has not been seen to change: its change is 0, a tie, though the two
        limits may differ.
    """
    at = levels.index.get_level_values("window")
    later, earlier = (levels[at == position].droplevel("window") for position in (window, since))
    both = later.join(earlier.add_suffix("_since"), how="inner")
    below, above = (both[side] & both[f"{side}_since"] for side in ("below", "above"))
    change = (both["log2"] - both["log2_since"]).mask(below | above, 0.0)
    return pd.DataFrame({"change": change, "below": below, "above": above})
