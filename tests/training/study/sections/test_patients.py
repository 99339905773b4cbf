"""The section of patients and outcomes, of a trial written by hand, a simulated one and real ones."""

from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import chain

import numpy as np
import pandas as pd
import pytest

from features.cohort import Cohort, read_cohort
from features.manifest import ClinicalField
from features.trial_course import Course
from training.study.analysis.characteristics import characteristic_summaries
from training.study.analysis.exposure import transplants
from training.study.analysis.lesion_sites import lesion_sites
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


def texts(section: Section) -> str:
    """Return all texts of a section, those in its figures included."""
    figures = [figure.draw() for figure in section.figures.values()]
    labels = [
        text.get_text() for figure in figures for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))
    ]
    tables = [table.caption + table.frame.to_csv() for table in section.tables.values()]
    captions = [figure.caption for figure in section.figures.values()]
    return "\n".join(chain(section.summary, section.notes, section.methods, section.missing, labels, tables, captions))


def test_patients_are_numbered_as_in_their_table_without_donors(five):
    assert patient_codes(five) == {name: f"P{number}" for number, name in enumerate(PATIENTS, 1)}
    assert donor_codes(five) == {DONOR: "D1"}


def test_survival_is_that_of_the_five_deaths(section):
    assert section.metrics["os_median_months"] == pytest.approx(8.3)
    assert section.metrics["pfs_median_months"] == pytest.approx(statistics.median(PFS))
    overall = next(text for text in section.summary if text.startswith("Overall survival"))
    assert "5 of 5 patients died; median 8.3 months (95% interval 2.5 to not reached)" in overall
    assert overall.endswith(", ".join(map(str, OS)) + ".")
    (follow_up,) = section.tables["survival"].frame.query("outcome == 'Overall survival'")["median follow-up, months"]
    assert follow_up == "all 5 followed until death"


def test_one_death_leaves_the_median_not_reached(tmp_path):
    section = patients_section(five_patients(tmp_path, died="10000"))
    overall = next(text for text in section.summary if text.startswith("Overall survival"))
    assert "1 of 5 patients died; median not reached (95% interval 2.5 to not reached)" in overall
    assert overall.endswith("2.5, 7.4+, 8.3+, 28.5+, 52.3+.")
    assert "os_median_months" not in section.metrics
    assert section.tables["survival"].frame["median follow-up, months"].iloc[0] == "18.4"


def test_no_text_names_a_patient_or_a_donor(section):
    text = texts(section)
    assert not [name for name in (*PATIENTS, DONOR) if name in text]
    assert "P5" in text
    assert "D1" in text


def test_best_responses_are_those_published_and_those_of_the_assessments(five):
    best = best_responses(five, patient_codes(five))
    assert best["published"].tolist() == ["PD", "SD", "PR", "PR", "CR"]
    assert best["RECIST"].tolist() == ["PD", "PR", "PR", "PD", "CR"]
    assert best["confirmed"].tolist() == ["PD", "SD", "PR", "PD", "CR"]
    assert best["iRECIST"].tolist() == ["PD", "PR", "PR", "PR", "CR"]


def test_an_assessment_before_treatment_is_no_response(five):
    early = five.course.assessments
    early = early.assign(response=early["response"].mask(early["day"] < 0, "PD"))
    altered = replace(five, course=replace(five.course, assessments=early))
    codes = patient_codes(five)
    pd.testing.assert_frame_equal(best_responses(altered, codes), best_responses(five, codes))


def test_a_patient_without_stool_keeps_the_characteristics(five):
    rows = np.flatnonzero(five.samples["patient"] != PATIENTS[0])
    cohort = replace(
        five,
        samples=five.samples.iloc[rows].reset_index(drop=True),
        taxa=five.taxa.take([five.taxa.samples[row] for row in rows]),
        clinical=five.clinical.iloc[rows].reset_index(drop=True),
    )
    complete, reduced = (patients_section(trial).tables["table_one"].frame for trial in (five, cohort))
    pd.testing.assert_frame_equal(complete, reduced)


def test_drugs_of_one_day_are_one_cycle(five):
    cycles = pd.concat([five.course.cycles, five.course.cycles.assign(drug="ipilimumab")], ignore_index=True)
    exposure = patients_section(replace(five, course=replace(five.course, cycles=cycles))).tables["exposure"].frame
    assert exposure["ICI cycles"].tolist() == [2, 0, 0, 0, 0]
    assert exposure["drugs"].iloc[0] == "nivolumab, ipilimumab"


@pytest.mark.parametrize("everyone", [True, False])
def test_an_arm_without_transplants_is_a_comparator(five, everyone):
    patients = five.manifest.patients.model_copy(
        update={"covariates": {"arm": ClinicalField(column="arm", values={"A": True, "B": False})}}
    )
    arm = pd.DataFrame({"arm": [1.0, 0, 1, 0, 1]}, index=list(PATIENTS))
    transplanted = pd.DataFrame({"patient": [name for name in PATIENTS if everyone or arm.at[name, "arm"]], "day": 0.0})
    course = replace(five.course, transplants=five.course.transplants.iloc[:0].merge(transplanted, how="right"))
    manifest = five.manifest.model_copy(update={"patients": patients})
    samples = five.samples.assign(donor_sample="")
    cohort = replace(five, manifest=manifest, characteristics=arm, course=course, samples=samples)
    summary = patients_section(cohort).summary
    assert "Survival is that of all arms together, and was not compared between them." in summary
    assert any("all 5 patients received FMT" in text for text in limits(cohort)) == everyone
    assert any("ICI-only arm" in text for text in limits(cohort)) == everyone


def test_sums_without_a_baseline_are_reported_as_such(five):
    scans = five.course.assessments
    cohort = replace(five, course=replace(five.course, assessments=scans[scans["day"] > 0]))
    missing = next(text for text in patients_section(cohort).missing if text.startswith("Sums"))
    assert missing.endswith("no patient has one above 0 mm on or before day 0, and one after it.")


def test_rates_are_exact(section):
    rates = section.tables["response_rates"].frame.set_index("rate of")
    rate = rates.loc["objective response, as recorded, of those assessed"]
    # R: binom.test(3, 5)
    assert rate[["patients", "of", "share", "95% low", "95% high"]].tolist() == pytest.approx(
        [3, 5, 0.6, 0.1466328, 0.9472550], abs=1e-6
    )
    assert any("differ in 2 of 5 patients" in note for note in section.notes)


def test_lesions_need_a_baseline(section):
    assert set(section.tables["lesions"].frame["patient"]) == {"P1", "P2", "P3", "P4"}
    assert "4 of 5 patients assessed" in section.figures["waterfall"].caption


def test_exposure_counts_transplants_cycles_and_drugs(section):
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
    covariates = {
        "age": ClinicalField(column="a", unit="years"),
        "sex": ClinicalField(column="s", values={"m": "male", "f": "female"}),
        "ecog": ClinicalField(column="e"),
        "braf": ClinicalField(column="b", values={"y": True, "n": False}),
    }
    rows = table_one(characteristic_summaries(clinical, covariates)).to_numpy().tolist()
    assert rows == [
        ["age, years", "median (range)", f"{statistics.median(age):g} ({age.min():g} to {age.max():g})", 11, 0],
        ["sex", "female", "5 (50%)", 10, 1],
        ["sex", "male", "5 (50%)", 10, 1],
        ["ECOG", "0", "5 (45%)", 11, 0],
        ["ECOG", "1", "5 (45%)", 11, 0],
        ["ECOG", "2", "1 (9%)", 11, 0],
        ["braf", "", "unknown", 0, 11],
    ]


def test_the_section_states_which_data_are_missing(tmp_path):
    section = patients_section(five_patients(tmp_path, outcomes={}, course={}, patients=None))
    text = "\n".join(section.missing)
    for topic in ("Overall survival", "Progression-free", "Best overall response", "ICI cycles", "waterfall", "Weight"):
        assert topic in text
    assert set(section.figures) == {"swimmer"}
    assert section.metrics == {"patients": 5.0}


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
    section = patients_section(cohort)
    assert {"swimmer", "survival"} <= set(section.figures)
    assert len(section.tables["patients"].frame) == 60
    text = texts(section)
    assert not [name for name in patient_codes(cohort) if name in text]


def test_davars_recipients_received_the_stool_of_seven_donors(cohorts_dir):
    cohort = read_cohort("davar_2021", cohorts_dir, fetch=False)
    rows = transplants(cohort)
    assert (len(rows), rows["patient"].nunique(), rows["donor"].nunique()) == (15, 15, 7)
    section = patients_section(cohort)
    assert any("3 of 15 patients (20%, 95% interval 4 to 48%)" in text for text in section.summary)
    text = texts(section)
    assert not [name for name in (*patient_codes(cohort), *donor_codes(cohort)) if name in text]


def test_lesions_are_counted_and_measured_by_site(five: Cohort, section: Section) -> None:
    sites = {site.site: site for site in lesion_sites(five, patient_codes(five)).sites}
    assert [(name, site.with_baseline, site.with_new) for name, site in sites.items()] == [
        ("lung", 2, 0), ("brain", 1, 1), ("liver", 1, 0), ("skin", 1, 0),
    ]  # fmt: skip
    # One lesion of the lung of the first patient was not measured again.
    assert sites["lung"].changes.to_dict() == {"KH-0533": pytest.approx(-50)}
    assert sites["brain"].changes.to_dict() == {"KH-0501": pytest.approx(-80)}
    assert sites["liver"].changes.empty
    summary = " ".join(section.summary)
    assert (
        "Lesions at baseline: 7 in 4 patients; sum of their diameters 50 mm (median; range 40 to 60; n = 3)." in summary
    )
    assert "brain, 1 patient at baseline and 1 with a new lesion (best change, median -80%, n = 1)" in summary
    assert "under course.lesions" in " ".join(patients_section(replace(five, course=Course())).missing)
