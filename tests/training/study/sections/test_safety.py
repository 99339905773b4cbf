"""The section of safety, of a trial written by hand and a published one."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest

from features.cohort import read_cohort
from features.survival import time_to_event
from taxokine.simulation import TACITO, simulate_trial
from training.study.codes import patient_codes
from training.study.sections.safety import safety_section

from ..five_patients import MANIFEST, PATIENTS, five_patients

EVENTS = (
    f"{PATIENTS[0]},Diarrhoea,1,3,FMT,no,\n{PATIENTS[0]},Diarrhoea,1,9,FMT,no,\n{PATIENTS[1]},Rash,1,20,ICI,no,\n"
    f"{PATIENTS[1]},Urinary tract infection,3,60,,yes,Escherichia coli\n{PATIENTS[2]},Sepsis,1,-4,,yes,\n"
)


def test_the_section_states_terms_causes_and_times(tmp_path):
    cohort = five_patients(tmp_path, events=EVENTS)
    section = safety_section(cohort)
    summary, tables = "\n".join(section.summary), {name: table.frame for name, table in section.tables.items()}
    assert "Adverse events of grade 1 or above: 2 of 5 patients" in summary
    assert "attributed to FMT: 1 of 5 patients" in summary
    assert "serious adverse event: 1 of 5 patients" in summary
    assert "None of 5 patients had an event of grade 4 or above" in summary
    assert "1 before day 0 precede the treatment" in "\n".join(section.notes)
    assert tables["terms"].set_index("term").loc["any event", ["grade 1", "grade 3", "patients"]].tolist() == [1, 1, 2]
    assert tables["infections"]["organism"].tolist() == ["Escherichia coli"]
    assert set(tables["attribution"]["rate of"]) == {"FMT", "ICI", "not stated"}
    incidence = tables["incidence"].set_index(["event", "day"])["incidence"]
    assert incidence["any grade", 30] == pytest.approx(0.4)
    # The second patient's treatment ends on day 152, so that censoring there changes nothing on day 90.
    assert incidence["grade 3 or above, censored at the end of treatment", 90] == pytest.approx(0.25)
    assert not [name for name in PATIENTS if name in summary + "".join(table.to_csv() for table in tables.values())]


def test_the_summary_states_fatal_events(tmp_path):
    section = safety_section(five_patients(tmp_path, events=f"{PATIENTS[0]},Colitis,5,30,ICI,yes,\n"))
    assert "Fatal adverse events (grade 5): 1 of 5 patients (20%, 95% interval 1 to 72%)." in section.summary
    assert section.headlines[1].startswith("Worst adverse events: grade 5, fatal (Colitis) in 1 of 5 patients")


def test_the_headlines_name_the_worst_events_and_state_that_none_was_serious(tmp_path):
    events = "".join(f"{PATIENTS[row]},{term},{row // 4 + 1},9,ICI,no,\n" for row, term in enumerate("Abcde"))
    headlines = safety_section(five_patients(tmp_path, events=events)).headlines
    assert headlines[0] == "Worst adverse events: grade 2 (e) in 1 of 5 patients (20%, 95% interval 1 to 72%)."
    assert "No patient had a serious adverse event (0 of 5)." in headlines


def test_each_death_stands_with_its_cause_and_what_is_recorded_before(tmp_path):
    cohort = five_patients(tmp_path, died="11011")
    dates = cohort.labels.dates.copy()
    dates["progression_free_survival"] = dates["overall_survival"]
    causes = cohort.labels.cause_of_death.replace({"": "other"}).mask(dates.index == PATIENTS[4], "other")
    labels = replace(cohort.labels, dates=dates, cause_of_death=causes)
    section = safety_section(replace(cohort, labels=labels))
    deaths = section.tables["deaths"].frame.set_index("patient")
    assert list(deaths.index) == ["P1", "P2", "P4", "P5"]
    # A progression by assessment counts, also one that waits for confirmation.
    assert deaths["progression"].tolist() == ["day 40", "day 140", "day 63", "none"]
    assert deaths.loc["P5", ["day", "month", "cause", "last assessment"]].tolist() == [
        1592,
        52.3,
        "other",
        "CR, day 126",
    ]
    sentence = (
        "Deaths: 4 of 5 patients, by cause tumour 3, other 1. 1 of the 4 died without a recorded progression (P5)."
    )
    assert sentence in section.summary
    assert sentence in section.headlines


def test_without_causes_and_progression_deaths_are_counted_alone(tmp_path):
    outcomes = {"survival": {"overall_survival": MANIFEST["outcomes"]["survival"]["overall_survival"]}}
    section = safety_section(five_patients(tmp_path, died="10000", outcomes=outcomes, course={}))
    assert "Deaths: 1 of 5 patients; no cause is reported." in section.summary
    assert section.tables["deaths"].frame[["cause", "progression"]].to_numpy().tolist() == [
        ["not reported", "not known"]
    ]
    assert "deaths" not in safety_section(five_patients(tmp_path, died="00000")).tables


def test_without_censoring_incidence_is_the_share_of_patients(tmp_path):
    cohort = five_patients(tmp_path, events=EVENTS)
    rows = time_to_event(cohort.labels, "time_to_toxicity_any", pd.Index(PATIENTS), 0)
    share = ((rows["time"] <= 365) & (rows["event"] == 1)).mean()
    table = safety_section(cohort).tables["incidence"].frame
    row = table[(table["event"] == "any grade") & (table["day"] == 365)].iloc[0]
    assert row["incidence"] == pytest.approx(share)
    assert row["died before"] == pytest.approx(((rows["time"] <= 365) & (rows["event"] == 2)).mean())


def test_without_any_event_the_summary_states_the_bound(tmp_path):
    section = safety_section(five_patients(tmp_path))
    assert "None of 5 patients had an event of grade 1 or above; that still allows a rate of 45%" in "\n".join(
        section.summary
    )
    assert {"grades", "stopping_boundary", "stopping_operating"} <= set(section.tables)
    assert any("none was recorded" in text for text in section.missing)


def test_without_a_table_of_events_the_section_states_what_is_missing(tmp_path):
    section = safety_section(five_patients(tmp_path, outcomes={}))
    assert not section.tables
    assert "outcomes.toxicity.events" in section.missing[0]


def test_a_published_flag_gives_a_rate_among_patients_in_whom_it_is_known(tmp_path):
    toxicity = {"column": "best", "grade": "any", "yes": ["PD", "SD"], "no": ["PR"], "unknown": ["CR"]}
    section = safety_section(five_patients(tmp_path, outcomes={"toxicity": toxicity}))
    assert section.tables["grades"].frame[["patients", "of"]].to_numpy().tolist() == [[2, 4]]


def test_without_dated_follow_up_there_is_no_incidence(cohorts_dir):
    cohort = read_cohort("mitox", cohorts_dir, fetch=False)
    section = safety_section(cohort)
    assert "incidence" not in section.tables
    assert any("last_follow_up" in text for text in section.missing)
    assert section.metrics == {"grade_1_patients": 16, "grade_2_patients": 12, "grade_3_patients": 2}
    assert not [name for name in patient_codes(cohort) if name in section.tables["events"].frame.to_csv()]


def test_the_headline_leads_with_severe_events_of_each_arm(tmp_path):
    folder = tmp_path / "trial"
    trial = read_cohort(simulate_trial(folder, replace(TACITO, n_taxa=30, seed=3)), folder)
    headlines = safety_section(trial).headlines
    assert re.match(
        r"Adverse events of grade 3 or above: \d+ of 23 \(\d+%\) with FMT and \d+ of 22 \(\d+%\) of controls, "
        r".* \(95% interval",
        headlines[0],
    )
    assert headlines[1].startswith("Worst adverse events, all arms together: grade 4 (")
    assert headlines[2].startswith("None of 45 patients, all arms together, had an event of grade 5, a fatal one")
    assert "of controls" not in " ".join(safety_section(five_patients(tmp_path, events=EVENTS)).headlines)
