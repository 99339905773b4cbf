"""Cytokines, diversity and distance to donors' stool, compared between arms at equal baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from features.arrays import Vector
from features.cohort import Cohort
from features.trajectories import Window, levels_in_windows, trajectories, windows_of_visits
from training.statistics.ancova import adjusted_difference
from training.statistics.distances import bray_curtis
from training.statistics.interval_estimate import IntervalEstimate
from training.study.analysis.arms import donor_clusters, is_treated
from training.study.analysis.diversity import diversity
from training.study.analysis.false_discovery import HypothesisTest, with_q
from training.study.analysis.stool import StoolSeries, stool_series

MIN_PATIENTS = 3
"""Fewest patients of each arm with which a level is compared."""
MAX_CENSORED = 0.5
"""Share of levels beyond the assay's range up to which an analyte is compared: halves of limits are not normal."""

StoolMeasure = Literal["shannon", "richness", "distance to donors"]


@dataclass(frozen=True, kw_only=True)
class LevelByArm(HypothesisTest):
    """A level in one window, of the arm with FMT minus controls, adjusted for the level at baseline.

    Attributes
    ----------
    measure : str
        An analyte, or a `StoolMeasure`.
    window : str
    n_treated, n_control : int
        Patients with a level at baseline and in the window.
    n_clusters : int
        Donors of the treated patients; recipients of one donor are one cluster.
    difference : IntervalEstimate
        log2 of an analyte; else in the unit of the measure.
    degrees_of_freedom : float
        Of the difference's t distribution; few where few donors gave stool.
    """

    measure: str
    window: str
    n_treated: int
    n_control: int
    n_clusters: int
    difference: IntervalEstimate
    degrees_of_freedom: float

    @property
    def patients(self) -> int:
        """Patients of both arms."""
        return self.n_treated + self.n_control


@dataclass(frozen=True)
class LevelsByArm:
    """Levels compared between arms.

    Attributes
    ----------
    analytes, stool : tuple of LevelByArm
        Two families of tests.
    censored : tuple of str
        Analytes not compared, since more than half of their levels are beyond the assay's range.
    counts : bool
        Whether the stool profiles are counts.
    """

    analytes: tuple[LevelByArm, ...]
    stool: tuple[LevelByArm, ...]
    censored: tuple[str, ...]
    counts: bool

    @property
    def significant(self) -> tuple[LevelByArm, ...]:
        """Differences with a q of at most 5%."""
        return tuple(level for level in (*self.analytes, *self.stool) if level.significant)


def levels_by_arm(cohort: Cohort, windows: Sequence[Window]) -> LevelsByArm:
    """Return the levels of each window after the first, compared between arms by the analysis of covariance.

    Parameters
    ----------
    cohort : Cohort
        With arms of which one is a control.
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    treated, clusters = is_treated(cohort), donor_clusters(cohort)
    stool = stool_series(cohort, windows)
    analytes, censored = _analytes(cohort, windows, treated, clusters)
    return LevelsByArm(
        analytes=with_q(analytes),
        stool=with_q([*_stool_levels(stool, treated, clusters)]),
        censored=censored,
        counts=stool.counts,
    )


def level_by_arm(
    measure: str,
    window: str,
    levels: pd.Series[float],
    baseline: pd.Series[float],
    treated: pd.Series[bool],
    clusters: pd.Series[int],
) -> LevelByArm | None:
    """Return one comparison; None with fewer than `MIN_PATIENTS` in an arm, or without an interval.

    Parameters
    ----------
    measure, window : str
    levels, baseline : pandas.Series
        By patient.
    treated, clusters : pandas.Series
        By patient assigned to an arm, as of `is_treated` and `donor_clusters`.
    """
    pairs = pd.DataFrame({"level": levels, "baseline": baseline}).dropna()
    pairs = pairs[pairs.index.isin(treated.index)]
    group, cluster = treated[pairs.index].to_numpy(), clusters[pairs.index].to_numpy().astype(np.intp)
    if min(group.sum(), (~group).sum()) < MIN_PATIENTS:
        return None
    adjusted = adjusted_difference(pairs["level"].to_numpy(), pairs["baseline"].to_numpy(), group, cluster)
    if pd.isna(adjusted.p):
        return None
    return LevelByArm(
        measure=measure,
        window=window,
        n_treated=int(group.sum()),
        n_control=int((~group).sum()),
        n_clusters=len(set(cluster[group].tolist())),
        difference=adjusted.difference,
        degrees_of_freedom=adjusted.degrees_of_freedom,
        p=adjusted.p,
    )


def _analytes(
    cohort: Cohort, windows: Sequence[Window], treated: pd.Series[bool], clusters: pd.Series[int]
) -> tuple[list[LevelByArm], tuple[str, ...]]:
    course = trajectories(cohort)
    if course is None or course.rows["time"].nunique() < 2:
        return [], ()
    windows = windows if course.dated else windows_of_visits(course)
    levels = levels_in_windows(course.rows, windows)
    family, censored = [], []
    for analyte, rows in levels.groupby("analyte"):
        if (rows["below"] | rows["above"]).mean() > MAX_CENSORED:
            censored.append(str(analyte))
            continue
        by_window = rows.droplevel("analyte")["log2"].unstack("window")
        for position, window in enumerate(windows[1:], 1):
            if {0, position} <= set(by_window):
                comparison = level_by_arm(
                    str(analyte), window.name, by_window[position], by_window[0], treated, clusters
                )
                family += [] if comparison is None else [comparison]
    return family, tuple(censored)


def _stool_levels(stool: StoolSeries, treated: pd.Series[bool], clusters: pd.Series[int]) -> Iterator[LevelByArm]:
    """Yield comparisons of diversity and of the mean distance to all donors, a donor subject counting once."""
    indices = diversity(stool)
    values: dict[StoolMeasure, Vector] = {"shannon": indices.shannon, "richness": indices.richness}
    if len(stool.donors):
        distances = bray_curtis(stool.proportions)
        donor_rows = stool.donors.groupby("patient").groups.values()
        to_donors = [distances[:, stool.rows(positions)].mean(axis=1) for positions in donor_rows]
        values["distance to donors"] = np.mean(to_donors, axis=0)
    for measure, vector in values.items():
        column = vector[:, None]
        baseline = stool.means(column, stool.baseline)[0]
        for window in stool.windows[1:]:
            levels = stool.means(column, window)[0]
            comparison = level_by_arm(measure, window.name, levels, baseline, treated, clusters)
            if comparison is not None:
                yield comparison
