"""The section of immune trajectories, of complete, scarce and censored data."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.study_error_rates import blood
from features.cohort import read_cohort
from features.trajectories import WINDOWS, Trajectories, Window
from taxokine.simulation import Trial, simulate_trial
from training.drawing import DONOR_COLOUR
from training.study.analysis.false_discovery import with_q
from training.study.analysis.immune import analyse_trajectories
from training.study.analysis.immune_changes import LevelTrend
from training.study.section import write_topic
from training.study.sections.immune import immune_section
from training.study.sentences import write_sentences


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    folder = tmp_path_factory.mktemp("five") / "trial"
    return read_cohort(
        simulate_trial(folder, Trial(n_patients=5, n_taxa=40, n_donors=2, missing_share=0.0, seed=2)), folder
    )


def with_immune_rows(cohort, change):
    """Return the cohort with changed immune measurements."""
    return replace(cohort, immune=replace(cohort.immune, rows=change(cohort.immune.rows)))


def test_five_patients_cannot_reach_significance(five):
    section = immune_section(five)
    summary = " ".join(section.summary)
    assert "no exact two-sided p is below 0.0625" in summary
    assert "none of these changes can be attributed" in summary
    assert section.tables["changes"].frame["p"].min() == 0.0625
    assert set(section.tables["levels"].frame["patient"]) == {f"P{i}" for i in range(1, 6)}
    assert "SIM-" not in repr(section)
    assert set(section.figures) == {"trajectories", "changes"}


def test_each_part_of_the_pattern_has_its_estimate_interval_and_n(five):
    section = immune_section(five)
    pattern = section.tables["pattern"].frame.set_index("analyte")
    levels = (
        section.tables["levels"].frame.pivot(index=["analyte", "patient"], columns="window", values="level").dropna()
    )
    analyte = next(name for name in pattern.index if f"{name} rose" in section.headlines[0])
    ratio = levels.loc[analyte]["days 7 to 28"] / levels.loc[analyte]["baseline"]
    rise = pattern.loc[analyte, "rise"]
    assert rise == pytest.approx(np.exp(np.log(ratio).mean()))
    assert f"{analyte} rose × {rise:.2f} (" in section.headlines[0]
    assert f"(n = {len(ratio)})" in section.headlines[0]
    assert (pattern["end, low"] <= pattern["end"]).all()
    falls = section.tables["falls"].frame
    assert (falls["slope, low"] <= falls["slope"]).all()
    assert any(
        re.search(r"log2 for 30 days: .* (-?\d\.\d\d) \(range of 5 patients -", text) for text in section.summary
    )


def test_a_pattern_of_each_patient_is_told_from_one_of_the_average(five):
    headline = " ".join(immune_section(five).headlines)
    assert headline.startswith(
        "None of 6 analytes passes a false discovery rate of 5% for the stated pattern: a rise by"
    )
    assert re.search(r" shows? it in every one of \d patients\. ", headline)
    assert "On average over patients, " in headline
    summary = " ".join(immune_section(five).summary)
    assert re.search(r"With \d patients no test of an average change can reach 5%", summary)
    # A level that falls is never said to have risen.
    for factor in re.findall(r" rose × (\d+\.\d+)", headline):
        assert float(factor) >= 1


def test_the_figure_of_trajectories_has_unit_day_0_and_tick_labels(five):
    figure = immune_section(five).figures["trajectories"].draw()
    figure.draw_without_rendering()
    assert figure.get_supylabel() == "pg/mL"
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    for axes in panels:
        assert any(list(line.get_xdata()) == [0, 0] for line in axes.lines)
        assert any(label.get_text() for label in axes.get_xticklabels() if label.get_visible())
    colours = {line.get_color() for axes in panels for line in axes.lines}
    assert DONOR_COLOUR not in colours


def test_the_table_of_falls_summarises_the_table_of_peaks(five):
    tables = immune_section(five).tables
    peaks, falls = (tables[name].frame.set_index("analyte") for name in ("peaks", "falls"))
    day = peaks.loc["IL-10", "day"]
    assert falls.loc["IL-10", "day of peak"] == f"{day.median():g} ({day.min():g} to {day.max():g})"
    assert falls.loc["IL-10", "peak"].startswith(f"{peaks.loc['IL-10', 'peak'].median():.3g} (")


def test_one_patient_has_trajectories_and_peaks_but_no_tests(five):
    def first_patient(rows):
        rows = rows[rows["patient"] == rows["patient"].iloc[0]]
        return rows.assign(censored=rows["censored"].mask(rows["analyte"] == "IL-2", "below"))

    section = immune_section(with_immune_rows(five, first_patient))
    assert section.summary[1] == (
        "No analyte was measured within its range, at baseline and in a later window, in two patients."
    )
    unseen = "below detection or above the range in every draw, so without a trajectory: IL-2"
    assert section.missing == (
        unseen,
        "blood draws in no window: 3 of 5, of days 31 to 87, enter no comparison; name windows of your visits with "
        "--windows",
    )
    assert set(section.tables["peaks"].frame["analyte"]) == set(five.immune.rows["analyte"]) - {"IL-2"}
    assert section.tables["falls"].frame["p"].isna().all()
    assert not {"changes", "pattern"} & set(section.tables)  # An empty table is not written.


def test_an_analyte_above_the_range_in_every_draw_is_not_tested(five):
    def above_range(rows):
        mask = rows["analyte"] == "IL-2"
        return rows.assign(censored=rows["censored"].mask(mask, "above"), value=rows["value"].mask(mask, np.nan))

    section = immune_section(with_immune_rows(five, above_range))
    assert "IL-2" not in set(section.tables["changes"].frame["analyte"])
    assert "above the range in every draw, so without a trajectory: IL-2" in section.missing[0]
    assert re.search(r" and \d+ above the range\.$", section.summary[0])


def test_the_summary_counts_the_changes_of_few_patients():
    rows = blood(np.random.default_rng(1), 12)
    rows = rows[(rows["time"] < 90) | rows["patient"].isin(["p00", "p01", "p02", "p03"])]
    results = analyse_trajectories(Trajectories(rows, "day_fmt", True, "pg/mL"), WINDOWS, {}, comparator=False)
    summary = write_topic("immune/changes", results).summary
    assert summary[-1].startswith("1 of the 2 changes are of fewer than 6 patients")


def test_draws_in_no_window_are_counted_with_their_days(five):
    (text,) = (text for text in immune_section(five, WINDOWS[:2]).missing if "window" in text)
    draws = five.immune.rows[["patient", "day"]].drop_duplicates()["day"].astype(float)
    outside = draws[((draws > 0) & (draws < 7)) | (draws > 28)]
    assert f"blood draws in no window: {len(outside)} of {len(draws)}, of days {outside.min():g} to " in text


def test_methods_describe_the_pattern_only_where_it_is_tested(five):
    two_windows, all_windows = (" ".join(immune_section(five, windows).methods) for windows in (WINDOWS[:2], WINDOWS))
    assert "Berger" not in two_windows
    assert "Berger" in all_windows
    assert "chosen by the analyst: baseline, days 7 to 28." in two_windows
    assert "the defaults of the program" in all_windows


def test_without_any_detected_value_nothing_is_drawn(five):
    section = immune_section(
        with_immune_rows(five, lambda rows: rows.assign(censored="below", value=np.nan, limit=np.nan))
    )
    assert "IL-2" in section.missing[0]
    assert section.figures == {}
    assert any("within the assay's range in all of" in text for text in section.summary)


@pytest.mark.parametrize("n", [4, 5])
def test_too_few_patients_for_an_interval_have_their_range_everywhere(five, n):
    patients = five.immune.rows["patient"].unique()[:n]
    section = immune_section(with_immune_rows(five, lambda rows: rows[rows["patient"].isin(patients)]))
    levels = section.tables["levels"].frame.pivot(index=["analyte", "patient"], columns="window", values="level")
    ratios = (levels["days 7 to 28"] / levels["baseline"])["IL-10"]
    frame = section.tables["changes"].frame
    row = frame[(frame["analyte"] == "IL-10") & (frame["window"] == "days 7 to 28")].iloc[0]
    assert row[["low", "high"]].tolist() == pytest.approx([ratios.min(), ratios.max()])
    assert set(frame["limits"]) == set(section.tables["pattern"].frame["limits"]) == {"range of patients"}
    texts = " ".join([*section.headlines, *section.summary])
    assert f"range of {n} patients" in texts
    assert not re.search(r"\d% interval", texts)
    lines = [line.get_linestyle() for axes in section.figures["changes"].draw().axes for line in axes.lines]
    assert ":" in lines


def test_patients_without_a_late_draw_are_named_with_their_deaths(five):
    lost = five.immune.rows["patient"].unique()[1]

    def until_day_28(rows):
        return rows[(rows["patient"] != lost) | (rows["day"].astype(float) <= 28)]

    dates = five.labels.dates.copy()
    dates.loc[lost, ["overall_survival", "overall_survival_event"]] = [76.0, True]
    for labels, end in (
        (replace(five.labels, dates=dates), "(P2, died at 2.5 months): the pattern is one of survivors."),
        (replace(five.labels, dates=dates.assign(overall_survival_event=False)), "(P2)."),
    ):
        cohort = with_immune_rows(replace(five, labels=labels), until_day_28)
        (headline,) = immune_section(cohort, (*WINDOWS[:2], Window("days 29 to 200", 29, 200))).headlines
        assert f"1 of 5 patients has no draw of days 29 to 200 {end} On average over patients, " in headline


@pytest.mark.parametrize("n", [12, 29])
def test_no_trend_is_foremost_in_short_where_none_is_significant(n):
    trends = with_q(
        [
            LevelTrend(analyte=name, patients=n, change=change, low=-1.0, high=1.0, confidence=0.95, p=p)
            for name, change, p in (("IL-6", 0.0, 0.9), ("IL-8", 0.5, 0.3))
        ]
    )
    texts = write_sentences("immune/trends", SimpleNamespace(trends=trends))
    (sentence,) = texts["headlines"]
    assert sentence.startswith("None of 2 analytes passes a false discovery rate of 5%")
    assert sentence.endswith(f"by × 1.000 to 1.414 a visit (n = {n}).")
    (sentence,) = texts["summary"]
    assert "0 of 2 analytes rise or fall" in sentence
    assert sentence.endswith(f"; foremost IL-8 × 1.414 a visit (0.500 to 2.000, n = {n}).")


def test_the_section_states_what_is_missing(five):
    unmeasured = replace(five, immune=None)
    one_draw = with_immune_rows(five, lambda rows: rows.drop_duplicates(["patient", "analyte"]))
    for cohort, reason in ((unmeasured, "no immune measurements"), (one_draw, "one draw a patient")):
        section = immune_section(cohort)
        assert (section.summary, section.figures) == ((), {})
        assert reason in section.missing[0]
