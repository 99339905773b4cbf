"""Change of each analyte from the baseline window to a later one, and its trend over numbered visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from features.trajectories import Window, levels_in_windows, log2_changes
from training.statistics.mixed_model import mixed_slope
from training.statistics.sign_flip import MeanChange, attains_level, sign_flip_test
from training.study.analysis.false_discovery import HypothesisTest, with_q

MODELLED = 10
"""Patients from which on a mixed model estimates a change."""
MAX_CENSORED = 0.5
"""Share of censored draws up to which a mixed model estimates a change: halves of limits are not normal."""

Method = Literal["mixed model", "sign-flip"]


@dataclass(frozen=True, kw_only=True)
class LevelEffect(HypothesisTest):
    """Mean change of one analyte over patients.

    Attributes
    ----------
    analyte : str
    patients : int
    change, low, high : float
        Mean and its limits, log2.
    confidence : float
        Confidence that the interval attains.
    """

    analyte: str
    patients: int
    change: float
    low: float
    high: float
    confidence: float

    @property
    def has_interval(self) -> bool:
        """Whether the limits are a 95% interval; else they are the lowest and the highest change of a patient."""
        return attains_level(self.confidence)


@dataclass(frozen=True, kw_only=True)
class LevelChange(LevelEffect):
    """Mean change of one analyte from the baseline window to a later one, of the patients with draws in both.

    Attributes
    ----------
    window : str
    undetected : int
        Patients below the limit of detection in both windows, who count as unchanged.
    method : str
        "mixed model" or "sign-flip".
    """

    window: str
    undetected: int
    method: Method


@dataclass(frozen=True, kw_only=True)
class LevelTrend(LevelEffect):
    """Mean slope of one analyte over numbered visits, log2 a visit, of the patients with several draws."""


def level_changes(rows: pd.DataFrame, windows: Sequence[Window]) -> tuple[LevelChange, ...]:
    """Return each analyte's mean change from the first window to each later one.

    The mixed model estimates a change of at least `MODELLED` patients of whose draws at most half are censored; the
    exact sign-flip test estimates every other change. Both compare the patients with draws in both windows, and take a
    patient beyond the same limit in both as unchanged. Changes of fewer than two patients, of patients who are all
    censored in both windows, and of analytes with neither a limit nor a number are omitted.

    Parameters
    ----------
    rows : pandas.DataFrame
        `Trajectories.rows`.
    windows : sequence of Window
        The first is the baseline.
    """
    levels = levels_in_windows(rows, windows)
    baselines = levels[levels.index.get_level_values("window") == 0].droplevel("window")
    family = []
    for position, window in enumerate(windows[1:], 1):
        draws = rows[rows["time"].between(window.start, window.end)]
        for analyte, pairs in log2_changes(levels, position).groupby("analyte"):
            if len(pairs) < 2 or (pairs["below"] | pairs["above"]).all() or pairs["change"].isna().any():
                continue
            pairs = pairs.droplevel("analyte")
            baseline: pd.DataFrame = baselines.loc[[analyte]].droplevel("analyte").loc[pairs.index]
            later = draws[(draws["analyte"] == analyte) & draws["patient"].isin(pairs.index)]
            result, method = _test_change(pairs, baseline, later)
            family.append(
                LevelChange(
                    analyte=str(analyte),
                    window=window.name,
                    patients=len(pairs),
                    undetected=int(pairs["below"].sum()),
                    change=result.estimate,
                    low=result.low,
                    high=result.high,
                    confidence=result.confidence,
                    p=result.p,
                    method=method,
                )
            )
    return with_q(family)


def _test_change(pairs: pd.DataFrame, baseline: pd.DataFrame, later: pd.DataFrame) -> tuple[MeanChange, Method]:
    """Return the test of one analyte's change, and its method.

    Parameters
    ----------
    pairs : pandas.DataFrame
        By patient: `change`, `below` and `above`; `features.trajectories.log2_changes`.
    baseline : pandas.DataFrame
        By patient: level in the baseline window.
    later : pandas.DataFrame
        Every draw of these patients in the later window.
    """
    censored = np.append(baseline["below"] | baseline["above"], later["censored"] != "")
    if len(pairs) < MODELLED or censored.mean() > MAX_CENSORED:
        return sign_flip_test(pairs["change"].to_numpy()), "sign-flip"
    unchanged = later["patient"].map(pairs["below"] | pairs["above"])
    level = later["log2"].mask(unchanged, later["patient"].map(baseline["log2"]))
    y = np.append(baseline["log2"], level)
    x = np.repeat([0.0, 1.0], [len(baseline), len(later)])
    return mixed_slope(y, x, np.append(baseline.index, later["patient"])), "mixed model"


def level_trends(rows: pd.DataFrame) -> tuple[LevelTrend, ...]:
    """Return each analyte's mean slope over time by the mixed model, log2 for each unit of time.

    Analytes of fewer than `MODELLED` patients with several draws, or with more than half of the draws censored, are
    omitted.
    """
    family = []
    for analyte, draws in rows.groupby("analyte"):
        patients = int((draws.groupby("patient")["time"].nunique() > 1).sum())
        if patients < MODELLED or (draws["censored"] != "").mean() > MAX_CENSORED:
            continue
        slope = mixed_slope(draws["log2"].to_numpy(), draws["time"].to_numpy(), draws["patient"].to_numpy())
        family.append(
            LevelTrend(
                analyte=str(analyte),
                patients=patients,
                change=slope.estimate,
                low=slope.low,
                high=slope.high,
                confidence=slope.confidence,
                p=slope.p,
            )
        )
    return with_q(family)
