"""Cox's partial likelihood and path, and the risks they lead to, against statsmodels, scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from statsmodels.duration.hazard_regression import PHReg

from features.survival import CENSORED, DEATH, EVENT
from training.statistics.cox import cox_elastic_net_path, log_partial_likelihood
from training.statistics.cumulative_incidence import cumulative_incidence
from training.statistics.risk_curve import risk_curve
from training.statistics.survival_families import SURVIVAL_FAMILIES
from training.statistics.survival_metrics import harrell_c

N = 150


@pytest.fixture(scope="module")
def data():
    """Six features of which two matter, tied days, censoring, and three strata with baselines of their own."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((N, 6))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    strata = rng.integers(0, 3, N)
    event = np.ceil(rng.exponential((10.0 + 20 * strata) * np.exp(-X[:, 0] + 0.6 * X[:, 1])))
    censored = rng.integers(5, 60, N)
    y = np.column_stack([np.minimum(event, censored), event <= censored]).astype(float)
    assert len(np.unique(y[:, 0])) < N / 2
    return X, y, strata


def test_partial_likelihood_and_unpenalised_fit_are_those_of_statsmodels(data):
    X, y, strata = data
    model = PHReg(y[:, 0], X, status=y[:, 1], strata=strata, ties="breslow")
    fit = model.fit()
    path = cox_elastic_net_path(X, y, strata, 0.5, np.append(np.geomspace(1, 1e-3, 25), 1e-8), tol=1e-8)
    np.testing.assert_allclose(path[-1], fit.params, atol=1e-5)
    assert log_partial_likelihood(y, strata, X @ fit.params) == pytest.approx(fit.llf, abs=1e-8)
    margins = np.stack([X @ path[3], np.zeros(N)])
    assert log_partial_likelihood(y, strata, margins) == pytest.approx([model.loglike(path[3]), model.loglike(path[0])])


@pytest.mark.parametrize("l1_ratio", [0.1, 0.5, 0.95])
def test_the_path_minimises_what_it_says(data, l1_ratio):
    """Slopes are split into positive parts, so that the penalty is smooth and a quasi-Newton solver applies."""
    X, y, strata = data
    ratios = np.geomspace(1, 0.1, 12)
    path = cox_elastic_net_path(X, y, strata, l1_ratio, ratios, tol=1e-7)
    model = PHReg(y[:, 0], X, status=y[:, 1], strata=strata, ties="breslow")
    largest = np.abs(model.score(np.zeros(6))).max() / (N * l1_ratio)

    def loss(parts, penalty):
        b = parts[:6] - parts[6:]
        return -model.loglike(b) / N + penalty * (l1_ratio * parts.sum() + (1 - l1_ratio) / 2 * (b @ b))

    for k in (0, 1, 6, 11):
        optimum = minimize(loss, np.full(12, 0.01), (largest * ratios[k],), "L-BFGS-B", bounds=[(0, None)] * 12,
                         options={"ftol": 1e-14, "gtol": 1e-9})  # fmt: skip
        slopes = np.concatenate([np.maximum(path[k], 0), np.maximum(-path[k], 0)])
        assert loss(slopes, largest * ratios[k]) <= optimum.fun + 1e-7
        np.testing.assert_allclose(path[k], optimum.x[:6] - optimum.x[6:], atol=1e-3)
    assert not path[0].any()
    assert path[1].any()


@pytest.mark.parametrize("family", SURVIVAL_FAMILIES)
def test_a_family_finds_the_effect_and_is_the_same_again(data, family):
    X, y, strata = data
    margins = SURVIVAL_FAMILIES[family].margins(X[:100], y[:100], strata[:100], X[100:], 0)
    assert margins.shape == (len(SURVIVAL_FAMILIES[family].settings), 50)
    assert harrell_c(y[100:], margins[-1])[0] > 0.65
    np.testing.assert_array_equal(
        margins, SURVIVAL_FAMILIES[family].margins(X[:100], y[:100], strata[:100], X[100:], 0)
    )


@pytest.mark.parametrize("family", SURVIVAL_FAMILIES)
def test_without_features_everybody_is_alike(data, family):
    _, y, strata = data
    margins = SURVIVAL_FAMILIES[family].margins(np.zeros((N, 0)), y, strata, np.zeros((4, 0)), 0)
    assert not margins.any()
    assert margins.shape[1] == 4


@given(st.permutations(range(12)), st.floats(-3, 3), st.floats(0.5, 4))
def test_likelihood_knows_order_alone(order, shift, stretch):
    rng = np.random.default_rng(0)
    y = np.column_stack([rng.integers(1, 6, 12), rng.integers(0, 2, 12)]).astype(float)
    strata, margin = np.repeat([0, 1], 6), rng.standard_normal(12)
    likelihood = log_partial_likelihood(y, strata, margin)
    stretched_y = y * [stretch, 1]
    order = list(order)
    assert log_partial_likelihood(stretched_y[order], strata[order], margin[order] + shift) == pytest.approx(likelihood)


def test_a_death_is_no_event_and_ends_the_wait():
    y = np.array([[1, EVENT], [2, DEATH], [3, EVENT], [4, CENSORED]], dtype=float)
    margin, strata = np.array([0.3, -0.2, 0.5, 0.1]), np.zeros(4, dtype=int)
    e = np.exp(margin)
    likelihood = 0.3 - np.log(e.sum()) + 0.5 - np.log(e[2] + e[3])
    assert log_partial_likelihood(y, strata, margin) == pytest.approx(likelihood)


def test_risks_without_skill_are_the_cumulative_incidence(data):
    """With no competing death, Breslow's baseline is Nelson and Aalen's; with fine steps both tend to the incidence."""
    rng = np.random.default_rng(4)
    n = 1500
    y = np.column_stack([rng.exponential(100, n), rng.choice([CENSORED, EVENT, DEATH], n, p=[0.3, 0.4, 0.3])])
    curve = risk_curve(y, np.zeros(n, dtype=int), np.zeros(n))
    assert curve.slope == 0
    days, incidence = cumulative_incidence(y)
    for day in (20, 100, 250):
        step = np.searchsorted(days, day, side="right") - 1
        assert curve.risk(np.zeros(2), day) == pytest.approx(incidence[0, 0, [step, step]], abs=2e-3)
    assert np.isnan(curve.risk(np.zeros(1), y[:, 0].max() + 1)).all()


def test_risks_are_calibrated_and_a_useless_score_is_not_believed():
    rng = np.random.default_rng(5)
    n = 1500
    margin = rng.standard_normal(n)
    event, death = rng.exponential(200 * np.exp(-0.5 * margin)), rng.exponential(400, n)
    y = np.column_stack([np.minimum(event, death), np.where(event <= death, EVENT, DEATH)])
    strata = np.zeros(n, dtype=int)
    curve = risk_curve(y, strata, 4 * margin)
    cox_fit = PHReg(y[:, 0], 4 * margin, status=y[:, 1] == EVENT).fit()
    assert curve.slope == pytest.approx(cox_fit.params[0], abs=1e-4)
    assert curve.slope == pytest.approx(0.5 / 4, abs=4 * cox_fit.bse[0])
    risk = curve.risk(4 * margin, 150)
    had_event = (y[:, 1] == EVENT) & (y[:, 0] <= 150)
    for third in np.array_split(np.argsort(margin), 3):
        assert risk[third].mean() == pytest.approx(had_event[third].mean(), abs=0.04)
    assert risk_curve(y, strata, -margin).slope == 0
