"""The verdict and the waterfall of a page: fixed rules, and steps that add up to the probability."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest

from models.confirmation import is_unconfirmed
from models.evidence import ProbabilityGroup, TaxonDistribution, TrainingCohort
from models.evidence_upgrade import upgrade_evidence
from models.prediction import Contribution, Explanation, NearestOutcomes, PlattCalibration
from models.rates import event_rate
from serving.number_text import chance
from serving.pages.drawings.strip import training_strip
from serving.pages.drawings.waterfall import FeatureShare, Step, Waterfall, shared_axis, waterfall
from serving.pages.rendering import _ENVIRONMENT
from serving.pages.verdict import OutcomeVerdict, outcome_verdict
from serving.pages.views.comparison import compare

from ..models.conftest import prediction_of
from ..training.evidence.validations import LOCO

EVIDENCE = replace(
    upgrade_evidence(
        {"beats_chance": None, "sentence": "", "clocks": ["day_ici"], "landmark": 0.0, "simulated": False,
         "left_out_auroc": {"value": 0.7, "low": 0.5, "high": 0.9}, "cohorts": [], "patients": 100, "events": 42,
         "odds_ratios": []}, "objective_response",
    ),
    scheme="loco",
)  # fmt: skip

COHORT = TrainingCohort("one", "One", "day_ici", "first dose", None, "", "", simulated=False)
TWO_COHORTS = (COHORT, replace(COHORT, name="two"))


def steps(*changes: float, start: float = 0.4) -> Waterfall:
    edges = [start]
    for change in changes:
        edges.append(edges[-1] + change)
    parts = pairwise(edges)
    return Waterfall(
        edges[0], edges[-1], tuple(Step(f"Genus{i}", "taxa", b - a, a, b, 1, ()) for i, (a, b) in enumerate(parts))
    )


def held_out_group(events: int, patients: int = 55, low: float = 0.15, high: float = 0.41) -> ProbabilityGroup:
    """Return a group of held-out patients by what was predicted for them."""
    return ProbabilityGroup(low, high, event_rate(events, patients))


AROUND_42 = held_out_group(23)


@pytest.mark.parametrize(
    ("probability", "similar", "rate", "drawing", "chance"),
    [
        # The interval of the held-out patients decides, not how far the probability lies from the rate.
        (0.30, AROUND_42, 0.42, steps(-0.12), "about average"),
        (0.18, AROUND_42, 0.30, steps(-0.12), "about average"),
        (0.80, AROUND_42, 0.42, steps(0.4), "about average"),
        (0.26, held_out_group(10), 0.42, steps(-0.16), "below average"),
        (0.40, held_out_group(10), 0.42, steps(-0.16), "below average"),
        (0.60, held_out_group(40), 0.42, steps(0.2), "above average"),
        (0.20, held_out_group(40), 0.42, steps(-0.2), "contradicted"),
        (0.60, held_out_group(10), 0.42, steps(0.2), "contradicted"),
        (0.60, held_out_group(40), None, steps(0.2), "not compared"),
        (0.60, None, 0.42, steps(0.2), "not compared"),
        (0.405, AROUND_42, 0.42, steps(0.004, 0.001), "indistinct"),
        (0.70, AROUND_42, 0.42, steps(0.004, 0.001), "indistinct"),
        # Two groups that cancel do tell the patient from others.
        (0.40, AROUND_42, 0.42, steps(0.05, -0.05), "about average"),
        (None, None, 0.42, None, "no prediction"),
    ],
)
def test_the_chance_follows_fixed_rules(probability, similar, rate, drawing, chance):
    verdict = outcome_verdict(probability, similar, rate, EVIDENCE, drawing)
    assert verdict.chance == chance
    assert (verdict.probability is None) == (chance in {"indistinct", "no prediction"}) == (not verdict.drivers)


def text_of(verdict: OutcomeVerdict, side: str = "response") -> str:
    text = str(_ENVIRONMENT.get_template("verdict.jinja").module.verdict_text(verdict, side))
    return re.sub("</?span[^>]*>", "", text).strip()


def test_the_sentence_states_chance_rule_evidence_and_driver():
    evidence = replace(EVIDENCE, beats_chance=False, cohorts=TWO_COHORTS)
    verdict = outcome_verdict(0.3, held_out_group(20), 0.42, evidence, steps(0.02, -0.12))
    assert text_of(verdict) == (
        "About average for response: 30% predicted; of held-out patients predicted 15–41%, 36% responded (20 of 55), "
        "and the 95% interval, 24% to 50%, contains the 42% of all training patients. No evidence of discrimination in "
        "held-out cohorts. Largest contribution in the model: <i>Genus1</i>, which lowers the prediction."
    )


@pytest.mark.parametrize(
    ("events", "start", "place"),
    [(10, "Below average", "lies below"), (40, "Above average", "lies above"), (22, "About average", "contains")],
)
def test_the_sentence_says_where_the_interval_lies(events, start, place):
    probability = events / 55
    text = text_of(outcome_verdict(probability, held_out_group(events), 0.42, EVIDENCE, steps(-0.2)))
    observed = (
        f"of held-out patients predicted 15–41%, {probability:.0%} responded ({events} of 55), and the 95% interval"
    )
    assert text.startswith(f"{start} for response: {probability:.0%} predicted; {observed}")
    assert f"{place} the 42% of all training patients." in text


@pytest.mark.parametrize(
    ("probability", "events", "patients", "rate", "numbers"),
    [
        (0.54, 50, 147, 0.44, "predicts 54%; of held-out patients predicted 15–41%, 34% responded (50 of 147; 95% "
         "interval 26% to 42%), of all training patients 44%."),
        # By whole percents, 17% would lie inside 17% to 32%.
        (0.166, 35, 146, 0.44, "predicts 16.6%; of held-out patients predicted 15–41%, 24% responded (35 of 146; 95% "
         "interval 17.3% to 31.7%), of all training patients 44%."),
        (0.2, 40, 55, 0.42, "predicts 20%; of held-out patients predicted 15–41%, 73% responded (40 of 55; 95% "
         "interval 59% to 84%), of all training patients 42%."),
    ],
)  # fmt: skip
def test_what_is_not_confirmed_states_no_level_and_as_many_decimals_as_tell_why(
    probability, events, patients, rate, numbers
):
    verdict = outcome_verdict(probability, held_out_group(events, patients), rate, EVIDENCE, steps(-0.2))
    text = text_of(verdict)
    assert text.startswith(f"Not confirmed for this patient: the model {numbers}")
    assert verdict.is_unconfirmed
    assert "average" not in text


def test_what_is_not_confirmed_states_the_mean_prediction_that_decides():
    group = replace(held_out_group(50, 147, 0.3, 0.54), mean_probability=0.4235)
    text = text_of(outcome_verdict(0.54, group, 0.44, EVIDENCE, steps(0.1)))
    assert text.startswith(
        "Not confirmed for this patient: the model predicts 54.0%; of held-out patients predicted 30–54%, on average "
        "42.4%, 34% responded (50 of 147; 95% interval 26.4% to 42.3%), of all training patients 44%."
    )


def test_a_level_has_as_many_decimals_as_tell_it():
    # 147 of 300 has an interval from 43.2%.
    text = text_of(outcome_verdict(0.5, held_out_group(147, 300), 0.431, EVIDENCE, steps(0.1)))
    assert "95% interval, 43.2% to 54.8%, lies above the 43.1% of all training patients" in text


@pytest.mark.parametrize(
    ("probability", "events", "words"),
    [
        (0.82, 10, "40% responded (21% to 61%): fewer than the 82% predicted."),
        (0.15, 10, "40% responded (21% to 61%): more than the 15% predicted."),
        (0.21, 10, "40% responded (21.1% to 61.3%): more than the 21.0% predicted."),
        (0.5, 10, ""),
        (0.99, 20, "80% responded (59% to 93%): fewer than the about 95% predicted."),
        (0.99, 24, ""),
        (0.99, None, ""),
    ],
)
def test_a_prediction_outside_the_interval_of_the_nearest_patients_is_cautioned(probability, events, words):
    nearest = None if events is None else NearestOutcomes("objective_response", 25, events, 0.0, 0.0, 0.0)
    prediction = replace(prediction_of("objective_response", probability), evidence=EVIDENCE)
    side = SimpleNamespace(
        side="response",
        comparison=compare(prediction, None, nearest, None),
        verdict=outcome_verdict(probability, None, 0.42, EVIDENCE, steps(0.4)),
    )
    text = str(_ENVIRONMENT.get_template("verdict.jinja").module.nearest_text(side))
    start = "<strong>Caution:</strong> of the 25 training patients with the most similar stool, "
    assert text == (start + words if words else "")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.31, 0.44, "of held-out patients predicted 31–44%, "),
        (0.312, 0.3144, "of held-out patients predicted 31.2–31.4%, "),
        (0.0, 1.0, "of held-out patients, whatever was predicted for them, "),
    ],
)
def test_the_sentence_names_the_band_of_predictions(low, high, words):
    text = text_of(outcome_verdict(0.313, held_out_group(20, low=low, high=high), 0.42, EVIDENCE, steps(-0.12)))
    assert words in text
    assert "such a prediction" not in text


EVERY_EVIDENCE = [
    replace(EVIDENCE, beats_chance=beats_chance, simulated=simulated, scheme=scheme, cohorts=cohorts)
    for beats_chance, simulated, scheme, cohorts in itertools.product(
        (True, False, None), (True, False), ("loco", "cv"), ((), TWO_COHORTS)
    )
]


@pytest.mark.parametrize("evidence", EVERY_EVIDENCE)
@pytest.mark.parametrize("similar", [None, held_out_group(10), AROUND_42, held_out_group(40)])
def test_no_sentence_contradicts_itself(evidence, similar):
    text = text_of(outcome_verdict(0.3, similar, 0.42, evidence, steps(-0.12)))
    exceeds = "exceeds chance" in text
    assert exceeds == (evidence.beats_chance is not False)
    assert ("o evidence of discrimination" in text or "no discrimination" in text) == (evidence.beats_chance is False)
    assert ("which no permutation test confirms" in text) == (evidence.beats_chance is None)
    # No word of strength for simulated patients, and none but weak inside one cohort.
    assert ("imulated evidence" in text) == evidence.simulated
    assert not re.search("[Ss]trong", text)
    is_real = evidence.beats_chance is True and not evidence.simulated
    assert ("Moderate evidence" in text) == (is_real and "held-out cohorts" in text)
    # What was held out is named as it was.
    assert ("held-out cohorts" in text) == (evidence.scheme == "loco" and len(evidence.cohorts) > 1)


@pytest.mark.parametrize(("events", "agreement"), [(0, "above"), (20, "inside"), (50, "below")])
def test_the_comparison_labels_each_number_and_places_the_prediction_beside_held_out_patients(events, agreement):
    prediction = replace(prediction_of("objective_response", 0.3), evidence=EVIDENCE)
    nearest = NearestOutcomes("objective_response", 25, 10, 0.4, 0.21, 0.61)
    comparison = compare(prediction, held_out_group(events), nearest, None)
    assert comparison.agreement == agreement
    sources = [(row.source, row.outcomes and row.outcomes.patients) for row in comparison.rates]
    assert sources == [("model", None), ("held-out patients", 55), ("nearest patients", 25), ("training patients", 100)]
    assert compare(replace(prediction, probability=None), None, None, None) is None


def test_a_prediction_on_the_other_side_of_the_rate_than_its_band_has_no_level():
    group = replace(held_out_group(50, 147, 0.3, 0.54), mean_probability=0.41)
    text = text_of(outcome_verdict(0.53, group, 0.44, EVIDENCE, steps(0.1)))
    assert text.startswith("About average for response: 53% predicted; of held-out patients predicted 30–54%, 34%")
    assert "lies below the 44% of all training patients" in text
    assert text_of(outcome_verdict(0.40, group, 0.44, EVIDENCE, steps(-0.1))).startswith("Below average for response")


@pytest.mark.parametrize(("mean", "agreement"), [(0.22, "inside"), (0.45, "above"), (0.1, "below")])
@pytest.mark.parametrize("probability", [0.16, 0.29])
def test_a_prediction_near_the_end_of_its_band_is_judged_by_the_mean_of_the_band(probability, mean, agreement):
    prediction = replace(prediction_of("objective_response", probability), evidence=EVIDENCE)
    group = replace(held_out_group(35, 146, 0.1, 0.3), mean_probability=mean)
    # The interval of the rate, 17% to 32%, would contradict 16% whatever the others were predicted.
    assert compare(prediction, group, None, None).agreement == agreement
    verdict = outcome_verdict(probability, group, 0.44, EVIDENCE, steps(-0.2))
    assert verdict.is_unconfirmed == (agreement != "inside")


@pytest.mark.parametrize(
    ("probability", "events", "agreement"),
    [(0.99, 136, "inside"), (0.99, 147, "inside"), (0.99, 120, "above"), (0.01, 8, "inside"), (0.01, 0, "inside")],
)
def test_an_extreme_probability_is_judged_by_the_limit_that_pages_show(probability, events, agreement):
    prediction = replace(prediction_of("objective_response", probability), evidence=EVIDENCE)
    assert compare(prediction, held_out_group(events, 147), None, None).agreement == agreement


@pytest.mark.parametrize(
    ("probability", "mean", "events", "rate", "chance"),
    [
        (0.01, 0.01, 74, 0.02, "about average"),
        (0.99, 0.99, 1926, 0.98, "about average"),
        (0.025, 0.01, 74, 0.02, "above average"),
        (0.01, 0.01, 140, 0.02, "contradicted"),
    ],
)
def test_page_and_api_confirm_alike_what_lies_beyond_a_limit(probability, mean, events, rate, chance):
    group = replace(held_out_group(events, 2000, 0.0, 1.0), mean_probability=mean)
    verdict = outcome_verdict(probability, group, rate, EVIDENCE, steps(-0.2))
    assert verdict.chance == chance
    assert verdict.is_unconfirmed == is_unconfirmed(replace(LOCO, outcomes_by_probability=(group,)), probability)
    assert ("Not confirmed" in text_of(verdict)) == verdict.is_unconfirmed == (chance == "contradicted")


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "about 5%"), (0.0499, "about 5%"), (0.05, "about 5%"), (0.051, "5%"), (0.494, "49%"), (0.949, "95%"),
        (0.95, "about 95%"), (0.9501, "about 95%"),
        (None, "–"),
    ],
)  # fmt: skip
def test_no_probability_is_shown_that_held_out_patients_could_not_confirm(probability, text):
    assert chance(probability) == text


def test_a_patient_from_whom_the_model_learnt_gets_no_forecast():
    verdict = outcome_verdict(0.9, None, 0.42, EVIDENCE, steps(0.4), in_training_set=True)
    assert (verdict.chance, verdict.probability, verdict.drivers) == ("training patient", None, ())
    assert "%" not in text_of(verdict).replace("42% of the training patients", "")


def test_the_main_driver_pushes_the_way_the_chance_goes():
    (driver,) = outcome_verdict(0.2, None, 0.46, EVIDENCE, steps(0.2, -0.25, -0.15)).drivers
    assert (driver.name, driver.raises) == ("Genus1", False)


@pytest.mark.parametrize(
    ("changes", "names", "words"),
    [
        ((0.172, -0.168), ["Genus0", "Genus1"], "Genus0</i>, which raises the prediction; <i>Genus1</i>, which lowers"),
        ((-0.1, 0.05, -0.101), ["Genus2", "Genus0"], "Genus2</i>, which lowers the prediction; <i>Genus0</i>, which"),
        # The largest of all is named too where it pushes against the whole.
        ((0.2, -0.15, -0.12), ["Genus1", "Genus0"], "Genus1</i>, which lowers the prediction; <i>Genus0</i>, which"),
        ((0.172, -0.158), ["Genus0"], "Largest contribution in the model: <i>Genus0</i>"),
    ],
)
def test_contributions_as_large_as_the_largest_are_named_with_it(changes, names, words):
    verdict = outcome_verdict(0.5, None, 0.46, EVIDENCE, steps(*changes))
    assert [driver.name for driver in verdict.drivers] == names
    text = text_of(verdict)
    assert words in text
    assert ("Largest contributions" in text) == (len(names) > 1)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "low <i>Blautia</i>, which"),
        (0.009, "low <i>Blautia</i>, which"),
        (0.02, "<i>Blautia</i> at the usual level, which"),
        (0.025, "<i>Blautia</i> at the usual level, which"),
        (0.05, "high <i>Blautia</i>, which"),
        (None, "<i>Blautia</i>, which"),
    ],
)
def test_a_measurement_is_high_or_low_outside_the_middle_half_of_the_training_patients(value, words):
    quantiles = {5: 0.001, 25: 0.01, 50: 0.02, 75: 0.03, 95: 0.1}
    strip = training_strip(TaxonDistribution(100, 0.9, quantiles), value, logarithmic=True)
    share = FeatureShare("Blautia_obeum", "taxa", value, "proportion", None, 1.0, strip)
    drawing = Waterfall(0.5, 0.73, (Step("Blautia", "taxa", 1.0, 0.5, 0.73, 1, (share,)),))
    text = text_of(outcome_verdict(0.73, None, 0.42, EVIDENCE, drawing))
    assert f"Largest contribution in the model: {words} raises the prediction." in text


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


def log_odds_steps(*shaps: float, names: str) -> Waterfall:
    """Return the exact waterfall from 50% by these log-odds; the step of the name "." is that of all others."""
    edges = [1 / (1 + math.exp(-total)) for total in itertools.accumulate(shaps, initial=0.0)]
    parts = zip(names.replace(".", " "), shaps, pairwise(edges), strict=True)
    steps_of_names = tuple(Step(name.strip(), "taxa", shap, a, b, 1, ()) for name, shap, (a, b) in parts)
    return Waterfall(edges[0], edges[-1], steps_of_names)


@pytest.mark.parametrize(
    ("shaps", "names", "rows"),
    [
        # 50%, 82%, 95%; what lies beyond is no point, and has no row of its own.
        ((1.5, 2.0, 1.0, 0.2, 0.1), "ABCD.", [("A", 32), ("B", 13), ("", 0)]),
        # Back from beyond the limit, the step begins there.
        ((3.5, -1.5), "AB", [("A", 45), ("B", -7)]),
        # Small steps add up in the last row.
        ((0.5, 0.018, 0.018, 0.02), "ABC.", [("A", 12), ("", 1)]),
        ((-1.5, -2.0, -0.3), "ABC", [("A", -32), ("B", -13), ("", 0)]),
    ],
)
def test_the_drawn_waterfall_ends_at_the_stated_limit_and_has_no_row_of_nothing(shaps, names, rows):
    exact = log_odds_steps(*shaps, names=names)
    drawing = exact.drawing
    assert [(step.name, round(100 * step.change)) for step in drawing.steps] == rows
    assert drawing.steps[-1].stop == pytest.approx(drawing.stop)
    assert drawing.stop == pytest.approx(min(max(exact.stop, 0.05), 0.95))
    assert all(later.start == step.stop for step, later in pairwise(drawing.steps))
    assert sum(step.n_features for step in drawing.steps) == len(shaps)
    assert math.fsum(step.shap for step in drawing.steps) == pytest.approx(math.fsum(shaps))


def test_both_outcomes_share_one_axis():
    axis = shared_axis([steps(0.1, start=0.15), steps(-0.13, start=0.72)])
    assert axis.ticks == pytest.approx((0, 0.25, 0.5, 0.75))
    assert axis.position(0.15) == pytest.approx(0.2)
    assert axis.position(0.75) == pytest.approx(1)
    assert shared_axis([]).high == 1


@pytest.mark.parametrize(
    ("start", "change", "ends"),
    [
        (0.66, -0.06, (0.5, 1)),
        (0.55, 0.02, (0.25, 0.75)),
        (0.01, 0.02, (0, 0.5)),
        (0.99, -0.02, (0.5, 1)),
        (0.5, 0.0, (0.25, 0.75)),
        (0.3, 0.5, (0.25, 1)),
    ],
)
def test_no_axis_magnifies_a_few_points(start, change, ends):
    axis = shared_axis([steps(change, start=start)])
    assert (axis.low, axis.high) == ends
    assert all(0 <= axis.position(edge) <= 1 for edge in (start, start + change))
