"""Immune trajectories: tests and intervals beside SciPy's and statsmodels', and sections of little or odd data."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from benchmarks.study_error_rates import blood
from features.cohort import read_cohort
from features.trajectories import WINDOWS, Trajectories
from taxokine.simulation import simulate_trial
from training.study.immune import (
    _changed,
    change_table,
    immune_section,
    pattern_table,
    peak_tables,
    trend_table,
)


def test_planted_rise_and_fall_is_found_and_noise_is_not():
    rng = np.random.default_rng(3)
    rows = blood(rng, 8, 6)
    assert pattern_table(rows, WINDOWS)["q"].min() > 0.05
    moved = rows.assign(log2=rows["log2"] + 3 * rows["time"].between(7, 28) + 1.5 * (rows["time"] > 28))
    found = pattern_table(moved, WINDOWS)
    assert (found["q"] <= 0.05).sum() >= 3
    assert change_table(moved, WINDOWS[:2])["low"].gt(0).all()


def test_tables_name_their_method_and_share_one_family():
    rows = blood(np.random.default_rng(6), 14, 3)
    rows = rows[(rows["analyte"] != "a2") | (rows["patient"] < "p08")]
    hidden = rows["analyte"] == "a1"
    rows = rows.assign(censored=rows["censored"].mask(hidden & (rows["log2"] < 1.5), "below"))
    table = change_table(rows, WINDOWS)
    assert table.groupby("analyte")["method"].first().to_dict() == {
        "a0": "mixed model", "a1": "sign-flip", "a2": "sign-flip"
    }  # fmt: skip
    np.testing.assert_allclose(table["q"], false_discovery_control(table["p"]))
    assert set(trend_table(rows)["analyte"]) == {"a0"}


def test_peaks_are_each_patients_own():
    rows = pd.DataFrame(
        {"analyte": "a", "patient": ["p"] * 5 + ["q"] * 5, "time": [-1.0, 10, 40, 70, 100] * 2,
         "log2": [0.0, 3, 2, 1, 0, 1, 2, 4, 5, 6], "censored": "", "limit": np.nan}
    )  # fmt: skip
    peaks, falls = peak_tables(rows)
    assert peaks[["peak", "day"]].to_numpy().tolist() == [[3, 10], [5, 100]]
    assert peaks["slope"].tolist() == pytest.approx([-1, 0])
    assert falls["patients"].tolist() == [2]


def test_the_section_of_five_patients_says_what_cannot_be_significant(five):
    section = immune_section(five)
    said = " ".join(section.summary)
    assert "no exact two-sided p is below 0.0625" in said
    assert "none of these changes can be attributed" in said
    assert section.tables["changes"].frame["p"].min() == 0.0625
    assert set(section.tables["levels"].frame["patient"]) == {f"P{i}" for i in range(1, 6)}
    assert "SIM-" not in repr(section)
    assert set(section.figures) == {"trajectories", "changes"}
    peaks, told = (section.tables[name].frame.set_index("analyte") for name in ("peaks", "falls"))
    day = peaks.loc["IL-10", "day"]
    assert told.loc["IL-10", "day of peak"] == f"{day.median():g} ({day.min():g} to {day.max():g})"
    assert told.loc["IL-10", "peak"].startswith(f"{peaks.loc['IL-10', 'peak'].median():.3g} (")


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    folder = tmp_path_factory.mktemp("five") / "trial"
    return read_cohort(simulate_trial(folder, n_patients=5, n_taxa=40, n_donors=2, missed=0.0, seed=2), folder)


def altered(cohort, change):
    return replace(cohort, immune=replace(cohort.immune, rows=change(cohort.immune.rows)))


def test_one_patient_and_an_analyte_that_was_never_detected(five):
    def one(rows):
        rows = rows[rows["patient"] == rows["patient"].iloc[0]]
        return rows.assign(censored=rows["censored"].mask(rows["analyte"] == "IL-2", "below"))

    section = immune_section(altered(five, one))
    assert (
        "No analyte was measured within its range, at baseline and in a later window, in two patients."
        in section.summary
    )
    assert section.missing == ("below detection or above the range in every draw, so without a trajectory: IL-2",)
    assert set(section.tables["peaks"].frame["analyte"]) == set(five.immune.rows["analyte"]) - {"IL-2"}
    assert section.tables["falls"].frame["p"].isna().all()
    assert not {"changes", "pattern"} & set(section.tables)  # a table without rows is none


def test_all_above_the_range_have_not_been_seen_to_change(five):
    def high(rows):
        mine = rows["analyte"] == "IL-2"
        return rows.assign(censored=rows["censored"].mask(mine, "above"), value=rows["value"].mask(mine, np.nan))

    section = immune_section(altered(five, high))
    assert "IL-2" not in set(section.tables["changes"].frame["analyte"])
    assert "above the range in every draw, so without a trajectory: IL-2" in section.missing[0]
    assert re.search(r" and \d+ above the range\.$", section.summary[0])


def two_windows(n, before, after):
    """Return draws of `n` patients on day -7 and day 14; each is a level and its censoring."""
    rows = [
        {"analyte": "a", "patient": f"p{i:02}", "time": time, "log2": level, "censored": censored, "limit": np.nan}
        for i in range(n)
        for time, (level, censored) in ((-7.0, before(i)), (14.0, after(i)))
    ]
    return pd.DataFrame(rows)


def test_undetected_twice_is_unchanged_in_the_mixed_model_too():
    noise = np.random.default_rng(2).normal(0, 0.1, (2, 12))
    rows = two_windows(
        12,
        lambda i: (1.0, "below") if i < 5 else (5 + noise[0, i], ""),
        lambda i: (3.0, "below") if i < 5 else (5 + noise[1, i], ""),
    )
    found = change_table(rows, WINDOWS[:2]).iloc[0]
    assert (found["method"], found["patients"], found["undetected"]) == ("mixed model", 12, 5)
    assert abs(found["change"]) < 0.1


def test_a_change_is_of_those_drawn_in_both_windows():
    noise = np.random.default_rng(3).normal(0, 0.5, (2, 18))
    rows = two_windows(18, lambda i: (noise[0, i] + 9 * (i > 13), ""), lambda i: (1 + noise[1, i], ""))
    once = ((rows["patient"] > "p13") & (rows["time"] > 0)) | (
        rows["patient"].isin(["p10", "p11"]) & (rows["time"] < 0)
    )
    found = change_table(rows[~once], WINDOWS[:2]).iloc[0]
    paired = np.r_[0:10, 12:14]
    assert found["patients"] == 12
    assert found["change"] == pytest.approx((1 + noise[1] - noise[0])[paired].mean())


def test_what_has_neither_limit_nor_number_is_not_tested():
    rows = two_windows(6, lambda i: (np.nan, "below"), lambda i: (np.nan, "above"))
    assert change_table(rows, WINDOWS[:2]).empty


def test_half_of_a_high_limit_is_no_peak():
    rows = pd.DataFrame(
        {"analyte": "a", "patient": "p", "time": [10.0, 40, 90, 120], "log2": [2.0, 1.9, 3, 1.5],
         "censored": ["", "", "below", ""], "limit": [np.nan, np.nan, 4, np.nan]}
    )  # fmt: skip
    assert peak_tables(rows)[0]["day"].tolist() == [10]


def test_few_patients_are_said_of_their_windows_alone():
    rows = blood(np.random.default_rng(1), 12)
    late = rows[(rows["time"] < 90) | rows["patient"].isin(["p00", "p01", "p02", "p03"])]
    table = change_table(late, WINDOWS)
    said = _changed(table, WINDOWS, Trajectories(late, "day_fmt", True, "pg/mL"))[-1]
    assert said.startswith("1 of the 2 changes are of fewer than 6 patients")


def test_one_window_has_no_pattern_to_be_described(five):
    short, whole = (" ".join(immune_section(five, windows).methods) for windows in (WINDOWS[:2], WINDOWS))
    assert "Berger" not in short
    assert "Berger" in whole
    assert "chosen by the analyst: baseline, days 7 to 28." in short
    assert "as the program has them for every trial" in whole


def test_all_below_detection(five):
    section = immune_section(altered(five, lambda rows: rows.assign(censored="below", value=np.nan, limit=np.nan)))
    assert "IL-2" in section.missing[0]
    assert section.figures == {}
    assert any("within the assay's range in all of" in text for text in section.summary)


@pytest.mark.parametrize(("n", "shown"), [(4, False), (5, True)])
def test_an_interval_is_shown_of_five_patients_and_not_of_four(five, n, shown):
    kept = five.immune.rows["patient"].unique()[:n]
    frame = immune_section(altered(five, lambda rows: rows[rows["patient"].isin(kept)])).tables["changes"].frame
    mine = frame[frame["patients"] == n]
    assert mine["fold change"].notna().sum() > 0
    assert (mine["low"].notna() == shown).all()


def test_what_is_missing_is_said(five):
    none = replace(five, immune=None)
    once = altered(five, lambda rows: rows.drop_duplicates(["patient", "analyte"]))
    for cohort, why in ((none, "no immune measurements"), (once, "one draw a patient")):
        section = immune_section(cohort)
        assert (section.summary, section.figures) == ((), {})
        assert why in section.missing[0]
