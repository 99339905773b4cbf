"""Numbers of the section of immune trajectories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import pandas as pd

from features.cohort import Cohort
from features.deaths import deaths
from features.trajectories import (
    Trajectories,
    Window,
    levels_in_windows,
    times_outside,
    trajectories,
    windows_of_visits,
)
from training.study.analysis.arms import has_comparator
from training.study.analysis.immune_changes import MODELLED, LevelChange, LevelTrend, level_changes, level_trends
from training.study.analysis.immune_pattern import PatternTest, pattern_tests
from training.study.analysis.immune_peaks import MIN_DRAWS, FallAfterPeak, Peak, peaks_and_falls
from training.study.codes import patient_codes

MIN_PATIENTS = 6
"""Fewest patients of whom an exact two-sided p can be below 5%."""


@dataclass(frozen=True)
class ImmuneAbsence:
    """What a cohort lacks for immune trajectories."""

    reason: Literal["no immune measurements", "no serial draws"]


@dataclass(frozen=True)
class BloodDraws:
    """Counts of the blood draws that the section analyses.

    Attributes
    ----------
    draws, patients : int
    with_several : int
        Patients with several draws.
    first_time, last_time : float
        Days, or numbers of visits.
    measurements, analytes : int
    below_detection, above_range : int
        Measurements below the limit of detection, and above the assay's range.
    """

    draws: int
    patients: int
    with_several: int
    first_time: float
    last_time: float
    measurements: int
    analytes: int
    below_detection: int
    above_range: int


@dataclass(frozen=True)
class WindowChanges:
    """Changes from the baseline to one window.

    Attributes
    ----------
    window : str
    changes : tuple of LevelChange
    """

    window: str
    changes: tuple[LevelChange, ...]

    @property
    def significant(self) -> int:
        """Number of significant changes."""
        return sum(change.significant for change in self.changes)

    @property
    def strongest(self) -> tuple[LevelChange, ...]:
        """The four changes of least q; of the same q, the largest first."""
        return tuple(sorted(self.changes, key=lambda change: (change.q, -abs(change.change)))[:4])


@dataclass(frozen=True)
class LateAbsence:
    """A patient without a draw in the last window: the code, and the day of death, NaN where none is recorded."""

    patient: str
    death_day: float

    @property
    def died(self) -> bool:
        """Whether a death is recorded."""
        return not math.isnan(self.death_day)


@dataclass(frozen=True)
class ImmuneResults:
    """Immune trajectories of a cohort, and their tests.

    Attributes
    ----------
    modelled_from, min_patients, min_draws : int
        Thresholds that sentences state: `MODELLED`, `MIN_PATIENTS` and `MIN_DRAWS`.
    trajectories : Trajectories
    windows : tuple of Window
        The baseline first; each numbered visit is a window where draws are not dated.
    codes : mapping of str to str
        Code of each patient.
    draws : BloodDraws
    levels : pandas.DataFrame
        `features.trajectories.levels_in_windows`.
    changes : tuple of LevelChange
    trends : tuple of LevelTrend
        Over numbered visits; empty where draws are dated.
    patterns : tuple of PatternTest or None
        None where draws are not dated, or the windows are fewer than three.
    peaks : tuple of Peak
    falls : tuple of FallAfterPeak
    censored : tuple of str
        Analytes beyond the assay's range in every draw.
    comparator : bool
        Whether one of several arms went without the transplant.
    death_days : mapping of str to float
        Day of death of each patient whose death is dated.
    """

    modelled_from: ClassVar[int] = MODELLED
    min_patients: ClassVar[int] = MIN_PATIENTS
    min_draws: ClassVar[int] = MIN_DRAWS

    trajectories: Trajectories
    windows: tuple[Window, ...]
    codes: Mapping[str, str]
    draws: BloodDraws
    levels: pd.DataFrame
    changes: tuple[LevelChange, ...]
    trends: tuple[LevelTrend, ...]
    patterns: tuple[PatternTest, ...] | None
    peaks: tuple[Peak, ...]
    falls: tuple[FallAfterPeak, ...]
    censored: tuple[str, ...]
    comparator: bool
    death_days: Mapping[str, float] = field(default_factory=dict)

    @property
    def late_absences(self) -> tuple[LateAbsence, ...]:
        """Patients with draws in the first two windows, and none in the last one."""
        windows = self.levels.reset_index().groupby("patient")["window"].agg(set)
        final = len(self.windows) - 1
        absent = {patient for patient, positions in windows.items() if {0, 1} <= positions and final not in positions}
        return tuple(
            LateAbsence(code, self.death_days.get(patient, float("nan")))
            for patient, code in self.codes.items()
            if patient in absent
        )

    @property
    def dated(self) -> bool:
        """Whether times are days."""
        return self.trajectories.dated

    @property
    def times_outside(self) -> tuple[float, ...]:
        """Times of draws that lie in no window."""
        draws = self.trajectories.rows[["patient", "time"]].drop_duplicates()
        return times_outside(draws["time"], self.windows)

    @property
    def analytes(self) -> tuple[str, ...]:
        """Analytes within the assay's range in at least one draw, alphabetically."""
        return tuple(dict.fromkeys(name for name in self.trajectories.rows["analyte"] if name not in self.censored))

    @property
    def changed_analytes(self) -> int:
        """Number of analytes with a significant change."""
        return len({change.analyte for change in self.changes if change.significant})

    @property
    def by_window(self) -> tuple[WindowChanges, ...]:
        """Changes of each window but the baseline."""
        return tuple(
            WindowChanges(window.name, tuple(change for change in self.changes if change.window == window.name))
            for window in self.windows[1:]
        )

    @property
    def small_samples(self) -> int:
        """Number of changes of fewer than `MIN_PATIENTS` patients."""
        return sum(change.patients < MIN_PATIENTS for change in self.changes)


def analyse_immune(cohort: Cohort, windows: Sequence[Window]) -> ImmuneResults | ImmuneAbsence:
    """Return the immune trajectories of a cohort and their tests, or what the cohort lacks for them.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    course = trajectories(cohort)
    if course is None or course.rows.groupby("patient")["time"].nunique().max() < 2:
        return ImmuneAbsence("no immune measurements" if cohort.immune is None else "no serial draws")
    results = analyse_trajectories(course, windows, patient_codes(cohort), comparator=has_comparator(cohort))
    dead = deaths(cohort)
    return (
        results
        if dead is None
        else replace(results, death_days={str(name): float(day) for name, day in dead["day"].items()})
    )


def analyse_trajectories(
    course: Trajectories, windows: Sequence[Window], codes: Mapping[str, str], *, comparator: bool
) -> ImmuneResults:
    """Return the tests of trajectories.

    Parameters
    ----------
    course : Trajectories
    windows : sequence of Window
        Of days; not used where draws are not dated.
    codes : mapping of str to str
        Code of each patient.
    comparator : bool
        Whether one of several arms went without the transplant.
    """
    rows = course.rows
    windows = tuple(windows) if course.dated else windows_of_visits(course)
    has_pattern = course.dated and len(windows) > 2
    peaks, falls = peaks_and_falls(rows) if has_pattern else ((), ())
    censored = (rows["censored"] != "").groupby(rows["analyte"]).all()
    return ImmuneResults(
        trajectories=course,
        windows=windows,
        codes=codes,
        draws=_count_draws(rows),
        levels=levels_in_windows(rows, windows),
        changes=level_changes(rows, windows),
        trends=() if course.dated else level_trends(rows),
        patterns=pattern_tests(rows, windows) if has_pattern else None,
        peaks=peaks,
        falls=falls,
        censored=tuple(censored.index[censored]),
        comparator=comparator,
    )


def _count_draws(rows: pd.DataFrame) -> BloodDraws:
    draws = rows[["patient", "time"]].drop_duplicates()
    return BloodDraws(
        draws=len(draws),
        patients=draws["patient"].nunique(),
        with_several=int((draws.groupby("patient").size() > 1).sum()),
        first_time=float(rows["time"].min()),
        last_time=float(rows["time"].max()),
        measurements=len(rows),
        analytes=rows["analyte"].nunique(),
        below_detection=int((rows["censored"] == "below").sum()),
        above_range=int((rows["censored"] == "above").sum()),
    )
