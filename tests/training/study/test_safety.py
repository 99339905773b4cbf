"""The section of safety: exact bounds, worst grades, causes, times and the stopping boundary."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta
from statsmodels.stats.proportion import proportion_confint

from features.cohort import read_cohort
from features.survival import time_to_event
from training.study.analysis.adverse_events import worst_grades
from training.study.analysis.rates import exact_rate, one_sided_bound
from training.study.analysis.stopping import above_limit, operating_characteristics, stopping_boundary, stopping_result
from training.study.codes import patient_codes
from training.study.section import write_part
from training.study.sections.safety import safety_section

from .five_patients import PATIENTS, five_patients

EVENTS = (
    f"{PATIENTS[0]},Diarrhoea,1,3,FMT,no,\n{PATIENTS[0]},Diarrhoea,1,9,FMT,no,\n{PATIENTS[1]},Rash,1,20,ICI,no,\n"
    f"{PATIENTS[1]},Urinary tract infection,3,60,,yes,Escherichia coli\n{PATIENTS[2]},Sepsis,1,-4,,yes,\n"
)


def test_none_of_five_still_allows_45_or_52_percent():
    assert one_sided_bound(5) == pytest.approx(0.4507, abs=1e-4)
    assert exact_rate(0, 5).high == pytest.approx(0.5218, abs=1e-4)


@settings(deadline=None)
@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_rates_have_clopper_and_pearsons_intervals(drawn):
    events, n = drawn
    found = exact_rate(events, n)
    np.testing.assert_allclose((found.low, found.high), proportion_confint(events, n, method="beta"), atol=1e-9)


def test_a_patient_counts_once_by_the_worst_grade():
    events = pd.DataFrame({"patient": list("aaabc"), "term": ["x", "x", "y", "y", "y"], "grade": [1.0, 3, 2, 2, 1]})
    assert worst_grades(events).to_numpy().tolist() == [[1, 1, 1, 0, 0]]
    by_term = worst_grades(events, "term")
    assert by_term.index.tolist() == ["y", "x"]
    assert by_term.to_numpy().tolist() == [[1, 2, 0, 0, 0], [0, 0, 1, 0, 0]]


def test_the_posterior_is_the_likelihood_times_the_prior():
    def density(rate: float) -> float:
        return float(beta.pdf(rate, 0.3, 0.7) * rate**2 * (1 - rate) ** 3)

    above, all_of_it = quad(density, 0.3, 1)[0], quad(density, 0, 0.3)[0] + quad(density, 0.3, 1)[0]
    assert above_limit(2, 5, 0.3) == pytest.approx(above / all_of_it, rel=1e-5)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(0.05, 0.6), st.floats(0.6, 0.99))
def test_the_boundary_is_the_first_number_that_is_certain_enough(n, limit, certainty):
    boundary = stopping_boundary(n, limit, certainty)
    assert boundary.stop_at.size == n
    assert (np.diff(boundary.stop_at) >= 0).all()
    for patients, stop_at in enumerate(boundary.stop_at, 1):
        if stop_at <= patients:
            assert beta.sf(limit, limit + stop_at, 1 - limit + patients - stop_at) >= certainty
        assert beta.sf(limit, limit + stop_at - 1, 1 - limit + patients - stop_at + 1) < certainty


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.6])
def test_operating_characteristics_are_those_of_every_sequence_of_patients(rate):
    boundary = stopping_boundary(9, 0.3, 0.85)
    stopped = treated = events = 0.0
    for sequence in product((0, 1), repeat=9):
        chance = rate ** sum(sequence) * (1 - rate) ** (9 - sum(sequence))
        over = np.flatnonzero(np.cumsum(sequence) >= boundary.stop_at)
        last = over[0] + 1 if over.size else 9
        stopped += chance * bool(over.size)
        treated += chance * last
        events += chance * sum(sequence[:last])
    found = operating_characteristics(boundary, np.array([rate])).iloc[0]
    assert found.tolist() == pytest.approx([rate, stopped, treated, events])


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


def test_among_one_patient_no_number_stops_a_trial():
    summary = write_part(
        "safety/stopping", stopping_result(pd.DataFrame({"patient": ["a"], "grade": [3.0]}), 1)
    ).summary[0]
    assert "of 1 patient no number would stop the trial" in summary


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
