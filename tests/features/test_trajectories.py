"""Trajectories: levels and changes by window, with what was not detected."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from features.cohort import read_cohort
from features.errors import InputError
from features.trajectories import (
    WINDOWS,
    Window,
    levels_in_windows,
    log2_changes,
    parse_windows,
    trajectories,
    windows_of_visits,
)

BLOOD = (
    "patient,day,IL6,TNF,IL2\n"
    "p1,-9,1,<2,<4\np1,-3,2,4,<4\np1,7,8,<2,<4\np1,28,2,16,<4\np1,29,99,99,<4\np1,90,4,4,<4\n"
    "p2,-40,5,<2,<4\np2,10,10,<4,<4\np2,200,0,NA,<4\np3,14,3,3,<4\n"
)


@pytest.fixture(scope="module")
def series(write_cohort):
    return trajectories(read_cohort(write_cohort({"blood.csv": BLOOD}), Path()))


def test_levels_are_log2_of_the_number_and_of_half_the_limit(series):
    rows = series.rows.set_index(["analyte", "patient", "time"])
    assert (series.clock, series.dated, series.unit) == ("day_ici", True, "pg/mL")
    assert rows.loc[("IL-6", "p1", 7), "log2"] == 3
    assert tuple(rows.loc[("TNF-a", "p1", -9), ["log2", "limit", "censored"]]) == (0, 1, "below")
    # A published 0 is below the smallest number seen, 1.
    assert tuple(rows.loc[("IL-6", "p2", 200), ["log2", "limit", "censored"]]) == (-1, 0, "below")
    assert ("TNF-a", "p2", 200) not in rows.index


def test_windows_take_the_last_baseline_and_the_mean_logarithm(series):
    levels = levels_in_windows(series.rows, WINDOWS)["log2"]
    assert levels["IL-6", "p1"].tolist() == [1, 2, 2]
    assert levels["IL-6", "p2"].tolist() == pytest.approx([math.log2(5), math.log2(10), -1])
    assert levels["IL-6", "p3"].index.tolist() == [1]


def test_two_levels_below_different_limits_are_a_tie(series):
    levels = levels_in_windows(series.rows, WINDOWS)
    early = log2_changes(levels, 1)
    assert tuple(early.loc[("TNF-a", "p2")]) == (0, True, False)
    assert tuple(early.loc[("TNF-a", "p1")]) == (0, False, False)
    assert early.loc["IL-2", "below"].all()
    assert ("IL-6", "p3") not in early.index
    assert log2_changes(levels, 2, 1).loc[("IL-6", "p1"), "change"] == 0


def test_a_window_without_draws_has_no_changes(series):
    assert log2_changes(levels_in_windows(series.rows, (WINDOWS[0], Window("never", 500, 600))), 1).empty


@pytest.mark.parametrize("windows", [WINDOWS[:1], (WINDOWS[1], WINDOWS[0]), (Window("a", 0, 7), Window("b", 7, 9))])
def test_windows_that_overlap_are_refused(series, windows):
    with pytest.raises(InputError, match="do not overlap"):
        levels_in_windows(series.rows, windows)


def test_expression_is_not_transformed(write_cohort):
    expression_unit = {"unit": "log2_expression"}
    path = write_cohort({"blood.csv": "patient,day,IL6\np1,-9,5\np1,8,0\n"}, immune=expression_unit)
    assert trajectories(read_cohort(path, Path())).rows["log2"].tolist() == [5, 0]


def test_no_trajectories_without_blood_or_time(write_cohort):
    assert trajectories(read_cohort(write_cohort(immune=None), Path())) is None
    path = write_cohort({"blood.csv": "patient,IL6\np1,5\n"}, immune={"day": None, "baseline": "before"})
    assert trajectories(read_cohort(path, Path())) is None


def test_momspi_has_visits_and_undetected_values(cohorts_dir):
    series = trajectories(read_cohort("momspi", cohorts_dir, fetch=False))
    assert (series.clock, series.dated, series.unit) == ("visit", False, "unstated")
    il2 = series.rows[series.rows["analyte"] == "IL-2"]
    assert (len(il2), int((il2["censored"] == "below").sum())) == (106, 99)
    # Nobody stated the limit: half of the smallest of the seven that were seen.
    smallest = il2.loc[il2["censored"] == "", "log2"].min()
    np.testing.assert_allclose(il2.loc[il2["censored"] == "below", "log2"], smallest - 1)
    assert series.rows.groupby("analyte")["censored"].apply(lambda c: (c == "above").sum())["RANTES"] == 63
    windows = windows_of_visits(series)
    fifth = log2_changes(levels_in_windows(series.rows, windows), [w.name for w in windows].index("visit 5"))
    assert (len(fifth.loc["IL-2"]), int(fifth.loc["IL-2", "below"].sum())) == (10, 9)


def test_windows_are_written_as_days():
    assert parse_windows("7-28,90-") == WINDOWS
    assert parse_windows("1-1, 2-30")[1:] == (Window("days 1 to 1", 1, 1), Window("days 2 to 30", 2, 30))


@pytest.mark.parametrize("text", ["", "7", "0-5", "28-7", "7-28,28-90", "7-,90-", "a-b", "90-,7-28"])
def test_windows_that_overlap_or_are_none_are_refused(text):
    with pytest.raises(InputError, match="is no window after"):
        parse_windows(text)
