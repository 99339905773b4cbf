"""The verdict and the waterfall of a page: fixed rules, and steps that add up to the probability."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from models.evidence import Estimate
from models.evidence_upgrade import upgrade_evidence
from models.prediction import Contribution, Explanation, NearestOutcomes, PlattCalibration
from models.rates import event_rate
from serving.pages.drawings.waterfall import Step, Waterfall, shared_axis, waterfall
from serving.pages.filters import chance
from serving.pages.rendering import _ENVIRONMENT
from serving.pages.verdict import outcome_verdict
from serving.pages.views.comparison import compare

from ..models.conftest import prediction_of

EVIDENCE = replace(
    upgrade_evidence(
        {"beats_chance": None, "sentence": "", "clocks": ["day_ici"], "landmark": 0.0, "simulated": False,
         "left_out_auroc": {"value": 0.7, "low": 0.5, "high": 0.9}, "cohorts": [], "patients": 100, "events": 42,
         "odds_ratios": []}, "objective_response",
    ),
    scheme="loco",
)  # fmt: skip


def steps(*changes: float, start: float = 0.4) -> Waterfall:
    edges = [start]
    for change in changes:
        edges.append(edges[-1] + change)
    parts = pairwise(edges)
    return Waterfall(
        edges[0], edges[-1], tuple(Step(f"Genus{i}", "taxa", b - a, a, b, 1, ()) for i, (a, b) in enumerate(parts))
    )


@pytest.mark.parametrize(
    ("probability", "rate", "drawing", "chance"),
    [
        (0.30, 0.42, steps(-0.12), "about average"),
        (0.26, 0.42, steps(-0.16), "below average"),
        (0.60, 0.42, steps(0.2), "above average"),
        (0.60, None, steps(0.2), "about average"),
        (0.405, 0.42, steps(0.004, 0.001), "indistinct"),
        (0.70, 0.42, steps(0.004, 0.001), "indistinct"),
        # Two groups that cancel do tell the patient from others.
        (0.40, 0.42, steps(0.05, -0.05), "about average"),
        (None, 0.42, None, "no prediction"),
    ],
)
def test_the_chance_follows_fixed_rules(probability, rate, drawing, chance):
    verdict = outcome_verdict(probability, None, rate, EVIDENCE, drawing)
    assert verdict.chance == chance
    assert (verdict.probability is None) == (chance in {"indistinct", "no prediction"}) == (verdict.driver is None)


@pytest.mark.parametrize(
    ("beats_chance", "scheme", "low", "strength"),
    [
        (True, "loco", 0.7, "strong"), (True, "loco", 0.55, "moderate"), (True, "cv", 0.8, "moderate"),
        (False, "loco", 0.8, "weak"), (None, "loco", 0.8, "weak"), (True, "loco", None, "moderate"),
    ],
)  # fmt: skip
def test_the_strength_of_the_evidence_follows_fixed_rules(beats_chance, scheme, low, strength):
    evidence = replace(EVIDENCE, beats_chance=beats_chance, scheme=scheme, held_out_auroc=Estimate(0.8, low, 0.9))
    assert outcome_verdict(0.3, None, 0.4, evidence, steps(0.1)).strength == strength


def test_the_sentence_states_chance_evidence_and_driver():
    evidence = replace(EVIDENCE, beats_chance=False)
    verdict = outcome_verdict(0.3, event_rate(20, 55), 0.42, evidence, steps(0.02, -0.12))
    text = _ENVIRONMENT.get_template("verdict.jinja").module.verdict_text(verdict, "response")
    assert str(text).strip() == (
        "About average for response: 30% predicted; 36% of the 55 held-out patients with such a prediction responded; "
        "42% of the training patients. Evidence weak: not shown to be better than chance on unseen cohorts. "
        "Largest contribution in the model: <i>Genus1</i>, which lowers the prediction."
    )


@pytest.mark.parametrize(
    ("events", "chance"), [(10, "below average"), (22, "below average"), (24, "contradicted"), (50, "contradicted")]
)
def test_held_out_patients_can_take_back_a_chance_that_differs_from_the_average(events, chance):
    verdict = outcome_verdict(0.2, event_rate(events, 55), 0.42, EVIDENCE, steps(-0.2))
    assert verdict.chance == chance
    text = str(_ENVIRONMENT.get_template("verdict.jinja").module.verdict_text(verdict, "response")).strip()
    observed = f"{events / 55:.0%} of the 55 held-out patients"
    start = "Not confirmed for response: 20% predicted, but" if chance == "contradicted" else "Below average for"
    assert text.startswith(start)
    assert observed in text


@pytest.mark.parametrize(("events", "agreement"), [(0, "too high"), (20, "agrees"), (50, "too low")])
def test_the_comparison_labels_each_number_and_says_whether_held_out_patients_confirm_the_prediction(events, agreement):
    prediction = replace(prediction_of("objective_response", 0.3), evidence=EVIDENCE)
    nearest = NearestOutcomes("objective_response", 25, 10, 0.4, 0.21, 0.61)
    comparison = compare(prediction, event_rate(events, 55), nearest, None)
    assert comparison.agreement == agreement
    sources = [(row.source, row.outcomes and row.outcomes.patients) for row in comparison.rates]
    assert sources == [("model", None), ("held-out patients", 55), ("nearest patients", 25), ("training patients", 100)]
    assert compare(replace(prediction, probability=None), None, None, None) is None


@pytest.mark.parametrize(
    ("probability", "events", "agreement"), [(0.99, 136, "agrees"), (0.99, 120, "too high"), (0.01, 8, "agrees")]
)
def test_an_extreme_probability_is_confirmed_where_the_limit_that_pages_show_is(probability, events, agreement):
    prediction = replace(prediction_of("objective_response", probability), evidence=EVIDENCE)
    assert compare(prediction, event_rate(events, 147), None, None).agreement == agreement


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "<5%"), (0.0499, "<5%"), (0.05, "5%"), (0.494, "49%"), (0.95, "95%"), (0.9501, ">95%"), (None, "–")],
)
def test_no_probability_is_shown_that_held_out_patients_could_not_confirm(probability, text):
    assert chance(probability) == text


def test_a_patient_from_whom_the_model_learnt_gets_no_forecast():
    verdict = outcome_verdict(0.9, None, 0.42, EVIDENCE, steps(0.4), in_training_set=True)
    assert (verdict.chance, verdict.probability, verdict.driver) == ("training patient", None, None)
    text = _ENVIRONMENT.get_template("verdict.jinja").module.verdict_text(verdict, "response")
    assert "%" not in str(text).replace("42% of the training patients", "")


def test_the_main_driver_pushes_the_way_the_chance_goes():
    driver = outcome_verdict(0.2, None, 0.46, EVIDENCE, steps(0.2, -0.25, -0.15)).driver
    assert (driver.name, driver.raises) == ("Genus1", False)


def test_steps_lead_from_the_average_patient_to_the_probability():
    shares = [("Blautia_obeum", "taxa", 0.9), ("IL-6", "immune", -0.4), ("age", "clinical", 0.05)]
    explanation = Explanation(
        "log-odds", -0.3, 0.25, [Contribution(name, block, 1.0, shap) for name, block, shap in shares],
        PlattCalibration(0.8, -0.1),
    )  # fmt: skip
    drawing = waterfall(explanation, None)
    assert drawing.start == pytest.approx(1 / (1 + math.exp(0.8 * 0.3 + 0.1)))
    assert drawing.stop == pytest.approx(1 / (1 + math.exp(-(0.8 * 0.25 - 0.1))))
    assert math.fsum(step.change for step in drawing.steps) == pytest.approx(drawing.stop - drawing.start)
    assert [step.change > 0 for step in drawing.steps] == [True, False, True]


def test_both_outcomes_share_one_axis():
    axis = shared_axis([steps(0.1, start=0.15), steps(-0.13, start=0.72)])
    assert axis.ticks == pytest.approx((0, 0.2, 0.4, 0.6, 0.8))
    assert axis.position(0.1) == pytest.approx(0.125)
    assert axis.position(0.8) == pytest.approx(1)
    assert shared_axis([steps(0.1, start=0.15)]).ticks == pytest.approx((0.1, 0.2, 0.3))
    assert shared_axis([]).high == 1
