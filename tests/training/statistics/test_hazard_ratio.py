"""The hazard ratio, against figures of R."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.statistics.freireich import EVENT, TIME, TREATED
from training.statistics.hazard_ratio import hazard_ratio


def test_freireichs_trial_has_the_hazard_ratio_of_r():
    # survival::coxph, ties = "efron": coefficient -1.5721, standard error 0.4124.
    result = hazard_ratio(TIME, EVENT, TREATED)
    expected = np.exp([-1.5721, -1.5721 - 1.959964 * 0.4124, -1.5721 + 1.959964 * 0.4124])
    assert [result.value, result.low, result.high] == pytest.approx(expected, rel=3e-4)


def test_an_arm_without_an_event_has_no_hazard_ratio():
    time, event = np.array([1.0, 2, 3, 4]), np.array([True, True, False, False])
    result = hazard_ratio(time, event, np.array([True, True, False, False]))
    assert np.isnan([result.value, result.low, result.high]).all()


def test_strata_have_hazards_of_their_own():
    rng = np.random.default_rng(4)
    strata = np.repeat(["low", "high"], 40).astype(object)
    group = rng.random(80) < np.where(strata == "low", 0.8, 0.2)
    time = rng.exponential(np.where(strata == "low", 40.0, 4.0))
    event = rng.random(80) < 0.8
    assert hazard_ratio(time, event, group).high < 1
    stratified = hazard_ratio(time, event, group, strata)
    assert stratified.low < 1 < stratified.high
