"""The global test of varying effects: its level beside prognostic covariates, its power, and the learner."""

from __future__ import annotations

import numpy as np
import pytest

from training.statistics.effect_variation import cross_fitted_effects, effect_variation_test


def trial(rng, n, prognosis=0.0, modification=0.0):
    X = np.column_stack([rng.standard_normal(n), rng.random(n) < 0.4, np.exp(rng.standard_normal(n))])
    group = rng.permutation(np.arange(n) < n // 2)
    rate = 0.35 + 0.2 * group + 0.15 * prognosis * X[:, 0] + 0.25 * modification * X[:, 0] * group
    return (rng.random(n) < np.clip(rate, 0.02, 0.98)).astype(float), X, group


def test_z_is_that_of_covariances_by_numpy():
    rng = np.random.default_rng(0)
    y, X, group = trial(rng, 60)
    test = effect_variation_test(y, X, group)
    residual = y - np.where(group, y[group].mean(), y[~group].mean())
    covariances = [np.cov(X[side, 0], residual[side], ddof=0)[0, 1] for side in (group, ~group)]
    products = (X[:, 0] - X[:, 0].mean()) * residual
    error = np.sqrt(products[group].var() / group.sum() + products[~group].var() / (~group).sum())
    assert test.z[0] == pytest.approx((covariances[0] - covariances[1]) / error)
    assert test.statistic == pytest.approx((test.z**2).sum())


def test_the_unit_of_a_covariate_does_not_matter():
    y, X, group = trial(np.random.default_rng(1), 50)
    test, rescaled = (effect_variation_test(y, values, group) for values in (X, 1000 * X - 7))
    assert rescaled.p == test.p
    assert rescaled.z == pytest.approx(test.z)


@pytest.mark.parametrize("prognosis", [0.0, 1.0])
def test_it_keeps_its_level_where_covariates_only_predict_the_outcome(prognosis):
    rng = np.random.default_rng(2)
    p = np.array([effect_variation_test(*trial(rng, 45, prognosis), seed=seed).p for seed in range(150)])
    assert (p <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


def test_it_finds_an_effect_that_varies_and_the_learner_ranks_it():
    rng = np.random.default_rng(3)
    y, X, group = trial(rng, 500, modification=1.0)
    assert effect_variation_test(y, X, group).p < 0.01
    effects = cross_fitted_effects(y, X, group)
    assert np.corrcoef(effects, X[:, 0])[0, 1] > 0.7
    assert effects.mean() == pytest.approx(0.2, abs=0.1)


def test_a_learner_sees_no_outcome_of_the_patient_whom_it_predicts():
    rng = np.random.default_rng(4)
    y, X, group = trial(rng, 60)
    altered_y = y.copy()
    altered_y[7] = 50.0
    effects, others = cross_fitted_effects(y, X, group), cross_fitted_effects(altered_y, X, group)
    assert effects[7] == others[7]
    assert (effects != others).sum() > 30
