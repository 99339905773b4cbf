"""The families, against scikit-learn's saga, shap, and Shapley values by enumeration."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from features.arrays import Matrix, Positions
from models.families import (
    FAMILIES,
    BlockColumns,
    ElasticNet,
    LinearPredictor,
    TreePredictor,
    logistic_elastic_net_path,
)
from models.families.signed_ridge import PRIOR_SD, signed_ridge

RATIOS = np.geomspace(1, 0.05, 15)


def problem(n: int = 80, d: int = 12, seed: int = 0, intercept: float = 0.0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    X[:, d // 2 :] += X[:, : d - d // 2]
    y = (rng.random(n) < expit(X[:, 0] - X[:, -1] + intercept)).astype(np.float64)
    y[:2] = 0, 1
    return X, y


def single(y: Matrix) -> Positions:
    """All in one stratum."""
    return np.zeros(len(y), dtype=np.intp)


def standardised(X: Matrix) -> Matrix:
    return (X - X.mean(axis=0)) / X.std(axis=0)


def largest_penalty(X: Matrix, y: Matrix, l1_ratio: float) -> float:
    return float(np.abs(X.T @ (y - y.mean())).max() / (len(y) * l1_ratio))


def violation(X: Matrix, y: Matrix, l1_ratio: float, penalty: float, intercept: float, slopes: Matrix) -> float:
    """Return the largest violation of the optimum's conditions, as a share of the gradient of the null model."""
    residual = expit(intercept + X @ slopes) - y
    gradient = X.T @ residual / len(y) + penalty * (1 - l1_ratio) * slopes
    active = np.abs(gradient + penalty * l1_ratio * np.sign(slopes))
    idle = np.maximum(np.abs(gradient) - penalty * l1_ratio, 0)
    worst = max(np.where(slopes != 0, active, idle).max(), abs(residual.mean()))
    return float(worst / (largest_penalty(X, y, l1_ratio) * l1_ratio))


@pytest.mark.parametrize("l1_ratio", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("shape", [(80, 12), (40, 60)], ids=["more rows", "more columns"])
def test_the_path_agrees_with_saga(l1_ratio: float, shape: tuple[int, int]) -> None:
    X, y = problem(*shape, intercept=-0.5)
    X = standardised(X)
    intercepts, slopes = logistic_elastic_net_path(X, y, l1_ratio, RATIOS, single(y))
    for intercept, slope, ratio in list(zip(intercepts, slopes, RATIOS, strict=True))[3::5]:
        strength = 1 / (len(y) * largest_penalty(X, y, l1_ratio) * ratio)
        saga = LogisticRegression(solver="saga", C=strength, l1_ratio=l1_ratio, tol=1e-7, max_iter=20_000).fit(X, y)
        np.testing.assert_allclose(slope, saga.coef_[0], atol=3e-3)
        np.testing.assert_allclose(intercept, saga.intercept_[0], atol=3e-3)


@given(
    n=st.integers(10, 80),
    d=st.integers(1, 120),
    seed=st.integers(0, 10_000),
    intercept=st.floats(-4, 4),
    l1_ratio=st.sampled_from([0.1, 0.5, 0.95]),
)
def test_every_point_of_the_path_is_the_optimum(n: int, d: int, seed: int, intercept: float, l1_ratio: float) -> None:
    X, y = problem(n, d, seed, intercept)
    X = standardised(X)
    intercepts, slopes = logistic_elastic_net_path(X, y, l1_ratio, RATIOS, single(y))
    for i, ratio in enumerate(RATIOS):
        penalty = ratio * largest_penalty(X, y, l1_ratio)
        assert violation(X, y, l1_ratio, penalty, intercepts[i], slopes[i]) < 2e-2


def test_a_feature_that_the_strong_rule_leaves_out_wrongly_is_brought_back() -> None:
    # Of 300 such problems this is the one with such a feature, at the last penalty but one.
    rng = np.random.default_rng(38)
    X = rng.normal(size=(40, 200))
    X = standardised(X + 3 * rng.normal(size=(40, 1)) * rng.choice([-1, 1], size=200))
    y = (rng.random(40) < expit(2 * X[:, 0] - 2 * X[:, -1])).astype(np.float64)
    y[:2] = 0, 1
    intercepts, slopes = logistic_elastic_net_path(X, y, 0.95, RATIOS, single(y))
    penalty = RATIOS[-2] * largest_penalty(X, y, 0.95)
    assert violation(X, y, 0.95, penalty, intercepts[-2], slopes[-2]) < 1e-4


@pytest.mark.parametrize("events", [1, 2])
def test_rare_events_among_many_columns_reach_the_optimum(events: int) -> None:
    X, y = problem(50, 1000, seed=1)
    X, y = standardised(X), (np.arange(50) < events).astype(np.float64)
    intercepts, slopes = logistic_elastic_net_path(X, y, 0.95, RATIOS, single(y))
    for i, ratio in enumerate(RATIOS):
        penalty = ratio * largest_penalty(X, y, 0.95)
        assert violation(X, y, 0.95, penalty, intercepts[i], slopes[i]) < 2e-2


def test_the_path_starts_where_every_slope_is_zero() -> None:
    X, y = problem()
    X = standardised(X)
    intercepts, slopes = logistic_elastic_net_path(X, y, 0.5, np.array([1.0, 0.98]), single(y))
    assert not slopes[0].any()
    assert expit(intercepts[0]) == pytest.approx(y.mean())
    assert slopes[1].any()


def test_separable_classes_stay_finite() -> None:
    X = np.linspace(-1, 1, 20)[:, None]
    y = (X[:, 0] > 0).astype(np.float64)
    intercepts, slopes = logistic_elastic_net_path(standardised(X), y, 0.95, np.geomspace(1, 0.05, 15), single(y))
    assert np.isfinite(intercepts).all()
    assert np.abs(slopes).max() < 50


def test_constant_columns_get_no_weight(family: str) -> None:
    X, y = problem()
    # 0.1 has no exact mean in binary: its standard deviation is a rounding error, not zero.
    X = np.column_stack([X, np.full(len(X), 0.1), np.zeros(len(X))])
    family_to_fit = FAMILIES[family]
    predictor = family_to_fit.fit(X, y, single(y), family_to_fit.settings[-1], seed=0)
    other_rows = X.copy()
    other_rows[:, -2:] = 1e3, -1e3
    np.testing.assert_allclose(predictor.margin(other_rows), predictor.margin(X), atol=1e-6)


def test_margins_stand_in_the_order_of_the_settings(family: str) -> None:
    X, y = problem(60, 10)
    other_rows, _ = problem(9, 10, seed=1)
    family_to_fit = FAMILIES[family]
    margins = family_to_fit.margins(X, y, single(y), other_rows, seed=3)
    assert margins.shape == (len(family_to_fit.settings), len(other_rows))
    for setting, margin in zip(family_to_fit.settings, margins, strict=True):
        np.testing.assert_allclose(
            family_to_fit.fit(X, y, single(y), setting, seed=3).margin(other_rows), margin, atol=1e-6, err_msg=setting
        )


def test_more_columns_than_rows(family: str) -> None:
    X, y = problem(30, 200)
    family_to_fit = FAMILIES[family]
    predictor = family_to_fit.fit(X, y, single(y), family_to_fit.settings[-1], seed=0)
    margin = predictor.margin(X)
    assert np.isfinite(margin).all()
    assert margin[y == 1].mean() > margin[y == 0].mean()


def test_without_columns_every_prediction_is_the_average(family: str) -> None:
    y = np.array([1.0, 0, 0, 0, 1, 0])
    family_to_fit = FAMILIES[family]
    margins = family_to_fit.margins(np.zeros((6, 0)), y, single(y), np.zeros((2, 0)), seed=0)
    assert margins.shape == (len(family_to_fit.settings), 2)
    assert not margins.any()
    predictor = family_to_fit.fit(np.zeros((6, 0)), y, single(y), family_to_fit.settings[0], seed=0)
    shap, base = predictor.contributions(np.zeros((2, 0)))
    assert shap.shape == (2, 0)
    assert base == 0


@pytest.mark.parametrize("l1_ratio", [0.1, 0.95])
def test_strata_are_unpenalised_columns(l1_ratio: float) -> None:
    """Against saga, to which strata are given as columns so large that their penalty is next to nothing."""
    X, y = problem(120, 8, seed=2)
    strata = np.arange(120) % 3
    X = standardised(X)
    members = np.equal.outer(strata, np.arange(3)).astype(float)
    share = members.T @ y / members.sum(axis=0)
    largest = np.abs(X.T @ (y - share[strata])).max() / (len(y) * l1_ratio)
    _, slopes = logistic_elastic_net_path(X, y, l1_ratio, RATIOS, strata)
    for slope, ratio in list(zip(slopes, RATIOS, strict=True))[3::5]:
        saga = LogisticRegression(
            solver="saga", C=1 / (len(y) * largest * ratio), l1_ratio=l1_ratio, tol=1e-8, max_iter=100_000,
            fit_intercept=False,
        ).fit(np.column_stack([X, 30 * members]), y)  # fmt: skip
        np.testing.assert_allclose(slope, saga.coef_[0, :8], atol=1e-2)


def test_a_stratum_of_one_outcome_changes_no_slope() -> None:
    X, y = problem(80, 6)
    larger, _ = problem(20, 6, seed=9)
    _, reference_values = logistic_elastic_net_path(X, y, 0.5, RATIOS, single(y))
    strata = np.r_[single(y), np.ones(20, dtype=np.intp)]
    _, margins = logistic_elastic_net_path(np.vstack([X, larger]), np.r_[y, np.ones(20)], 0.5, RATIOS, strata)
    np.testing.assert_allclose(margins, reference_values, atol=1e-9)


def test_what_tells_strata_apart_and_nothing_else_gets_no_say(family: str) -> None:
    rng = np.random.default_rng(4)
    strata = np.repeat(np.arange(2), 60)
    y = (rng.random(120) < np.where(strata == 0, 0.1, 0.9)).astype(float)
    X = np.column_stack([strata.astype(float), rng.normal(size=120)])
    family_to_fit = FAMILIES[family]
    margin = family_to_fit.fit(X, y, strata, family_to_fit.settings[-1], seed=0).margin(
        np.array([[0.0, 0.0], [1.0, 0.0]])
    )
    assert abs(margin[1] - margin[0]) < 0.25


X_FITTED, Y_FITTED = problem(40, 8)
FITTED = {n: f.fit(X_FITTED, Y_FITTED, single(Y_FITTED), f.settings[-1], seed=0) for n, f in FAMILIES.items()}


@given(rows=arrays(np.float64, (3, 8), elements=st.floats(-1e3, 1e3)))
def test_contributions_add_up_to_the_margin(rows: Matrix) -> None:
    for predictor in FITTED.values():
        shap, base = predictor.contributions(rows)
        np.testing.assert_allclose(base + shap.sum(axis=1), predictor.margin(rows), atol=1e-4)


def test_the_base_value_is_the_mean_margin_of_training(family: str) -> None:
    X, y = problem(200, 6)
    family_to_fit = FAMILIES[family]
    predictor = family_to_fit.fit(X, y, single(y), family_to_fit.settings[-1], seed=0)
    # Trees weight their nodes by the rows each tree drew, and count from the prevalence.
    assert predictor.contributions(X)[1] == pytest.approx(
        predictor.margin(X).mean(), abs=1e-9 if "net" in family else 0.2
    )


def test_linear_contributions_are_shapley_values_by_enumeration() -> None:
    rng = np.random.default_rng(0)
    mean, coef, row, d = rng.normal(size=4), rng.normal(size=4), rng.normal(size=(1, 4)), 4
    linear = LinearPredictor(0.3, coef, mean)

    def value(labels: tuple[int, ...]) -> float:
        filled = mean.copy()
        filled[list(labels)] = row[0, list(labels)]
        return float(linear.margin(filled[None])[0])

    reference_values = np.zeros(d)
    for i in range(d):
        other_settings = [j for j in range(d) if j != i]
        for size in range(d):
            for labels in combinations(other_settings, size):
                reference_values[i] += (value((*labels, i)) - value(labels)) / (d * comb(d - 1, size))
    shap, base = linear.contributions(row)
    np.testing.assert_allclose(shap[0], reference_values, atol=1e-12)
    assert base == pytest.approx(value(()))


@pytest.mark.filterwarnings("ignore")
def test_contributions_agree_with_shap(family: str) -> None:
    import shap

    X, y = problem(60, 6)
    family_to_fit = FAMILIES[family]
    predictor = family_to_fit.fit(X, y, single(y), family_to_fit.settings[-1], seed=0)
    margins, base = predictor.contributions(X)
    if isinstance(predictor, LinearPredictor):
        masker = shap.maskers.Independent(X, max_samples=len(X))
        explainer = shap.LinearExplainer((predictor.coef, predictor.intercept), masker)
    else:
        assert isinstance(predictor, TreePredictor)
        explainer = shap.TreeExplainer(predictor.booster, feature_perturbation="tree_path_dependent")
    np.testing.assert_allclose(margins, explainer.shap_values(X), atol=1e-4)
    assert base == pytest.approx(float(np.ravel(explainer.expected_value)[0]), abs=1e-4)


@pytest.mark.parametrize("name", ["xgboost_forest", "xgboost"])
def test_trees_survive_their_ubj(name: str) -> None:
    X, y = problem()
    saved = FAMILIES[name].fit(X, y, single(y), FAMILIES[name].settings[-1], seed=0)
    assert isinstance(saved, TreePredictor)
    loaded = TreePredictor.from_ubj(saved.ubj())
    np.testing.assert_array_equal(loaded.margin(X), saved.margin(X))
    np.testing.assert_array_equal(loaded.contributions(X)[0], saved.contributions(X)[0])
    assert loaded.ubj() == saved.ubj()


def test_a_seed_decides(family: str) -> None:
    X, y = problem()
    family_to_fit = FAMILIES[family]
    first_fit, repeated, other_rows = (
        family_to_fit.fit(X, y, single(y), family_to_fit.settings[-1], seed).margin(X) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first_fit, repeated)
    # The elastic net draws nothing.
    assert np.array_equal(first_fit, other_rows) == (family == "elastic_net")


def test_settings_are_plain_json_numbers(family: str) -> None:
    for setting in FAMILIES[family].settings:
        assert all(type(value) in (int, float) for value in setting.values())


def test_an_average_is_the_mean_of_every_candidate_each_with_the_same_spread() -> None:
    X, y = problem(90, 14)
    strata = np.arange(90, dtype=np.intp) % 3
    family, halves = ElasticNet(), (slice(0, 6), slice(6, 14))
    average = family.fit_average(X, y, strata, [BlockColumns(halves)], seed=0)
    candidates = []
    for columns in halves:
        for setting in family.settings:
            margin = family.fit(X[:, columns], y, strata, setting, seed=0).margin(X[:, columns])
            means = np.bincount(strata, margin) / np.bincount(strata)
            spread = (margin - means[strata]).std()
            candidates.append((margin - margin.mean()) / spread if spread > 1e-9 else np.zeros(90))
    np.testing.assert_allclose(average.margin(X), np.mean(candidates, axis=0), atol=2e-3)


def test_the_average_of_several_blocks_is_the_sum_of_their_averages() -> None:
    X, y = problem(90, 14)
    measurements, covariates = BlockColumns((slice(0, 10),)), BlockColumns((slice(10, 14),), (0, 0, 0, 0))
    together = ElasticNet().fit_average(X, y, single(y), [measurements, covariates], seed=0)
    apart = [ElasticNet().fit_average(X, y, single(y), [block], seed=0) for block in (measurements, covariates)]
    np.testing.assert_allclose(together.margin(X), sum(fit.margin(X) for fit in apart), atol=1e-9)


def test_a_ridge_regression_of_covariates_agrees_with_scikit_learn() -> None:
    X, y = problem(120, 5, intercept=0.4)
    slopes = signed_ridge(standardised(X), y, single(y), (0,) * 5)
    reference = LogisticRegression(C=PRIOR_SD**2, tol=1e-10, max_iter=1000).fit(standardised(X), y)
    np.testing.assert_allclose(slopes, reference.coef_[0], atol=1e-4)


def test_a_slope_keeps_the_sign_that_the_field_agrees_on_or_is_0() -> None:
    X, y = problem(120, 4)
    free = signed_ridge(standardised(X), y, single(y), (0, 0, 0, 0))
    assert free[0] > 0 > free[3]
    signed = signed_ridge(standardised(X), y, single(y), (-1, 0, 0, -1))
    assert signed[0] == 0 > signed[3]


def test_a_ridge_regression_learns_nothing_from_a_stratum_of_one_outcome() -> None:
    X, y = problem(80, 3)
    strata = np.repeat([0, 1], 40)
    y[strata == 1] = 1
    slopes = signed_ridge(X, y, strata, (0, 0, 0))
    np.testing.assert_allclose(slopes, signed_ridge(X[:40], y[:40], strata[:40], (0, 0, 0)), atol=2e-3)
    assert not signed_ridge(np.zeros((80, 0)), y, strata, ()).size
