"""Held-out shifts against a logistic regression refitted without each patient."""

from __future__ import annotations

import numpy as np
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from training.statistics.metrics import calibration_in_the_large
from training.statistics.recalibration import held_out_shifts


def test_each_shift_is_that_of_a_regression_on_the_others():
    rng = np.random.default_rng(0)
    log_odds = rng.normal(3, 2, 30)
    y = (rng.random(30) < 0.3).astype(float)
    shifts = []
    for i in range(30):
        others = np.arange(30) != i
        fit = GLM(y[others], np.ones((29, 1)), family=Binomial(), offset=log_odds[others]).fit(tol=1e-12)
        shifts.append(fit.params[0])
    np.testing.assert_allclose(held_out_shifts(y, log_odds), shifts, rtol=1e-6)


def test_calibration_in_the_large_is_the_mean_residual_of_each_draw():
    y, probability = np.array([1.0, 0, 1]), np.array([0.5, 0.25, 1.0])
    assert calibration_in_the_large(y, probability)[0] == (0.5 - 0.25) / 3
    np.testing.assert_allclose(calibration_in_the_large(y, probability, np.array([[2.0, 1, 0]])), [(1 - 0.25) / 3])
