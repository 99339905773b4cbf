"""Selection, stacking weights and calibration against SciPy and scikit-learn, with and without signal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.statistics.metrics import log_loss
from training.validation.stacking import (
    calibrating_intercept,
    cross_selected_margins,
    expected_slope,
    stacking_weights,
    stratified_losses,
    within_spread,
)


def problem(n=300, strata=4, seed=0):
    rng = np.random.default_rng(seed)
    stratum = rng.integers(strata, size=n)
    margin = rng.normal(size=n)
    y = (rng.random(n) < expit(0.8 * margin + np.linspace(-1, 1, strata)[stratum])).astype(float)
    return y, margin, stratum


def best_loss(y, margin, strata):
    """Return SciPy's optimum over a slope of at least 0 and an intercept in each stratum."""
    members = np.equal.outer(strata, np.unique(strata)).astype(float)

    def loss(coefficients):
        log_odds = coefficients[0] * margin + members @ coefficients[1:]
        residual = expit(log_odds) - y
        return float(log_loss(y, log_odds)), np.r_[np.mean(residual * margin), members.T @ residual / len(y)]

    bounds = [(0, None)] + [(None, None)] * members.shape[1]
    return minimize(loss, np.zeros(1 + members.shape[1]), jac=True, bounds=bounds, method="L-BFGS-B",
                    options={"ftol": 1e-15, "gtol": 1e-9}).fun  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_losses_are_the_optimum(seed):
    y, margin, strata = problem(seed=seed)
    rng = np.random.default_rng(seed)
    margins = np.stack([margin, 30 * margin + 5, -margin, rng.normal(size=len(y)), np.zeros(len(y))])
    optima = [best_loss(y, setting_margin / max(setting_margin.std(), 1e-9), strata) for setting_margin in margins]
    np.testing.assert_allclose(stratified_losses(y, margins, strata), optima, atol=1e-5)


def test_separating_strata_does_not_lower_the_loss():
    y, _, strata = problem()
    by_stratum = strata.astype(float)
    losses = stratified_losses(y, np.stack([by_stratum, np.zeros(len(y))]), strata)
    assert losses[0] == pytest.approx(losses[1])


def test_strata_of_one_class_are_dropped():
    y, margin, strata = problem()
    strata_with_pure = np.r_[strata, np.full(50, 99)]
    losses = stratified_losses(np.r_[y, np.ones(50)], np.r_[margin, -np.ones(50)][None], strata_with_pure)
    np.testing.assert_allclose(losses, stratified_losses(y, margin[None], strata), atol=1e-9)


def test_weights_are_logistic_regressions():
    y, margin, strata = problem(n=20_000)
    noise = np.random.default_rng(1).normal(size=len(y))
    weights, shrinkage = stacking_weights(y, np.stack([margin, noise]), strata)
    members = np.equal.outer(strata, np.unique(strata)).astype(float)
    oracle = LogisticRegression(C=1e6, fit_intercept=False).fit(np.column_stack([margin, noise, members]), y)
    assert weights[0] == pytest.approx(oracle.coef_[0, 0], abs=0.01)
    assert weights[1] == pytest.approx(max(0.0, oracle.coef_[0, 1]), abs=0.01)
    assert shrinkage > 0.99


def test_log_odds_of_the_wrong_sign_are_shrunk_to_0():
    y, margin, strata = problem()
    weights, shrinkage = stacking_weights(y, -margin[None], strata)
    assert shrinkage == 0
    assert weights[0] > 0


def test_noise_is_mostly_shrunk_to_0():
    """In half of the noise the slope is positive by chance, and (chi2 - k) / chi2 may be above 0."""
    shrinkages = []
    for seed in range(200):
        y, _, strata = problem(n=120, seed=seed)
        shrinkages.append(stacking_weights(y, np.random.default_rng(seed + 999).normal(size=(1, 120)), strata)[1])
    assert np.mean(np.array(shrinkages) == 0) > 0.75
    assert np.mean(shrinkages) < 0.15


def test_cross_selected_log_odds_do_not_depend_on_their_own_outcomes():
    y, _, strata = problem(n=90)
    margins = np.random.default_rng(3).normal(size=(40, 90))
    groups = np.array_split(np.arange(90), 3)
    selected = cross_selected_margins(y, margins, strata, groups)
    changed_y = y.copy()
    changed_y[groups[1]] = 1 - changed_y[groups[1]]
    np.testing.assert_array_equal(
        selected[groups[1]], cross_selected_margins(changed_y, margins, strata, groups)[groups[1]]
    )


def test_the_intercept_makes_the_mean_probability_the_prevalence():
    y, margin, _ = problem()
    for slope in (0.0, 0.5, 40.0):
        assert expit(slope * margin + calibrating_intercept(y, slope * margin)).mean() == pytest.approx(
            y.mean(), abs=1e-6
        )


def test_spread_within_strata_ignores_differences_between_strata():
    _, margin, strata = problem()
    spread = within_spread(margin[None], strata)
    np.testing.assert_allclose(within_spread((margin + 10.0 * strata)[None], strata), spread)
    assert within_spread(strata[None].astype(float), strata) == np.inf


def test_an_expected_slope_is_the_mean_of_its_posterior():
    """Beside the same mean by quadrature over slope and best intercept."""
    rng = np.random.default_rng(3)
    margin, strata = rng.standard_normal(60), np.arange(60) % 2
    y = (rng.random(60) < expit(0.7 * margin + strata)).astype(float)

    def stratum_loss(intercept, slope, rows):
        return rows.sum() * log_loss(y[rows], slope * margin[rows] + intercept)

    def profile(slope):
        optima = (
            minimize_scalar(stratum_loss, args=(slope, rows), bounds=(-8, 8), method="bounded")
            for rows in (strata == 0, strata == 1)
        )
        return sum(optimum.fun for optimum in optima)

    def density(slope):
        return np.exp(-profile(slope) - slope**2 / 2 + 40)

    slopes = np.linspace(0, 6, 121)
    weights = np.array([density(slope) for slope in slopes])
    assert expected_slope(y, margin, strata) == pytest.approx(weights @ slopes / weights.sum(), abs=0.005)


@pytest.mark.parametrize(("planted", "least", "most"), [(0, 0.01, 0.25), (2, 1.4, 2.4)])
def test_an_expected_slope_is_small_but_never_0_without_signal(planted, least, most):
    rng = np.random.default_rng(planted)
    margin, strata = rng.standard_normal(300), np.arange(300) % 3
    y = (rng.random(300) < expit(planted * margin)).astype(float)
    assert least < expected_slope(y, margin, strata) < most
    assert 0 < expected_slope(1 - y, margin, strata) < 0.25
