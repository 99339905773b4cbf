"""Calibration against maximum-likelihood logistic regression, and what cannot be estimated."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from training.statistics.calibration import brier_skill, calibration_by_centre, calibration_slope

COHORTS = np.repeat(np.array(["a", "b", "c"], dtype=object), [150, 80, 40])


def held_out(seed, slope=0.7, spread=1.0):
    """Probabilities whose true log-odds have `slope`, and an intercept that differs by cohort."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-0.3, spread, len(COHORTS))
    shift = np.repeat([0.0, 0.8, -0.5], [150, 80, 40])
    return (rng.random(len(COHORTS)) < expit(slope * log_odds + shift)).astype(float), expit(log_odds)


def limits(estimate):
    return estimate.value, estimate.low, estimate.high


def test_the_overall_slope_has_an_intercept_for_each_cohort():
    y, probability = held_out(0)
    design = np.column_stack([logit(probability), COHORTS[:, None] == np.array(["a", "b", "c"], dtype=object)])
    oracle = sm.Logit(y, design.astype(float)).fit(disp=False)
    wald_interval = oracle.params[0], *oracle.conf_int()[0]
    assert limits(calibration_slope(y, probability, COHORTS)) == pytest.approx(wald_interval, abs=1e-4)


def test_a_cohorts_intercept_and_slope_are_statsmodels():
    y, probability = held_out(1)
    calibration = calibration_by_centre(y, probability, COHORTS)
    for name, cohort_calibration in calibration.items():
        mask = name == COHORTS
        log_odds = logit(probability[mask])
        intercept_fit = sm.Logit(y[mask], np.ones(mask.sum()), offset=log_odds).fit(disp=False)
        assert limits(cohort_calibration.intercept) == pytest.approx(
            (intercept_fit.params[0], *intercept_fit.conf_int()[0]), abs=1e-4
        )
        slope_fit = sm.Logit(y[mask], sm.add_constant(log_odds)).fit(disp=False)
        assert limits(cohort_calibration.slope) == pytest.approx(
            (slope_fit.params[1], *slope_fit.conf_int()[1]), abs=1e-4
        )


def test_counts_and_differences_by_hand():
    y, probability = np.array([1.0, 1, 0, 0, 1]), np.array([0.5, 0.7, 0.3, 0.5, 0.4])
    calibration = calibration_by_centre(y, probability, np.full(5, "a", dtype=object))["a"]
    assert (calibration.patients, calibration.events) == (5, 3)
    assert calibration.prevalence == pytest.approx(0.6)
    assert calibration.in_the_large == pytest.approx(0.12)
    assert calibration.brier_skill == pytest.approx(1 - (0.25 + 0.09 + 0.09 + 0.25 + 0.36) / 5 / 0.24)


@settings(max_examples=15)
@given(st.floats(-2, 2), st.floats(0.5, 2))
def test_shifting_and_stretching_log_odds_shows_in_intercept_and_slope(shift, stretch):
    y, probability = held_out(2)
    original = calibration_by_centre(y, probability, COHORTS)["a"]
    shifted = calibration_by_centre(y, expit(logit(probability) + shift), COHORTS)["a"]
    assert shifted.intercept.value == pytest.approx(original.intercept.value - shift, abs=1e-4)
    stretched = calibration_slope(y, expit(stretch * logit(probability)), COHORTS)
    assert stretched.value == pytest.approx(calibration_slope(y, probability, COHORTS).value / stretch, abs=1e-4)


@pytest.mark.parametrize("spread", [0.0, 1e-9, 0.005])
def test_a_near_constant_predictor_has_no_slope(spread):
    y, probability = held_out(3, spread=spread)
    assert calibration_slope(y, probability, COHORTS) is None
    # Told apart only by cohort, patients are alike within each.
    by_cohort = expit(np.repeat([0.0, 1.0, -1.0], [150, 80, 40]) + spread * np.random.default_rng(0).normal(size=270))
    assert calibration_slope(y, by_cohort, COHORTS) is None
    assert calibration_by_centre(y, probability, COHORTS)["a"].intercept is not None


def test_a_slope_that_could_be_anything_is_not_estimable():
    y, probability = held_out(4, spread=0.1)
    assert calibration_by_centre(y, probability, COHORTS)["c"].slope is None
    parted = np.where(y == 1, 0.7, 0.3) + np.random.default_rng(0).uniform(-0.05, 0.05, len(y))
    assert calibration_slope(y, parted, COHORTS) is None


def test_a_cohort_of_one_class_tells_nothing_of_the_slope():
    y, probability = held_out(5)
    y[COHORTS == "c"] = 0
    mask = COHORTS != "c"
    assert limits(calibration_slope(y, probability, COHORTS)) == pytest.approx(
        limits(calibration_slope(y[mask], probability[mask], COHORTS[mask]))
    )
    calibration = calibration_by_centre(y, probability, COHORTS)["c"]
    assert calibration.intercept is calibration.slope is calibration.brier_skill is None
    assert calibration_slope(np.ones(4), np.array([0.2, 0.4, 0.6, 0.8]), COHORTS[:4]) is None
    json.dumps(asdict(calibration), allow_nan=False)


def test_brier_skill_is_against_each_cohorts_own_prevalence():
    y, _ = held_out(6)
    prevalence = np.array([y[name == COHORTS].mean() for name in COHORTS])
    assert brier_skill(y, prevalence, COHORTS) == pytest.approx(0)
    assert brier_skill(y, y, COHORTS) == 1
    # The prevalence of all is worse where cohorts differ.
    assert brier_skill(y, np.full(len(y), y.mean()), COHORTS) < 0


def test_sure_and_wrong_is_reported_not_refused():
    y = np.array([0.0, 1, 0, 1, 1, 0])
    calibration = calibration_by_centre(y, np.zeros(6) + 1e-9, np.full(6, "a", dtype=object))["a"]
    assert calibration.intercept.value == pytest.approx(-logit(1e-6), abs=1e-3)
