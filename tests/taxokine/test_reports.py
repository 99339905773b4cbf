"""Terminal reports, as they read in a pipe."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from models.donors import ComparedDonor, DonorComparison, DonorDifference, OutcomeChange
from models.joint import benefit_bounds, joint_outcome
from models.prediction import Contribution, Explanation, ModelReference, PlattCalibration, ReportedValue, Trust
from serving.schemas import NOTICE, PatientReference, PredictionResponse
from taxokine.donor_comparison import CohortComparison
from taxokine.reports.donors import comparison_report
from taxokine.reports.experiments import _registration, promotion_report
from taxokine.reports.predictions import _reasons, prediction_report
from taxokine.terminal import WIDTH, bars, facts, show
from training.evidence.promotion import Gate, Promotion
from training.experiment import ExperimentResult

from ..models.conftest import prediction_of
from ..training.evidence.validations import LOCO

GATES = [
    Gate("gain", False, "not measured", "an interval above 0", "taxa may add nothing to age and sex"),
    Gate("audit", True, "no error", "no error", "an error makes the result wrong"),
]


def printed(report, capsys):
    show(report)
    return capsys.readouterr().out


def test_a_refusal_explains_the_gates_that_failed_and_only_those(capsys):
    report = printed(promotion_report(Promotion("toxicity_any", "3", True, GATES)), capsys)
    assert report.startswith("toxicity_any/3 (simulated data)\n")
    assert report.count("FAIL") == 1
    assert "taxa may add nothing" in report
    assert "an error makes the result wrong" not in report
    assert report.endswith("1 of 2 gates passed; refused: the alias champion does not move\n")


def test_a_granted_promotion_names_the_champion(capsys):
    report = printed(promotion_report(Promotion("toxicity_any", "3", False, GATES[1:])), capsys)
    assert report.endswith("1 of 1 gates passed; promoted: this version is now the champion\n")


@pytest.mark.parametrize(("landmark", "name"), [(0.0, "toxicity_any"), (28.0, "toxicity_any_day_28")])
def test_a_registered_model_is_named_as_commands_take_it(landmark, name):
    model = SimpleNamespace(family="xgboost", blocks=("taxa",), evidence=SimpleNamespace(landmark=landmark))
    trained = [SimpleNamespace(model=None), SimpleNamespace(model=model)]
    result = ExperimentResult("toxicity_any", "", trained, {"candidate": "3"}, (), set())
    assert _registration(result) == f"{name}: xgboost on taxa is registered as candidate, version 3"


def test_long_lines_are_not_broken_and_brackets_are_kept(capsys):
    path = f"wrote {'a/' * WIDTH}report.html [g__Bacteroides]"
    assert printed([path], capsys) == f"{path}\n"


def test_long_facts_fit_the_width(capsys):
    lines = printed([facts([("note", "word " * WIDTH)])], capsys).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= WIDTH


def test_a_measurement_is_printed_with_its_unit_and_as_reported():
    contributions = [
        Contribution("IL-6", "immune", None, 0.3, "pg/mL", ReportedValue("<3.2", "below", 3.2)),
        Contribution("IL-8", "immune", 0.42, 0.2, "pg/mL", ReportedValue("*0.42", None, None)),
        Contribution("IL-2", "immune", None, 0.15, "pg/mL", ReportedValue("below range", "below", None)),
        Contribution("TNF-a", "immune", None, 0.1, "pg/mL"),
        Contribution("IL-10", "immune", 16.37, 0.05, "pg/mL"),
        Contribution("Blautia", "taxa", 0.6069, 0.04, "proportion"),
        Contribution("age", "clinical", 61.0, 0.03),
    ]
    explanation = Explanation("log-odds", 0.1, 0.5, contributions, PlattCalibration(1.0, 0.0))
    lines = [text for _, text in _reasons(explanation)]
    assert lines[1:] == [
        "+0.300  IL-6 (immune): <3.2 pg/mL",
        "+0.200  IL-8 (immune): *0.42 pg/mL (extrapolated)",
        "+0.150  IL-2 (immune): below range",
        "+0.100  TNF-a (immune): not measured",
        "+0.050  IL-10 (immune): 16.37 pg/mL",
        "+0.040  Blautia (taxa): 60.69%",
        "+0.030  age (clinical): 61",
    ]


@pytest.mark.parametrize("parts", [1, 3])
def test_each_step_of_long_work_is_named_with_its_count(parts, capsys):
    progress = bars()
    progress.begin("reading cohorts", parts)
    for _ in range(parts):
        progress.advance()
    output = capsys.readouterr().err
    assert "reading cohorts" in output
    assert f"{parts}/{parts}" in output


@pytest.mark.parametrize(("beats_chance", "use"), [(False, "not shown to work"), (True, "ok")])
def test_donors_are_compared_with_the_words_of_the_pages(beats_chance, use, capsys):
    model = ModelReference("objective_response", "3", "", "champion", "elastic_net", ("taxa",))
    trust = Trust("ok", (), (), (), *[None] * 11, (), ())
    change = OutcomeChange("objective_response", "", model, 0.4, 0.985, 0.585, 0.4, 0.6, None, None, (), trust)
    donor = ComparedDonor("D1", (), (change,), (), ())
    comparison = DonorComparison((donor,), False, (), (), 12, 4, "regression", (), False, "")
    evidence = replace(LOCO.evidence, simulated=False, beats_chance=beats_chance)
    compared = CohortComparison(comparison, (), {("objective_response", "3"): evidence})
    (row,) = [line for line in printed(comparison_report("P1", compared), capsys).splitlines() if "D1 " in line]
    assert f" {use} " in f"{row} "
    assert " 40% " in row
    assert " about 95% " in row


def test_no_change_of_a_prediction_that_is_not_confirmed_is_printed(capsys):
    model = ModelReference("toxicity_any", "3", "", "champion", "elastic_net", ("taxa",))
    trust = Trust("ok", (), (), (), *[None] * 11, (), ())
    reason = "the toxicity prediction is not confirmed for this patient"
    change = OutcomeChange("toxicity_any", "", model, 0.4, 0.6, 0.2, 0.1, 0.3, None, reason, (), trust)
    comparison = DonorComparison(
        (ComparedDonor("D1", (), (change,), (), ()),), False, (reason,), (), 12, 4, "regression", (), False, ""
    )
    compared = CohortComparison(comparison, (), {("toxicity_any", "3"): LOCO.evidence})
    text = printed(comparison_report("P1", compared), capsys)
    assert "+20" not in text
    assert f"no difference in toxicity_any: {reason}" in text


@pytest.mark.parametrize(
    ("in_training_set", "unconfirmed", "is_printed"),
    [(False, None, True), (True, None, False), (False, "the response prediction is not confirmed", False)],
)
def test_donors_are_compared_without_a_probability_that_the_page_hides(
    in_training_set, unconfirmed, is_printed, capsys
):
    model = ModelReference("objective_response", "3", "", "champion", "elastic_net", ("taxa",))
    trust = replace(Trust("ok", (), (), (), *[None] * 11, (), ()), in_training_set=in_training_set)
    abstention = OutcomeChange(
        "objective_response", "", model, 0.43, None, None, None, None, "no change", unconfirmed, (), trust
    )
    change = replace(abstention, probability_after=0.58, difference=0.15, low=0.1, high=0.2, reason=None)
    donors = tuple(ComparedDonor(f"D{i}", (), (item,), (), ()) for i, item in enumerate((abstention, change)))
    comparison = DonorComparison(donors, False, (), (), 12, 4, "regression", (), False, "")
    compared = CohortComparison(comparison, (), {("objective_response", "3"): LOCO.evidence})
    text = printed(comparison_report("P1", compared), capsys)
    assert ("43%" in text, "58%" in text) == (is_printed, is_printed)


def test_donors_are_told_apart_by_the_intervals_of_their_differences(capsys):
    def difference(donor, value, low, high):
        return DonorDifference(donor, "objective_response", value, low, high)

    donors = (
        ComparedDonor("D1", (), (), (difference("D2", 0.1, 0.02, 0.2), difference("D3", 0.04, -0.1, 0.15)), ()),
        ComparedDonor("D2", (), (), (difference("D1", -0.1, -0.2, -0.02), difference("D3", -0.06, -0.2, 0.1)), ()),
        ComparedDonor("D3", (), (), (difference("D1", -0.04, -0.15, 0.1), difference("D2", 0.06, -0.1, 0.2)), ()),
    )
    comparison = DonorComparison(donors, False, (), (), 12, 4, "regression", (), False, "")
    lines = printed(comparison_report("P1", CohortComparison(comparison, (), {})), capsys).splitlines()
    pair = "objective_response: D1 minus D2 +10 (+2 to +20) points"
    assert f"largest difference in {pair}; the interval excludes 0 for 1 of 3 pairs of donors" in lines
    assert [line for line in lines if line.startswith("differs")] == [f"differs in {pair}"]


@pytest.mark.parametrize(
    ("toxicity", "benefit"), [("", "75% to 80%"), ("not confirmed", "the toxicity prediction is not confirmed")]
)
def test_benefit_is_printed_of_the_probabilities_as_they_are_stated_and_of_none_that_is_not_confirmed(
    toxicity, benefit, capsys
):
    response = prediction_of("objective_response", 0.999)
    harm = replace(prediction_of("toxicity_any", 0.2), unconfirmed_reason=toxicity or None)
    joint = joint_outcome([response, harm])
    answer = PredictionResponse(PatientReference("P1"), [response, harm], benefit_bounds(joint), joint, False, NOTICE)
    text = printed(prediction_report(answer), capsys)
    assert "objective_response: about 95%" in text
    assert f"benefit (response without toxicity): {benefit}" in text
    assert ("\n            - not confirmed" in text) == bool(toxicity)
