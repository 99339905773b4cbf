"""Each patient's highest level after day 0, and the test of the slope after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from training.statistics.post_peak_slope import post_peak_slope, post_peak_slope_test
from training.statistics.sign_flip import MeanChange, sign_flip_test
from training.study.analysis.characteristics import MedianRange
from training.study.analysis.false_discovery import HypothesisTest, with_q

MIN_DRAWS = 3
"""Least draws after day 0 of a patient whose peak is described."""
DAYS_A_UNIT = 30
"""Slopes are log2 for so many days."""


@dataclass(frozen=True)
class Peak:
    """Highest level of one analyte in one patient after day 0.

    Attributes
    ----------
    analyte, patient : str
    draws : int
        Draws after day 0.
    height : float
        log2 over the last draw up to day 0; NaN without one.
    day : float
    slope : float
        From the peak on, log2 for 30 days; 0 where the last draw is the highest.
    """

    analyte: str
    patient: str
    draws: int
    height: float
    day: float
    slope: float


@dataclass(frozen=True)
class PeakSummary:
    """Peaks of one analyte, over patients.

    Attributes
    ----------
    analyte : str
    patients : int
    fold : MedianRange or None
        Over the last draw up to day 0; None where no patient has one.
    day : MedianRange
    """

    analyte: str
    patients: int
    fold: MedianRange | None
    day: MedianRange


@dataclass(frozen=True, kw_only=True)
class FallAfterPeak(HypothesisTest):
    """Test of whether one analyte falls after its peak by more than shuffled draws do; p is one-sided.

    Attributes
    ----------
    analyte : str
    patients : int
    slope : MeanChange
        Mean over patients, log2 for 30 days.
    shuffled : float
        Mean slope of the same draws shuffled in time.
    """

    analyte: str
    patients: int
    slope: MeanChange
    shuffled: float


def peaks_and_falls(rows: pd.DataFrame) -> tuple[tuple[Peak, ...], tuple[FallAfterPeak, ...]]:
    """Return each patient's peaks, and the test of the slope after them, of each analyte of at least two patients.

    Parameters
    ----------
    rows : pandas.DataFrame
        `Trajectories.rows`, dated. Patients of fewer than `MIN_DRAWS` draws after day 0 and analytes that are censored
        in every draw are omitted.
    """
    peaks: list[Peak] = []
    family = []
    for analyte, draws in rows[rows["log2"].notna()].groupby("analyte"):
        if (draws["censored"] != "").all():
            continue
        series = []
        slopes = []
        for patient, course in draws.groupby("patient", sort=False):
            later, earlier = course[course["time"] > 0], course[course["time"] <= 0]
            if len(later) < MIN_DRAWS:
                continue
            # Half of a high limit of detection is no peak.
            level = later["log2"].mask(later["censored"] == "below", later["log2"].min()).to_numpy()
            time = later["time"].to_numpy()
            top, fall = post_peak_slope(time / DAYS_A_UNIT, level)
            baseline = float(earlier["log2"].iloc[-1]) if len(earlier) else np.nan
            peaks.append(Peak(str(analyte), str(patient), len(later), level[top] - baseline, float(time[top]), fall))
            series.append((time / DAYS_A_UNIT, level))
            slopes.append(fall)
        if len(series) > 1:
            shuffled, p = post_peak_slope_test(series)
            slope = sign_flip_test(np.array(slopes))
            family.append(
                FallAfterPeak(analyte=str(analyte), patients=len(series), slope=slope, shuffled=shuffled, p=p)
            )
    return tuple(peaks), with_q(family)


def summarise_peaks(peaks: Sequence[Peak]) -> tuple[PeakSummary, ...]:
    """Return the peaks of each analyte in summary, in the order of the analytes."""
    summaries = []
    for analyte, group in groupby(peaks, key=lambda peak: peak.analyte):
        courses = list(group)
        folds = [2**peak.height for peak in courses if not np.isnan(peak.height)]
        days = _median_range([peak.day for peak in courses])
        summaries.append(PeakSummary(analyte, len(courses), _median_range(folds) if folds else None, days))
    return tuple(summaries)


def _median_range(values: Sequence[float]) -> MedianRange:
    return MedianRange(float(np.median(values)), min(values), max(values))
