"""The joint 2 x 2 against linear programming and a solved odds ratio, and their laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog

from models.evidence import Estimate, HeldOutCells, PooledOddsRatio
from models.joint import (
    CELLS,
    CONTRADICTED_MEANS,
    HELD_OUT_MEANS,
    ODDS_RATIO_MEANS,
    benefit_bounds,
    joint_outcome,
    joint_probability,
)
from models.prediction import LEARNT_FROM_PATIENT, Cell

from .conftest import prediction_of

share = st.floats(0, 1)
inner = st.floats(0.01, 0.99)
ratio = st.floats(0.01, 100)


def pooled(value: float, patients: int = 120, toxicity: str = "toxicity_any") -> PooledOddsRatio:
    return PooledOddsRatio("objective_response", toxicity, patients, value, value / 2, value * 2)


@given(r=share, t=share)
def test_bounds_are_what_linear_programming_finds(r: float, t: float) -> None:
    joint = joint_outcome([prediction_of("objective_response", r), prediction_of("toxicity_any", t)])
    # Response without toxicity, both, neither, toxicity without response.
    margins = [[1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]]
    for position, name in enumerate(CELLS):
        cost = np.eye(4)[position]
        ends = [linprog(sign * cost, A_eq=margins, b_eq=[r, t, 1], bounds=(0, 1)).fun * sign for sign in (1, -1)]
        assert (getattr(joint, name).low, getattr(joint, name).high) == pytest.approx(ends, abs=1e-6)
        assert getattr(joint, name).expected is None


@given(r=inner, t=inner, odds_ratio=ratio)
def test_the_cells_have_the_odds_ratio_and_the_margins(r: float, t: float, odds_ratio: float) -> None:
    joint = joint_outcome(
        [prediction_of("objective_response", r, [pooled(odds_ratio)]), prediction_of("toxicity_any", t)]
    )
    alone, response_and_toxicity, neither, harm = (getattr(joint, name).expected for name in CELLS)
    assert response_and_toxicity * neither == pytest.approx(odds_ratio * alone * harm, rel=1e-6, abs=1e-12)
    assert (alone + response_and_toxicity, response_and_toxicity + harm) == pytest.approx((r, t))
    assert alone + response_and_toxicity + neither + harm == pytest.approx(1)
    for name in CELLS:
        assert 0 <= getattr(joint, name).low <= getattr(joint, name).expected <= getattr(joint, name).high <= 1
    solved = brentq(
        lambda x: x * (1 - r - t + x) - odds_ratio * (r - x) * (t - x), max(0, r + t - 1), min(r, t), xtol=1e-14
    )
    assert response_and_toxicity == pytest.approx(solved, abs=1e-9)


@given(r=share, t=share, odds_ratio=ratio)
def test_any_probabilities_have_cells(r: float, t: float, odds_ratio: float) -> None:
    joint = joint_outcome(
        [prediction_of("objective_response", r, [pooled(odds_ratio)]), prediction_of("toxicity_any", t)]
    )
    for name in CELLS:
        assert getattr(joint, name).low - 1e-12 <= getattr(joint, name).expected <= getattr(joint, name).high


@given(r=inner, t=inner, odds_ratio=ratio, other_ratio=ratio)
def test_a_larger_odds_ratio_never_makes_both_rarer(r: float, t: float, odds_ratio: float, other_ratio: float) -> None:
    low, high = sorted((odds_ratio, other_ratio))
    assert joint_probability(r, t, low) <= joint_probability(r, t, high) + 1e-12
    assert joint_probability(r, t, 1) == pytest.approx(r * t)


def test_the_odds_ratio_of_most_patients_that_is_of_these_outcomes_counts() -> None:
    ratios = (pooled(9.0, 900, "toxicity_3"), pooled(2.0, 120))
    answers = [
        prediction_of("objective_response", 0.4, [*ratios]),
        prediction_of("toxicity_any", 0.3, [pooled(3.0, 150)]),
    ]
    joint = joint_outcome([prediction_of("disease_control", 0.5), *answers][1:])
    assert joint.odds_ratio == pooled(3.0, 150)
    assert joint.meaning == ODDS_RATIO_MEANS
    assert joint_outcome([prediction_of("disease_control", 0.5), *answers]).odds_ratio is None
    assert joint.outcomes == ("objective_response", "toxicity_any")


def test_without_both_sides_there_are_no_cells() -> None:
    joint = joint_outcome(
        [prediction_of("objective_response", None, [pooled(2.0)]), prediction_of("toxicity_any", 0.3)]
    )
    assert (joint.reason, joint.odds_ratio) == ("a model abstained", None)
    assert [getattr(joint, name) for name in CELLS] == [Cell(None, None, None)] * 4
    assert joint_outcome([]).reason == "no model of response is registered"
    assert joint_outcome([prediction_of("disease_control", 0.1)]).reason == "no model of toxicity is registered"


@pytest.mark.parametrize("learnt", ["response", "toxicity"])
def test_nothing_is_joined_to_the_prediction_of_a_patient_whom_a_model_learnt_from(learnt: str) -> None:
    response = prediction_of("objective_response", 0.4, [pooled(2.0)])
    toxicity = replace(prediction_of("toxicity_any", 0.3), unconfirmed_reason="not confirmed")
    trust = replace(response.trust, in_training_set=True)
    if learnt == "response":
        response = replace(response, trust=trust)
    else:
        toxicity = replace(toxicity, trust=trust)
    joint = joint_outcome([response, toxicity])
    assert (joint.reason, joint.unconfirmed_reason, joint.odds_ratio) == (LEARNT_FROM_PATIENT, None, None)
    assert [getattr(joint, name) for name in CELLS] == [Cell(None, None, None)] * 4
    benefit = benefit_bounds(joint)
    assert (benefit.low, benefit.high, benefit.reason) == (None, None, LEARNT_FROM_PATIENT)
    # Where the model of this patient abstains, there is no probability that could repeat the outcome.
    silent = replace(response, probability=None, trust=replace(trust, verdict="abstain"))
    assert joint_outcome([silent, prediction_of("toxicity_any", 0.3)]).reason == "a model abstained"


def of_held_out(value: float, counterpart: str, *, calibrated: bool) -> PooledOddsRatio:
    held_out = HeldOutCells(counterpart, 2, 0.1, (), calibrated, Estimate(None, None, None))
    return replace(pooled(value, 110), held_out=held_out)


def test_the_odds_ratio_of_both_models_held_out_predictions_comes_first() -> None:
    ratios = [pooled(2.0, 500), of_held_out(5.0, "model/1", calibrated=True)]
    joint = joint_outcome([prediction_of("objective_response", 0.4), prediction_of("toxicity_any", 0.3, ratios)])
    assert joint.odds_ratio == ratios[1]
    assert joint.meaning == HELD_OUT_MEANS
    assert joint.response_with_toxicity.expected == pytest.approx(joint_probability(0.4, 0.3, 5.0))


def test_held_out_predictions_of_another_model_do_not_count() -> None:
    ratios = [pooled(2.0, 500), of_held_out(5.0, "model/0", calibrated=True)]
    joint = joint_outcome([prediction_of("objective_response", 0.4), prediction_of("toxicity_any", 0.3, ratios)])
    assert joint.odds_ratio == ratios[0]
    assert joint.meaning == ODDS_RATIO_MEANS


def test_with_a_horizon_the_odds_ratio_of_the_toxicity_alone_counts() -> None:
    response = prediction_of("objective_response", 0.4, [pooled(2.0, 500)])
    toxicity = prediction_of("toxicity_any", 0.3, [pooled(3.0)])
    assert joint_outcome([response, toxicity]).odds_ratio == pooled(2.0, 500)
    toxicity = replace(toxicity, evidence=replace(toxicity.evidence, by_day=90.0))
    assert joint_outcome([response, toxicity]).odds_ratio == pooled(3.0)
    toxicity = replace(toxicity, evidence=replace(toxicity.evidence, odds_ratios=()))
    joint = joint_outcome([response, toxicity])
    assert (joint.odds_ratio, joint.response_with_toxicity.expected) == (None, None)
    assert joint.response_with_toxicity.high == pytest.approx(0.3)


def test_contradicted_cells_have_bounds_and_no_estimates() -> None:
    ratios = [pooled(2.0, 500), of_held_out(5.0, "model/1", calibrated=False)]
    joint = joint_outcome([prediction_of("objective_response", 0.4), prediction_of("toxicity_any", 0.3, ratios)])
    assert joint.meaning == CONTRADICTED_MEANS
    assert [getattr(joint, name).expected for name in CELLS] == [None] * 4
    assert joint.response_with_toxicity.high == 0.3
