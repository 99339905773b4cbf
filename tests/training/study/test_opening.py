"""How a report opens: verdict, qualifiers and bullets, of trials of several sizes and designs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.audit import KINDS, Finding
from features.cohort import Cohort, read_cohort
from features.labels import OutcomeLabels
from taxokine.simulation import TACITO, Trial, five_patients, simulate_trial
from training.statistics.interval_estimate import IntervalEstimate
from training.study.analysis.arm_comparison import ArmComparison, arm_comparison
from training.study.analysis.limits import MIN_FOR_P, cohort_limits
from training.study.codes import patient_codes
from training.study.opening import MAX_BULLETS, OF_ALL_ARMS, Opening, opening
from training.study.section import Section
from training.study.sentences import write_sentences
from training.study.study import study_sections

TRIALS = {
    "five": replace(five_patients(), n_taxa=30),
    "eight with donors": Trial(n_patients=8, n_taxa=30, n_donors=3),
    "two small arms": replace(TACITO, n_patients=12, n_taxa=30),
    "two arms": replace(TACITO, n_taxa=30, seed=3),
}
TEST_WORDS = re.compile(r"\b[pq] [=<]|\bone-sided p\b|significan|\btests of groups")


@pytest.fixture(scope="module", params=TRIALS)
def report(request, tmp_path_factory) -> tuple[Cohort, list[Section]]:
    folder = tmp_path_factory.mktemp("trial") / "trial"
    cohort = read_cohort(simulate_trial(folder, TRIALS[request.param]), folder)
    return cohort, [make_section(cohort) for make_section in study_sections().values()]


def opening_of(report: tuple[Cohort, list[Section]]) -> Opening:
    return opening(report[0], [], report[1])


def test_the_verdict_is_one_sentence_of_what_the_study_can_and_cannot_say(report):
    (verdict,) = opening_of(report).verdict
    assert re.search(r"\b\d+ (patients|patient) ", verdict)
    assert re.search(r" can say how |comparison of \d+ patients with FMT and \d+ controls", verdict)
    assert "it cannot say" in verdict
    assert verdict.count(". ") == 0


def test_no_p_value_opens_the_report_of_few_patients(report):
    start = opening_of(report)
    few = len(patient_codes(report[0])) < MIN_FOR_P
    assert ("With so few patients" in start.notes[0]) == few
    assert "fewer than 20 patients, or events of survival" in start.notes[0]
    for sentence in (text for bullet in start.bullets for text in bullet):
        if few:
            assert not TEST_WORDS.search(sentence), sentence
        assert "foremost" not in sentence or not re.search(r"\b(0|None) of \d+", sentence), sentence
        # No bullet of any size begins with a test: the estimate stands before its p.
        assert not re.match(r"\W*(p|q) [=<]", sentence), sentence


def test_at_most_six_bullets_hold_estimates_with_n_that_their_sections_hold_too(report):
    start = opening_of(report)
    assert 3 < len(start.bullets) <= MAX_BULLETS
    for bullet in start.bullets:
        assert re.search(r"\d+ (patients|patient|recipients|controls|of \d+)|n = \d", " ".join(bullet)), bullet
    for section in report[1]:
        section_text = " ".join([*section.summary, *section.notes])
        for sentence in (*section.headlines, *section.qualifiers):
            missing = [number for number in re.findall(r"\d+(?:\.\d+)?", sentence) if number not in section_text]
            assert not missing, (sentence, missing)


def test_response_survival_and_safety_stand_before_donors(report):
    cohort, _ = report
    start = opening_of(report)
    if arm_comparison(cohort, patient_codes(cohort)) is None:
        assert not any("donor" in text for text in start.qualifiers)
        outcomes, safety, *rest = start.bullets
        assert any(text.startswith("Overall survival") for text in outcomes)
        assert any(text.startswith("Objective response") for text in outcomes)
        assert any(text.startswith("Deaths: ") for text in safety)
        assert any("own donor" in text for bullet in rest for text in bullet)


def test_contrasts_between_arms_stand_first_and_what_is_pooled_says_so(report):
    cohort, sections = report
    compared = arm_comparison(cohort, patient_codes(cohort)) is not None
    bullets = opening_of(report).bullets
    of_all = [section.headlines for section in sections if section.name in OF_ALL_ARMS and section.headlines]
    assert len(of_all) >= 3
    assert all((headlines in bullets) == (not compared) for headlines in of_all)
    if compared:
        contrasts = [sentence for bullet in bullets for sentence in bullet if "controls" in sentence]
        assert len(bullets[0]) == 1
        assert contrasts[0] in bullets[0]
        assert any("of analytes" in sentence and "times that of controls" in sentence for sentence in contrasts)
        assert any("Bray-Curtis distance to donors" in sentence for sentence in contrasts)
        assert all(re.search(r"\d+ patients with FMT|with FMT and \d+ of \d+", sentence) for sentence in contrasts)
        for sentence in (text for bullet in bullets for text in bullet if text not in contrasts):
            assert re.search("all arms together|recipients", sentence), sentence


def test_arms_that_are_not_compared_are_all_together(small):
    texts = write_sentences("limits", replace(cohort_limits(small), has_several_arms=True))["qualifiers"]
    assert "All results are of all arms together." in texts
    compared = replace(cohort_limits(small), has_several_arms=True, has_comparator=True, compares_arms=True)
    assert not any("all arms together" in text for text in write_sentences("limits", compared)["qualifiers"])


@pytest.fixture(scope="module")
def comparison(tmp_path_factory) -> ArmComparison:
    folder = tmp_path_factory.mktemp("arms") / "trial"
    cohort = read_cohort(simulate_trial(folder, TRIALS["two arms"]), folder)
    result = arm_comparison(cohort, patient_codes(cohort))
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("ratio", "p", "differs"),
    [
        ((0.4, 0.2, 0.8), 0.01, True),
        ((2.4, 1.2, 4.8), 0.01, True),
        ((0.4, 0.2, 0.8), 0.06, False),
        ((0.4, 0.2, 1.1), 0.04, False),
        ((np.nan, np.nan, np.nan), 0.01, False),
    ],
)
def test_a_difference_is_shown_by_interval_and_p_together(comparison, ratio, p, differs):
    survival = comparison.survival[0]
    survival_with_effect = replace(
        survival, hazard_ratio=IntervalEstimate(*ratio), log_rank=replace(survival.log_rank, p=p)
    )
    result = replace(comparison, survival=(survival_with_effect,), response={})
    assert (survival.outcome in result.outcomes_with_difference) == differs
    assert (survival.outcome in result.outcomes_without_difference) == (not differs)


@pytest.mark.parametrize(("low", "p", "names_it"), [(20.0, 0.03, True), (-5.0, 0.06, False)])
def test_a_secondary_analysis_that_disagrees_qualifies_the_primary_one(comparison, low, p, names_it):
    survival = comparison.survival[0]
    mean = replace(survival.restricted_mean, difference=IntervalEstimate(180.0, low, 340.0), p=p)
    survival = replace(
        survival,
        hazard_ratio=IntervalEstimate(0.5, 0.2, 1.02),
        log_rank=replace(survival.log_rank, p=0.051),
        restricted_mean=mean,
    )
    sentences = write_sentences("arms/comparison", replace(comparison, survival=(survival,), response={}, variants=()))
    assert sentences["verdict"][0].startswith("By the primary log-rank test of all patients as assigned")
    assert "does not show a difference in overall survival" in sentences["verdict"][0]
    text = " ".join(sentences["qualifiers"])
    assert ("restricted mean 5.9 months longer with FMT (difference 5.9, 95% interval 0.7 to 11.2" in text) == names_it
    assert ("Secondary analyses disagree" in text) == names_it


@pytest.mark.parametrize(
    ("has_response", "has_survival", "expected"),
    [
        (True, False, " Survival was not recorded."),
        (False, True, " Response was not recorded."),
        (True, True, ""),
    ],
)
def test_without_a_control_no_comparison_is_possible(small, has_response, has_survival, expected):
    limits = replace(cohort_limits(small), has_response=has_response, has_survival=has_survival)
    sentence = f"No comparison is possible: all 6 patients received FMT.{expected}"
    texts = write_sentences("limits", limits)
    assert sentence in texts["qualifiers"]
    assert sentence in texts["summary"]
    untreated = write_sentences("limits", replace(limits, has_transplants=False))["qualifiers"]
    assert f"No comparison is possible: there is no untreated arm.{expected}" in untreated


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    manifest: Path = simulate_trial(tmp_path_factory.mktemp("t") / "trial", Trial(n_patients=6, n_taxa=30))
    return read_cohort(manifest, None)


def test_errors_of_the_audit_and_simulation_qualify_the_results(small):
    severity, why, todo = KINDS["undated"]
    finding = Finding("undated", severity, "x", (), "no day", why, todo)
    texts = " ".join(opening(small, [replace(finding, severity="error")], []).qualifiers)
    assert "simulated" in texts
    assert "1 error in the files" in texts
    assert "error" not in " ".join(opening(small, [replace(finding, severity="note")], []).qualifiers)


def test_the_verdict_names_what_was_measured_and_its_precision(small):
    (verdict,) = opening(small, [], []).verdict
    assert "6 patients responded, survived and changed in cytokines and stool" in verdict
    assert f"up to {100 * cohort_limits(small).interval_reach:.0f} percentage points" in verdict
    assert "cannot say that FMT caused any of it" in verdict
    bare = replace(small, labels=OutcomeLabels({}, None), immune=None)
    (verdict,) = opening(bare, [], []).verdict
    assert "how its 6 patients changed in stool; it cannot say" in verdict


def test_one_visit_shows_no_change(small):
    stool = small.samples["patient"].duplicated() | small.samples["donor"]
    rows = np.flatnonzero(~stool)
    taxa = small.taxa.take([small.taxa.samples[row] for row in rows])
    once = replace(small, samples=small.samples.iloc[rows].reset_index(drop=True), taxa=taxa)
    (verdict,) = opening(once, [], []).verdict
    assert "survived and changed in cytokines, and what the stool was at one visit, with 95% intervals" in verdict
    bare = replace(once, labels=OutcomeLabels({}, None), immune=None)
    (verdict,) = opening(bare, [], []).verdict
    assert "can say what the stool was at one visit of each of 6 patients; it cannot say" in verdict
    draws = small.immune.rows.drop_duplicates(["patient", "analyte"])
    (verdict,) = opening(replace(once, immune=replace(small.immune, rows=draws)), [], []).verdict
    assert "responded and survived, and what the cytokines and stool were at one visit" in verdict


def test_the_precision_is_that_of_the_patients_whose_response_is_known(small):
    two_flags = small.labels.label_by_outcome["objective_response"].iloc[:2]
    cohort = replace(small, labels=OutcomeLabels({"objective_response": two_flags}, None))
    assert cohort_limits(cohort).interval_reach > cohort_limits(small).interval_reach
