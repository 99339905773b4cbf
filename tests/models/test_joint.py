"""The four cells against linear programming and a solved odds ratio, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog

from models.evidence import PooledOddsRatio
from models.joint import CELLS, ODDS_RATIO_MEANS, joint_outcome, joint_probability
from models.prediction import Cell

from .conftest import prediction_of

share = st.floats(0, 1)
inner = st.floats(0.01, 0.99)
ratio = st.floats(0.01, 100)


def pooled(value: float, patients: int = 120, toxicity: str = "toxicity_any") -> PooledOddsRatio:
    return PooledOddsRatio("objective_response", toxicity, patients, value, value / 2, value * 2)


@given(r=share, t=share)
def test_bounds_are_what_linear_programming_finds(r: float, t: float) -> None:
    found = joint_outcome([prediction_of("objective_response", r), prediction_of("toxicity_any", t)])
    # Response without toxicity, both, neither, toxicity without response.
    margins = [[1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]]
    for at, name in enumerate(CELLS):
        cost = np.eye(4)[at]
        ends = [linprog(sign * cost, A_eq=margins, b_eq=[r, t, 1], bounds=(0, 1)).fun * sign for sign in (1, -1)]
        assert (getattr(found, name).low, getattr(found, name).high) == pytest.approx(ends, abs=1e-6)
        assert getattr(found, name).expected is None


@given(r=inner, t=inner, odds_ratio=ratio)
def test_the_cells_have_the_odds_ratio_and_the_margins(r: float, t: float, odds_ratio: float) -> None:
    found = joint_outcome(
        [prediction_of("objective_response", r, [pooled(odds_ratio)]), prediction_of("toxicity_any", t)]
    )
    alone, both, neither, harm = (getattr(found, name).expected for name in CELLS)
    assert both * neither == pytest.approx(odds_ratio * alone * harm, rel=1e-6, abs=1e-12)
    assert (alone + both, both + harm) == pytest.approx((r, t))
    assert alone + both + neither + harm == pytest.approx(1)
    for name in CELLS:
        assert 0 <= getattr(found, name).low <= getattr(found, name).expected <= getattr(found, name).high <= 1
    solved = brentq(
        lambda x: x * (1 - r - t + x) - odds_ratio * (r - x) * (t - x), max(0, r + t - 1), min(r, t), xtol=1e-14
    )
    assert both == pytest.approx(solved, abs=1e-9)


@given(r=share, t=share, odds_ratio=ratio)
def test_any_probabilities_have_cells(r: float, t: float, odds_ratio: float) -> None:
    found = joint_outcome(
        [prediction_of("objective_response", r, [pooled(odds_ratio)]), prediction_of("toxicity_any", t)]
    )
    for name in CELLS:
        assert getattr(found, name).low - 1e-12 <= getattr(found, name).expected <= getattr(found, name).high


@given(r=inner, t=inner, odds_ratio=ratio, more=ratio)
def test_a_larger_odds_ratio_never_makes_both_rarer(r: float, t: float, odds_ratio: float, more: float) -> None:
    low, high = sorted((odds_ratio, more))
    assert joint_probability(r, t, low) <= joint_probability(r, t, high) + 1e-12
    assert joint_probability(r, t, 1) == pytest.approx(r * t)


def test_the_odds_ratio_of_most_patients_that_is_of_these_outcomes_counts() -> None:
    others = (pooled(9.0, 900, "toxicity_3"), pooled(2.0, 120))
    answers = [
        prediction_of("objective_response", 0.4, [*others]),
        prediction_of("toxicity_any", 0.3, [pooled(3.0, 150)]),
    ]
    found = joint_outcome([prediction_of("disease_control", 0.5), *answers][1:])
    assert found.odds_ratio == pooled(3.0, 150)
    assert found.meaning == ODDS_RATIO_MEANS
    assert joint_outcome([prediction_of("disease_control", 0.5), *answers]).odds_ratio is None
    assert found.outcomes == ("objective_response", "toxicity_any")


def test_without_both_sides_there_are_no_cells() -> None:
    found = joint_outcome(
        [prediction_of("objective_response", None, [pooled(2.0)]), prediction_of("toxicity_any", 0.3)]
    )
    assert (found.reason, found.odds_ratio) == ("a model abstained", None)
    assert [getattr(found, name) for name in CELLS] == [Cell(None, None, None)] * 4
    assert joint_outcome([]).reason == "no model of response is registered"
    assert joint_outcome([prediction_of("disease_control", 0.1)]).reason == "no model of toxicity is registered"
