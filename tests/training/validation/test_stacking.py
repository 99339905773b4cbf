"""Choosing, weighing and levelling, against SciPy and scikit-learn, and where there is nothing to choose by."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.statistics.metrics import log_loss
from training.validation.stacking import (
    calibrating_intercept,
    cross_selected_margins,
    stacking_weights,
    stratified_losses,
    within_spread,
)


def problem(n=300, strata=4, seed=0):
    rng = np.random.default_rng(seed)
    of = rng.integers(strata, size=n)
    margin = rng.normal(size=n)
    y = (rng.random(n) < expit(0.8 * margin + np.linspace(-1, 1, strata)[of])).astype(float)
    return y, margin, of


def best_loss(y, margin, strata):
    """SciPy's optimum over a slope of at least 0 and an intercept in each stratum."""
    members = np.equal.outer(strata, np.unique(strata)).astype(float)

    def loss(at):
        fitted = at[0] * margin + members @ at[1:]
        residual = expit(fitted) - y
        return float(log_loss(y, fitted)), np.r_[np.mean(residual * margin), members.T @ residual / len(y)]

    bounds = [(0, None)] + [(None, None)] * members.shape[1]
    return minimize(loss, np.zeros(1 + members.shape[1]), jac=True, bounds=bounds, method="L-BFGS-B",
                    options={"ftol": 1e-15, "gtol": 1e-9}).fun  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_losses_are_the_optimum(seed):
    y, margin, strata = problem(seed=seed)
    rng = np.random.default_rng(seed)
    margins = np.stack([margin, 30 * margin + 5, -margin, rng.normal(size=len(y)), np.zeros(len(y))])
    expected = [best_loss(y, one / max(one.std(), 1e-9), strata) for one in margins]
    np.testing.assert_allclose(stratified_losses(y, margins, strata), expected, atol=1e-5)


def test_telling_strata_apart_is_no_merit():
    y, _, strata = problem()
    by_stratum = strata.astype(float)
    losses = stratified_losses(y, np.stack([by_stratum, np.zeros(len(y))]), strata)
    assert losses[0] == pytest.approx(losses[1])


def test_strata_of_one_outcome_do_not_count():
    y, margin, strata = problem()
    alone = np.r_[strata, np.full(50, 99)]
    found = stratified_losses(np.r_[y, np.ones(50)], np.r_[margin, -np.ones(50)][None], alone)
    np.testing.assert_allclose(found, stratified_losses(y, margin[None], strata), atol=1e-9)


def test_weights_are_logistic_regressions():
    y, margin, strata = problem(n=20_000)
    other = np.random.default_rng(1).normal(size=len(y))
    weights, believed = stacking_weights(y, np.stack([margin, other]), strata)
    members = np.equal.outer(strata, np.unique(strata)).astype(float)
    oracle = LogisticRegression(C=1e6, fit_intercept=False).fit(np.column_stack([margin, other, members]), y)
    assert weights[0] == pytest.approx(oracle.coef_[0, 0], abs=0.01)
    assert weights[1] == pytest.approx(max(0.0, oracle.coef_[0, 1]), abs=0.01)
    assert believed > 0.99


def test_what_points_the_wrong_way_is_not_believed():
    y, margin, strata = problem()
    weights, believed = stacking_weights(y, -margin[None], strata)
    assert believed == 0
    assert weights[0] > 0


def test_noise_is_seldom_believed():
    """By (chi2 - k) / chi2, half of the noise, where it points upwards by luck, is believed a little."""
    found = []
    for seed in range(200):
        y, _, strata = problem(n=120, seed=seed)
        found.append(stacking_weights(y, np.random.default_rng(seed + 999).normal(size=(1, 120)), strata)[1])
    assert np.mean(np.array(found) == 0) > 0.75
    assert np.mean(found) < 0.15


def test_cross_chosen_log_odds_do_not_know_their_own_outcomes():
    y, _, strata = problem(n=90)
    margins = np.random.default_rng(3).normal(size=(40, 90))
    groups = np.array_split(np.arange(90), 3)
    found = cross_selected_margins(y, margins, strata, groups)
    lied = y.copy()
    lied[groups[1]] = 1 - lied[groups[1]]
    np.testing.assert_array_equal(found[groups[1]], cross_selected_margins(lied, margins, strata, groups)[groups[1]])


def test_the_level_says_the_prevalence_on_average():
    y, margin, _ = problem()
    for slope in (0.0, 0.5, 40.0):
        assert expit(slope * margin + calibrating_intercept(y, slope * margin)).mean() == pytest.approx(
            y.mean(), abs=1e-6
        )


def test_spread_leaves_out_what_differs_between_strata():
    _, margin, strata = problem()
    expected = within_spread(margin[None], strata)
    np.testing.assert_allclose(within_spread((margin + 10.0 * strata)[None], strata), expected)
    assert within_spread(strata[None].astype(float), strata) == np.inf
