"""The mixed model beside statsmodels', dense matrices and the paired t test."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.stats import t, ttest_1samp

from training.statistics.mixed_model import mixed_slope


def measurements(seed, n=12, visits=(0.0, 0, 1, 1, 1), slope=0.4):
    rng, m = np.random.default_rng(seed), len(visits)
    patient, x = np.repeat(np.arange(n), m), np.tile(visits, n).astype(float)
    y = rng.normal(0, 1, n)[patient] + (slope + rng.normal(0, 0.7, n))[patient] * x + rng.normal(0, 0.5, n * m)
    mask = rng.random(n * m) > 0.1
    return y[mask], x[mask], patient[mask]


@pytest.mark.parametrize("visits", [(0, 0, 1, 1, 1), (1, 2, 5, 6, 9)])
@pytest.mark.parametrize("seed", range(2))
def test_the_mixed_model_is_that_of_statsmodels(seed, visits):
    y, x, patient = measurements(seed, visits=visits)
    change = mixed_slope(y, x, patient)
    design = sm.add_constant(x)
    fit = sm.MixedLM(y, design, patient, exog_re=design).fit(reml=True, method=["bfgs", "powell"])
    assert change.estimate == pytest.approx(fit.fe_params[1], abs=1e-3)
    assert change.p == pytest.approx(_t_of(fit, change.n), rel=0.02)


def _t_of(fit, n):
    return 2 * t.sf(abs(fit.fe_params[1] / fit.bse_fe[1]), n - 1)


def test_where_the_covariance_is_singular_the_mixed_model_is_that_of_dense_matrices():
    """Here statsmodels stops short: a standard error of 0.151, where the best restricted likelihood has 0.178."""
    y, x, patient = measurements(2)
    design, same_patient = sm.add_constant(x), patient[:, None] == patient

    def dense_fit(theta):
        root = np.array([[theta[0], 0], [theta[1], theta[2]]])
        weight = np.linalg.inv(design @ root @ root.T @ design.T * same_patient + np.exp(theta[3]) * np.eye(len(y)))
        precision = design.T @ weight @ design
        beta = np.linalg.solve(precision, design.T @ weight @ y)
        residual = y - design @ beta
        deviance = np.linalg.slogdet(precision)[1] - np.linalg.slogdet(weight)[1] + residual @ weight @ residual
        return deviance, beta[1], np.linalg.inv(precision)[1, 1] ** 0.5

    options = {"maxiter": 3000, "maxfev": 3000, "xatol": 1e-6, "fatol": 1e-8}
    fit = minimize(lambda theta: dense_fit(theta)[0], [1, 0, 0.5, -1], method="Nelder-Mead", options=options)
    _, estimate, error = dense_fit(fit.x)
    change = mixed_slope(y, x, patient)
    assert change.estimate == pytest.approx(estimate, rel=1e-3)
    assert change.p == pytest.approx(2 * t.sf(abs(estimate / error), change.n - 1), rel=0.01)


def test_with_complete_pairs_the_mixed_model_is_the_paired_t_test():
    rng = np.random.default_rng(4)
    baseline = rng.normal(0, 1, 11)
    follow_up = baseline + rng.normal(0.5, 0.8, 11)
    change = mixed_slope(np.append(baseline, follow_up), np.repeat([0.0, 1.0], 11), np.tile(np.arange(11), 2))
    t_test = ttest_1samp(follow_up - baseline, 0)
    assert change.p == pytest.approx(t_test.pvalue, rel=1e-3)
    assert (change.low, change.high) == pytest.approx(t_test.confidence_interval(), rel=1e-3)
    assert change.n == 11


@pytest.mark.parametrize(("shift", "factor"), [(5.0, 1.0), (0.0, 30.0)])
def test_the_slope_follows_the_units(shift, factor):
    y, x, patient = measurements(5)
    original, rescaled = mixed_slope(y, x, patient), mixed_slope(factor * y + shift, x, patient)
    assert rescaled.estimate == pytest.approx(factor * original.estimate, rel=1e-4)
    assert rescaled.p == pytest.approx(original.p, rel=1e-3)
    assert mixed_slope(np.zeros_like(y), x, patient).p == 1
