"""The prediction of one outcome, and of response and toxicity together."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from features.errors import InputError
from features.measured_values import MeasuredValue
from features.outcomes import OUTCOME_IDS, definition_of, is_toxicity
from models.batch import table_candidates
from models.calibration import Calibration
from models.encoder import Representation
from models.joint import benefit_bounds, joint_outcome
from models.patient_input import Candidate, Measurement, StoolProfile
from models.predict import ServedModel, predict
from models.prediction import (
    Contribution,
    Explanation,
    PlattCalibration,
    Prediction,
    ReportedValue,
    largest_contributions,
)

from .conftest import BLOCKS, PROFILER, complete, invented, prediction_of, trained, validation_of
from .test_batch import served

PREDICTION = TypeAdapter(Prediction)
STOOL = StoolProfile({"Genus0_species0": 60.0, "Genus1_species1": 40.0}, "percent", PROFILER, -1.0, "day_ici")
BLOOD = (Measurement("IL-6", MeasuredValue(3.0), "pg/mL"),)


@pytest.mark.parametrize("representation", [*get_args(Representation), ("clr", "rank", "genus_presence")], ids=str)
def test_contributions_add_up_and_calibrate_to_the_probability(family: str, representation: Any) -> None:
    model = trained(family, representation=representation)
    for candidate in list(table_candidates(invented(seed=9)))[:20]:
        prediction = predict([served(model)], candidate)
        explained, calibration = prediction.explanation, prediction.explanation.calibration
        total = explained.base_value + sum(c.shap for c in explained.contributions)
        assert total == pytest.approx(explained.value, abs=1e-4)
        log_odds = calibration.slope * explained.value + calibration.intercept
        assert prediction.probability == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-12)
        assert prediction.probability == float(model.calibration.probability(np.array(explained.value)))
        assert [c.feature for c in explained.contributions] == [f.name for f in model.encoder.explained_]
        PREDICTION.dump_json(prediction)


@given(margin=st.floats(-1e6, 1e6), slope=st.floats(-50, 50), intercept=st.floats(-50, 50))
def test_a_calibrated_margin_is_a_probability(margin: float, slope: float, intercept: float) -> None:
    assert 0 <= Calibration(slope, intercept).probability(np.array(margin)) <= 1


def test_the_levels_of_a_field_are_one_of_the_largest_contributions() -> None:
    shares = [
        *(Contribution("age", "clinical", 60.0, 0.3), Contribution("sex=female", "clinical", 0.0, 0.2)),
        *(Contribution("sex=male", "clinical", 1.0, 0.25), Contribution("IL-6", "immune", 3.0, -0.4)),
        *(Contribution("arm=a", "clinical", None, 0.01), Contribution("arm=b", "clinical", None, 0.02)),
    ]
    explanation = Explanation("log-odds", 0.0, 0.38, shares, PlattCalibration(1.0, 0.0))
    largest = largest_contributions(explanation, 4)
    assert [(item.feature, round(item.shap, 9)) for item in largest] == [
        *(("sex=male", 0.45), ("IL-6", -0.4), ("age", 0.3), ("arm", 0.03))
    ]
    assert [item.value for item in largest] == [1.0, 3.0, 60.0, None]
    assert [item.feature for item in largest_contributions(explanation, 1)] == ["sex=male"]


def test_values_are_shown_as_measured() -> None:
    blood = (
        Measurement("IL-6", MeasuredValue(float("nan"), "below"), "pg/mL"),
        Measurement("IL-8", MeasuredValue(3000.0), "pg/mL"),
        Measurement("IL-10", MeasuredValue(5.0), "unstated"),
    )
    prediction = predict([served(trained("elastic_net"))], Candidate({"sex": "female"}, STOOL, blood))
    values = {c.feature: c.value for c in prediction.explanation.contributions}
    assert values["Genus0_species0"] == pytest.approx(0.6)
    assert values["Genus2_species2"] == 0
    assert values["IL-6"] is None
    assert values["IL-8"] == pytest.approx(3.0)
    assert values["CD40L"] is None
    assert (values["age"], values["sex=female"], values["sex=male"]) == (None, 1, 0)


def test_a_censored_value_stays_one_and_is_in_the_models_unit() -> None:
    blood = (
        Measurement("IL-6", MeasuredValue(float("nan"), "below", 3.2), "pg/mL"),
        Measurement("IL-8", MeasuredValue(float("nan"), "above", 4000.0), "pg/mL"),
        Measurement("CD40L", MeasuredValue(0.42, extrapolated=True), "NPX"),
    )
    explanation = predict([served(trained("elastic_net"))], Candidate({"sex": "female"}, STOOL, blood)).explanation
    reported = {c.feature: (c.value, c.reported) for c in explanation.contributions if c.block == "immune"}
    assert reported["IL-6"] == (None, ReportedValue("<3.2", "below", 3.2))
    assert reported["IL-8"] == (None, ReportedValue(">4", "above", 4.0))
    assert reported["CD40L"] == (pytest.approx(0.42), ReportedValue("*0.42", None, None))
    without_limit = replace(blood[0], reading=MeasuredValue(float("nan"), "below"))
    explanation = predict(
        [served(trained("elastic_net"))], Candidate({"sex": "female"}, STOOL, (without_limit, *blood[1:]))
    ).explanation
    reported = {c.feature: (c.value, c.reported) for c in explanation.contributions if c.block == "immune"}
    assert reported["IL-6"] == (None, ReportedValue("below range", "below", None))


def test_a_computed_feature_shows_what_was_computed() -> None:
    prediction = predict([served(trained("elastic_net", ("taxa",), "diversity"))], Candidate({}, STOOL))
    values = {c.feature: c.value for c in prediction.explanation.contributions}
    assert values["richness"] == 2
    assert values["simpson"] == pytest.approx(1 - 0.6**2 - 0.4**2)


def test_an_abstention_carries_its_reason_and_its_evidence() -> None:
    model = trained("xgboost")
    prediction = predict([served(model)], Candidate())
    assert prediction.probability is None
    assert prediction.explanation is None
    assert prediction.trust.verdict == "abstain"
    assert len(prediction.trust.reasons) == len(BLOCKS)
    assert prediction.evidence == model.evidence
    assert prediction.model.family == "xgboost"
    assert prediction.model.blocks == tuple(BLOCKS)


MODELS = [
    ServedModel(trained("elastic_net", blocks), "m", str(i), "", "candidate")
    for i, blocks in enumerate([BLOCKS, ("taxa", "clinical"), ("taxa", "immune"), ("taxa",)])
]


@pytest.mark.parametrize(
    ("candidate", "version"),
    [
        (Candidate({"age": 60}, STOOL, BLOOD), "0"),
        (Candidate({"age": 60}, STOOL), "1"),
        (Candidate({}, STOOL, BLOOD), "2"),
        (Candidate({}, STOOL), "3"),
        # What no model knows chooses none.
        (Candidate({"shoe": 43}, STOOL), "3"),
        (Candidate({"shoe": 43}, STOOL, (Measurement("IL-33", MeasuredValue(3.0), "pg/mL"),)), "3"),
        (Candidate({"age": None}, STOOL, (Measurement("IL-6", MeasuredValue(float("nan")), "pg/mL"),)), "3"),
        # Nobody can answer: the best says why.
        (Candidate({"age": 60}), "0"),
        (Candidate(), "0"),
    ],
)
def test_the_first_model_whose_blocks_are_all_measured_predicts(candidate: Candidate, version: str) -> None:
    assert predict(MODELS, candidate).model.version == version


def test_the_registrys_order_decides_between_models_that_fit() -> None:
    assert predict(MODELS[::-1], Candidate({"age": 60}, STOOL, BLOOD)).model.version == "3"


def test_a_value_that_cannot_be_read_is_no_reason_to_take_another_model() -> None:
    with pytest.raises(InputError, match="IL-6"):
        predict(MODELS, Candidate({}, STOOL, (Measurement("IL-6", MeasuredValue(3.0), "NPX"),)))


def test_the_probability_range_describes_patients_together() -> None:
    model = complete("elastic_net")
    assert model.calibration.venn_abers is not None
    for candidate in list(table_candidates(invented(seed=9)))[:20]:
        prediction = predict([served(model)], candidate)
        result = prediction.probability_range
        assert (result is None) == (prediction.probability is None)
        if result is None:
            continue
        reference_range = model.calibration.venn_abers.range(prediction.explanation.value)
        assert (result.low, result.high) == reference_range
        assert 0 <= result.low <= result.high <= 1
        assert result.method == "Venn-Abers"
        assert "such patients together, not this patient" in result.meaning
        assert "model card" in result.meaning
        PREDICTION.dump_json(prediction)
    untold = predict([served(replace(model, validation=None))], candidate).probability_range
    assert "card" not in untold.meaning
    assert predict([served(trained("elastic_net"))], candidate).probability_range is None


def test_a_prediction_repeats_the_evidence_and_not_the_validation_record() -> None:
    model = complete("elastic_net")
    model = replace(model, validation=replace(validation_of({}), software={"long": "a" * 10_000}))
    prediction = predict([served(model)], next(table_candidates(invented())))
    assert prediction.evidence == model.evidence
    assert len(PREDICTION.dump_json(prediction)) < 10_000


def test_outcomes_of_the_nearest_come_with_a_prediction_and_not_with_an_abstention() -> None:
    model = complete("elastic_net", ("taxa",))
    n_counted = 0
    for candidate in table_candidates(invented(seed=9)):
        prediction = predict([served(model)], candidate)
        assert (prediction.probability is None) == (prediction.nearest == ())
        for row in prediction.nearest:
            n_counted += 1
            assert 20 <= row.patients <= 25
            assert row.low <= row.events / row.patients <= row.high
        assert [row.outcome for row in prediction.nearest][:1] in ([], ["toxicity_any"])
    assert n_counted > 40
    assert predict([served(trained("elastic_net"))], Candidate({}, STOOL)).nearest == ()


@given(joint=st.lists(st.floats(0.001, 1), min_size=4, max_size=4))
def test_benefit_lies_within_its_bounds_whatever_the_dependence(joint: list[float]) -> None:
    both_cells, only_r, only_t, neither = np.array(joint) / sum(joint)
    result = benefit_bounds(
        joint_outcome(
            [
                prediction_of("objective_response", both_cells + only_r),
                prediction_of("toxicity_any", both_cells + only_t),
            ]
        )
    )
    assert result.low - 1e-12 <= only_r <= result.high + 1e-12
    assert neither >= 0


@given(counts=st.tuples(st.integers(0, 6), st.integers(0, 6)))
def test_the_bounds_of_benefit_are_reached(counts: tuple[int, int]) -> None:
    n, (responders, toxic) = 6, counts
    # Every way to let toxicity fall on six patients of whom the first respond.
    result = [
        sum(i < responders and not fell for i, fell in enumerate(falls)) / n
        for falls in product([False, True], repeat=n)
        if sum(falls) == toxic
    ]
    bounds = benefit_bounds(
        joint_outcome([prediction_of("toxicity_2", toxic / n), prediction_of("disease_control", responders / n)])
    )
    assert (min(result), max(result)) == pytest.approx((bounds.low, bounds.high))
    assert bounds.outcomes == ("disease_control", "toxicity_2")


def test_benefit_needs_both_sides() -> None:
    response, toxicity = prediction_of("objective_response", 0.5), prediction_of("toxicity_any", 0.5)
    for answers, reason in (
        ([response], "no model of toxicity is registered"),
        ([toxicity], "no model of response is registered"),
        ([], "no model of response is registered"),
        ([response, prediction_of("toxicity_any", None)], "a model abstained"),
        ([prediction_of("objective_response", None), toxicity], "a model abstained"),
    ):
        result = benefit_bounds(joint_outcome(answers))
        assert (result.low, result.high, result.reason) == (None, None, reason)


def test_every_prediction_defines_its_outcome() -> None:
    for outcome in OUTCOME_IDS:
        model = trained("elastic_net")
        evidence = replace(model.evidence, outcome=outcome, definition=definition_of(outcome, 90))
        model = replace(model, outcome=outcome, evidence=evidence)
        prediction = predict([served(model)], Candidate({}, STOOL, BLOOD))
        assert prediction.definition == evidence.definition
        assert is_toxicity(outcome) == prediction.definition.endswith(" by day 90")
        assert is_toxicity(outcome) == ("adverse event" in prediction.definition)
