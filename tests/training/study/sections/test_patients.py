"""The section of patients and outcomes, of a trial written by hand, a simulated one and real ones."""

from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import chain

import numpy as np
import pandas as pd
import pytest

from features.cohort import Cohort, read_cohort
from features.course import Course
from features.manifest import ClinicalField
from training.study.analysis.characteristics import characteristic_summaries
from training.study.analysis.exposure import transplants
from training.study.analysis.response import best_responses
from training.study.codes import donor_codes, patient_codes
from training.study.page import limits
from training.study.section import Section
from training.study.sections.patients import patients_section, table_one

from ..five_patients import DONOR, OS, PATIENTS, PFS, five_patients


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return five_patients(tmp_path_factory.mktemp("five"))


@pytest.fixture(scope="module")
def section(five: Cohort) -> Section:
    return patients_section(five)


def told(section: Section) -> str:
    """Return everything that a section says, its figures' texts included."""
    figures = [drawn.draw() for drawn in section.figures.values()]
    texts = [
        text.get_text() for figure in figures for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))
    ]
    tables = [table.caption + table.frame.to_csv() for table in section.tables.values()]
    captions = [drawn.caption for drawn in section.figures.values()]
    return "\n".join(chain(section.summary, section.notes, section.methods, section.missing, texts, tables, captions))


def test_patients_are_numbered_as_in_their_sheet_and_donors_are_none_of_them(five):
    assert patient_codes(five) == {name: f"P{at}" for at, name in enumerate(PATIENTS, 1)}
    assert donor_codes(five) == {DONOR: "D1"}


def test_survival_is_that_of_the_five_deaths(section):
    assert section.metrics["os_median_months"] == pytest.approx(8.3)
    assert section.metrics["pfs_median_months"] == pytest.approx(statistics.median(PFS))
    overall = next(text for text in section.summary if text.startswith("Overall survival"))
    assert "5 of 5 patients died; median 8.3 months (95% interval 2.5 to not reached)" in overall
    assert overall.endswith(", ".join(map(str, OS)) + ".")
    assert "Without a comparator, survival was not shown to be extended." in section.summary


def test_one_death_leaves_the_median_not_reached(tmp_path):
    found = patients_section(five_patients(tmp_path, died="10000"))
    overall = next(text for text in found.summary if text.startswith("Overall survival"))
    assert "1 of 5 patients died; median not reached (95% interval 2.5 to not reached)" in overall
    assert overall.endswith("2.5, 7.4+, 8.3+, 28.5+, 52.3+.")
    assert "os_median_months" not in found.metrics


def test_nothing_told_names_a_patient_or_a_donor(section):
    said = told(section)
    assert not [name for name in (*PATIENTS, DONOR) if name in said]
    assert "P5" in said
    assert "D1" in said


def test_best_responses_are_the_assessments_beside_the_published(five):
    best = best_responses(five, patient_codes(five))
    assert best["published"].tolist() == ["PD", "SD", "PR", "PR", "CR"]
    assert best["RECIST"].tolist() == ["PD", "PR", "PR", "PD", "CR"]
    assert best["confirmed"].tolist() == ["PD", "SD", "PR", "PD", "CR"]
    assert best["iRECIST"].tolist() == ["PD", "PR", "PR", "PR", "CR"]


def test_what_was_seen_before_treatment_is_no_response(five):
    early = five.course.assessments
    early = early.assign(response=early["response"].mask(early["day"] < 0, "PD"))
    changed = replace(five, course=replace(five.course, assessments=early))
    codes = patient_codes(five)
    pd.testing.assert_frame_equal(best_responses(changed, codes), best_responses(five, codes))


def test_who_has_no_stool_keeps_the_characteristics(five):
    kept = np.flatnonzero(five.samples["patient"] != PATIENTS[0])
    cohort = replace(
        five,
        samples=five.samples.iloc[kept].reset_index(drop=True),
        taxa=five.taxa.take([five.taxa.samples[at] for at in kept]),
        clinical=five.clinical.iloc[kept].reset_index(drop=True),
    )
    one, other = (patients_section(each).tables["table_one"].frame for each in (five, cohort))
    pd.testing.assert_frame_equal(one, other)


def test_drugs_of_one_day_are_one_cycle(five):
    both = pd.concat([five.course.cycles, five.course.cycles.assign(drug="ipilimumab")], ignore_index=True)
    each = patients_section(replace(five, course=replace(five.course, cycles=both))).tables["exposure"].frame
    assert each["ICI cycles"].tolist() == [2, 0, 0, 0, 0]
    assert each["drugs"].iloc[0] == "nivolumab, ipilimumab"


@pytest.mark.parametrize("everyone", [True, False])
def test_an_arm_is_a_comparator_where_it_went_without_transplants(five, everyone):
    said = five.manifest.patients.model_copy(
        update={"covariates": {"arm": ClinicalField(column="arm", values={"A": True, "B": False})}}
    )
    arm = pd.DataFrame({"arm": [1.0, 0, 1, 0, 1]}, index=list(PATIENTS))
    given = pd.DataFrame({"patient": [name for name in PATIENTS if everyone or arm.at[name, "arm"]], "day": 0.0})
    course = replace(five.course, transplants=five.course.transplants.iloc[:0].merge(given, how="right"))
    manifest = five.manifest.model_copy(update={"patients": said})
    bare = five.samples.assign(donor_sample="")
    cohort = replace(five, manifest=manifest, characteristics=arm, course=course, samples=bare)
    summary = patients_section(cohort).summary
    assert "Survival is that of all arms together, and was not compared between them." in summary
    assert any("Without a comparator" in text for text in summary) == everyone
    assert any("ICI-only arm" in text for text in limits(cohort)) == everyone


def test_sums_without_a_baseline_are_not_said_to_be_absent(five):
    scans = five.course.assessments
    none = replace(five, course=replace(five.course, assessments=scans[scans["day"] > 0]))
    missing = next(text for text in patients_section(none).missing if text.startswith("Sums"))
    assert missing.endswith("no patient has one above 0 mm on or before day 0, and one after it.")


def test_rates_are_exact(section):
    rates = section.tables["response_rates"].frame.set_index("rate of")
    found = rates.loc["objective response, as recorded, of those assessed"]
    # R: binom.test(3, 5)
    assert found[["patients", "of", "share", "95% low", "95% high"]].tolist() == pytest.approx(
        [3, 5, 0.6, 0.1466328, 0.9472550], abs=1e-6
    )
    assert any("differ in 2 of 5 patients" in note for note in section.notes)


def test_lesions_need_a_baseline(section):
    assert set(section.tables["lesions"].frame["patient"]) == {"P1", "P2", "P3", "P4"}
    assert "4 of 5 patients assessed" in section.figures["waterfall"].caption


def test_exposure_counts_what_was_given(section):
    exposure = section.tables["exposure"].frame
    assert exposure["transplants"].tolist() == [2] * 5
    assert exposure["ICI cycles"].tolist() == [2, 0, 0, 0, 0]
    assert exposure["antibiotics"].tolist() == ["", "amoxicillin -20 to -12", "", "", ""]
    assert section.tables["transplants"].frame["batch"].tolist() == [1, 2] * 5


def test_measures_change_from_baseline(section):
    row = section.tables["measures"].frame.iloc[0]
    assert row["change to the last value, median (range)"] == "-17 (-17 to -17)"


def test_table_one_has_medians_of_numbers_and_counts_of_words():
    rng = np.random.default_rng(0)
    age = rng.integers(30, 90, 11).astype(float)
    clinical = pd.DataFrame({"age": age, "sex=male": [1.0, 0] * 5 + [np.nan], "sex=female": [0.0, 1] * 5 + [np.nan]})
    clinical["ecog"] = [0.0, 1] * 5 + [2]
    clinical["braf"] = np.nan
    keep = {
        "age": ClinicalField(column="a", unit="years"),
        "sex": ClinicalField(column="s", values={"m": "male", "f": "female"}),
        "ecog": ClinicalField(column="e"),
        "braf": ClinicalField(column="b", values={"y": True, "n": False}),
    }
    rows = table_one(characteristic_summaries(clinical, keep)).to_numpy().tolist()
    assert rows == [
        ["age, years", "median (range)", f"{statistics.median(age):g} ({age.min():g} to {age.max():g})", 11, 0],
        ["sex", "female", "5 (50%)", 10, 1],
        ["sex", "male", "5 (50%)", 10, 1],
        ["ECOG", "0", "5 (45%)", 11, 0],
        ["ECOG", "1", "5 (45%)", 11, 0],
        ["ECOG", "2", "1 (9%)", 11, 0],
        ["braf", "", "unknown", 0, 11],
    ]


def test_what_is_not_there_is_said_to_be_missing(tmp_path):
    found = patients_section(five_patients(tmp_path, outcomes={}, course={}, patients=None))
    said = "\n".join(found.missing)
    for what in ("Overall survival", "Progression-free", "Best overall response", "ICI cycles", "waterfall", "Weight"):
        assert what in said
    assert set(found.figures) == {"swimmer"}
    assert found.metrics == {"patients": 5.0}


def test_an_undated_cohort_has_no_course(five):
    undated = replace(
        five,
        samples=five.samples.assign(day=np.nan),
        labels=replace(five.labels, dates=None, events=None),
        course=Course(),
    )
    assert "swimmer" not in patients_section(undated).figures


def test_a_simulated_trial_has_the_section(trial):
    cohort = read_cohort(trial, trial.parent)
    found = patients_section(cohort)
    assert {"swimmer", "survival"} <= set(found.figures)
    assert len(found.tables["patients"].frame) == 60
    said = told(found)
    assert not [name for name in patient_codes(cohort) if name in said]


def test_davars_recipients_were_given_the_stool_of_seven_donors(cohorts_dir):
    cohort = read_cohort("davar_2021", cohorts_dir, fetch=False)
    given = transplants(cohort)
    assert (len(given), given["patient"].nunique(), given["donor"].nunique()) == (15, 15, 7)
    found = patients_section(cohort)
    assert any("3 of 15 patients (20%, 95% interval 4 to 48%)" in text for text in found.summary)
    said = told(found)
    assert not [name for name in (*patient_codes(cohort), *donor_codes(cohort)) if name in said]
