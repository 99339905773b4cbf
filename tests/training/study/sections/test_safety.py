"""The section of safety: exact bounds, worst grades, causes, times and the stopping boundary."""

from __future__ import annotations

import pandas as pd
import pytest

from features.cohort import read_cohort
from features.survival import time_to_event
from training.study.codes import patient_codes
from training.study.sections.safety import safety_section

from ..five_patients import PATIENTS, five_patients

EVENTS = (
    f"{PATIENTS[0]},Diarrhoea,1,3,FMT,no,\n{PATIENTS[0]},Diarrhoea,1,9,FMT,no,\n{PATIENTS[1]},Rash,1,20,ICI,no,\n"
    f"{PATIENTS[1]},Urinary tract infection,3,60,,yes,Escherichia coli\n{PATIENTS[2]},Sepsis,1,-4,,yes,\n"
)


def test_the_section_tells_terms_causes_and_times(tmp_path):
    cohort = five_patients(tmp_path, events=EVENTS)
    found = safety_section(cohort)
    summary, tables = "\n".join(found.summary), {name: table.frame for name, table in found.tables.items()}
    assert "Adverse events of grade 1 or above: 2 of 5 patients" in summary
    assert "attributed to FMT: 1 of 5 patients" in summary
    assert "serious adverse event: 1 of 5 patients" in summary
    assert "None of 5 patients had an event of grade 4 or above" in summary
    assert "1 before day 0 precede the treatment" in "\n".join(found.notes)
    assert tables["terms"].set_index("term").loc["any event", ["grade 1", "grade 3", "patients"]].tolist() == [1, 1, 2]
    assert tables["infections"]["organism"].tolist() == ["Escherichia coli"]
    assert set(tables["attribution"]["rate of"]) == {"FMT", "ICI", "not stated"}
    first = tables["incidence"].set_index(["event", "day"])["incidence"]
    assert first["any grade", 30] == pytest.approx(0.4)
    # The second patient's treatment ends on day 152, so that censoring there changes nothing on day 90.
    assert first["grade 3 or above, censored at the end of treatment", 90] == pytest.approx(0.25)
    assert not [name for name in PATIENTS if name in summary + "".join(table.to_csv() for table in tables.values())]


def test_a_fatal_event_is_said(tmp_path):
    found = safety_section(five_patients(tmp_path, events=f"{PATIENTS[0]},Colitis,5,30,ICI,yes,\n"))
    assert "Fatal adverse events (grade 5): 1 of 5 patients (20%, 95% interval 1 to 72%)." in found.summary


def test_incidence_at_a_day_without_censoring_is_a_share(tmp_path):
    cohort = five_patients(tmp_path, events=EVENTS)
    rows = time_to_event(cohort.labels, "time_to_toxicity_any", pd.Index(PATIENTS), 0)
    by_day = ((rows["time"] <= 365) & (rows["event"] == 1)).mean()
    table = safety_section(cohort).tables["incidence"].frame
    found = table[(table["event"] == "any grade") & (table["day"] == 365)].iloc[0]
    assert found["incidence"] == pytest.approx(by_day)
    assert found["died before"] == pytest.approx(((rows["time"] <= 365) & (rows["event"] == 2)).mean())


def test_no_event_at_all_is_a_finding_with_its_bound(tmp_path):
    found = safety_section(five_patients(tmp_path))
    assert "None of 5 patients had an event of grade 1 or above; that still allows a rate of 45%" in "\n".join(
        found.summary
    )
    assert {"grades", "stopping_boundary", "stopping_operating"} <= set(found.tables)
    assert any("none was recorded" in text for text in found.missing)


def test_without_events_the_section_says_what_is_missing(tmp_path):
    found = safety_section(five_patients(tmp_path, outcomes={}))
    assert not found.tables
    assert "outcomes.toxicity.events" in found.missing[0]


def test_a_published_flag_is_a_rate_of_those_in_whom_it_is_known(tmp_path):
    toxicity = {"column": "best", "grade": "any", "yes": ["PD", "SD"], "no": ["PR"], "unknown": ["CR"]}
    found = safety_section(five_patients(tmp_path, outcomes={"toxicity": toxicity}))
    assert found.tables["grades"].frame[["patients", "of"]].to_numpy().tolist() == [[2, 4]]


def test_events_whose_follow_up_is_not_dated_have_no_incidence(cohorts_dir):
    cohort = read_cohort("mitox", cohorts_dir, fetch=False)
    found = safety_section(cohort)
    assert "incidence" not in found.tables
    assert any("last_follow_up" in text for text in found.missing)
    assert found.metrics == {"grade_1_patients": 16, "grade_2_patients": 12, "grade_3_patients": 2}
    assert not [name for name in patient_codes(cohort) if name in found.tables["events"].frame.to_csv()]
