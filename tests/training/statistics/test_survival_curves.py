"""Survival curves and cumulative incidences, against lifelines' figures, statsmodels, SciPy and the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import CensoredData, binomtest, ecdf, norm
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from features.survival import DEATH, EVENT
from training.statistics.cumulative_incidence import aalen_johansen
from training.statistics.survival_curves import beta_product, kaplan_meier, median_survival

FIVE = np.array([2.5, 7.4, 8.3, 28.5, 52.3])
# The 6-mercaptopurine arm of Freireich et al. 1963, Blood 21:699-716.
WEEKS = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35], dtype=float)
RELAPSED = np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0], dtype=bool)
Z = norm.ppf(0.975)

times = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=40)


def test_five_deaths_have_a_median_of_8_3_from_2_5_to_not_reached():
    median = median_survival(kaplan_meier(FIVE, np.ones(5, dtype=bool)))
    assert (median.value, median.low, median.high) == (8.3, 2.5, np.inf)


def test_one_death_of_five_leaves_the_median_not_reached():
    median = median_survival(kaplan_meier(FIVE, np.arange(5) == 0))
    assert (median.value, median.low, median.high) == (np.inf, 2.5, np.inf)


def test_kaplan_meier_is_lifelines_with_ties_and_censoring():
    # lifelines 0.30: KaplanMeierFitter().fit(WEEKS, RELAPSED).confidence_interval_, and median_survival_times of it.
    curve = kaplan_meier(WEEKS, RELAPSED)
    steps = np.searchsorted(curve.days, [6, 7, 10, 13, 16, 22, 23])
    np.testing.assert_allclose(
        curve.estimate[steps], [0.857143, 0.806723, 0.752941, 0.690196, 0.627451, 0.537815, 0.448179], atol=1e-6
    )
    np.testing.assert_allclose(
        curve.low[steps], [0.619718, 0.563147, 0.5032, 0.43161, 0.367511, 0.267779, 0.188052], atol=1e-6
    )
    np.testing.assert_allclose(
        curve.high[steps], [0.951552, 0.922809, 0.889362, 0.849066, 0.804912, 0.746791, 0.680143], atol=1e-6
    )
    median = median_survival(curve)
    assert (median.value, median.low, median.high) == (23, 13, np.inf)


@settings(deadline=None)
@given(times)
def test_kaplan_meier_is_statsmodels_and_scipys(pairs):
    time, event = np.array(pairs, dtype=float).T
    event = event.astype(bool)
    curve = kaplan_meier(time, event)
    np.testing.assert_allclose(
        curve.estimate, ecdf(CensoredData(time[event], right=time[~event])).sf.evaluate(curve.days)
    )
    reference = SurvfuncRight(time, event)
    steps = np.searchsorted(curve.days, reference.surv_times)
    np.testing.assert_allclose(curve.estimate[steps], reference.surv_prob, atol=1e-12)
    np.testing.assert_array_equal(curve.at_risk[steps], reference.n_risk)
    has_interval = np.isfinite(curve.low[steps])
    survival = reference.surv_prob[has_interval]
    width = Z * reference.surv_prob_se[has_interval] / survival / np.log(survival)
    np.testing.assert_allclose(curve.low[steps][has_interval], survival ** np.exp(-width), atol=1e-9)
    np.testing.assert_allclose(curve.high[steps][has_interval], survival ** np.exp(width), atol=1e-9)


@settings(deadline=None)
@given(times)
def test_medians_lie_within_their_intervals(pairs):
    time, event = np.array(pairs, dtype=float).T
    median = median_survival(kaplan_meier(time, event.astype(bool)))
    assert median.value <= median.high
    assert np.isnan(median.low) or median.low <= median.value


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=30))
def test_without_censoring_the_limits_are_clopper_and_pearsons(days):
    time = np.array(days, dtype=float)
    curve = beta_product(time, np.ones(time.size, dtype=bool))
    for day, low, high in zip(curve.days, curve.low, curve.high, strict=True):
        clopper_pearson = binomtest(int((time > day).sum()), time.size).proportion_ci()
        assert (low, high) == pytest.approx((clopper_pearson.low, clopper_pearson.high), abs=1e-9)


def test_with_censoring_the_limits_are_quantiles_of_products_of_betas():
    rng, curve = np.random.default_rng(0), beta_product(WEEKS, RELAPSED)
    np.testing.assert_allclose(curve.estimate[1:], kaplan_meier(WEEKS, RELAPSED).estimate)
    for day in (6.0, 13, 20, 23, 35):
        product = np.ones(200_000)
        for event in np.unique(WEEKS[RELAPSED & (day >= WEEKS)]):
            n, d = (event <= WEEKS).sum(), (RELAPSED & (event == WEEKS)).sum()
            product *= rng.beta(n - d + 1, d, product.size)
        followed = (day < WEEKS).sum()
        lower = product * (rng.beta(followed, 1, product.size) if followed else 0)
        estimate = curve.estimate_on(day, 1)
        limits = np.quantile(lower, 0.025), np.quantile(product, 0.975)
        # The moments' beta distribution is near the product's, not it.
        assert (estimate.low, estimate.high) == pytest.approx(limits, abs=0.01)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_nineteen_in_twenty_limits_hold_the_survival_of_few_patients(n):
    rng, misses = np.random.default_rng(n), np.zeros(3)
    for _ in range(600):
        death, end = rng.exponential(1 / np.log(2), n), rng.uniform(0.5, 4, n)
        curve = beta_product(np.minimum(death, end), death <= end)
        for i, time in enumerate((0.2, 0.5, 1)):
            estimate = curve.estimate_on(time, 1)
            misses[i] += estimate.low > 0.5**time or estimate.high < 0.5**time
    # 0.05 and 2.6 standard errors of 600 draws.
    assert (misses / 600).max() < 0.073


def test_where_survival_is_one_half_for_a_while_the_median_is_its_middle():
    # R 4.3, survival 3.5: survfit(Surv(1:4, rep(1, 4)) ~ 1) prints a median of 2.5.
    assert median_survival(kaplan_meier(np.arange(1.0, 5), np.ones(4, dtype=bool))).value == 2.5


def test_one_patient_has_a_median_and_no_interval():
    died, alive = (median_survival(kaplan_meier(np.array([30.0]), np.array([event]))) for event in (True, False))
    assert (died.value, died.high, alive.value, alive.high) == (30, np.inf, np.inf, np.inf)
    assert np.isnan([died.low, alive.low]).all()


def test_a_share_is_known_as_long_as_anyone_is_followed():
    curve = kaplan_meier(WEEKS, RELAPSED)
    assert curve.estimate_on(5, 1).value == 1
    assert curve.estimate_on(8, 1).value == pytest.approx(0.806723, abs=1e-6)
    assert np.isnan(curve.estimate_on(36, 1).value)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:statsmodels")
@settings(deadline=None)
@given(st.integers(0, 500), st.integers(2, 60))
def test_incidence_is_statsmodels(seed, n):
    rng = np.random.default_rng(seed)
    y = np.column_stack([rng.integers(1, 20, n), rng.integers(0, 3, n)]).astype(float)
    # statsmodels numbers the causes it finds and gives no variance once nobody is left.
    y = np.vstack([y, [[0.5, EVENT], [0.5, DEATH], [21, 0]]])
    reference = CumIncidenceRight(y[:, 0], y[:, 1].astype(int))
    for curve, incidence, se in zip(aalen_johansen(y), reference.cinc, reference.cinc_se, strict=True):
        steps = np.searchsorted(curve.days, reference.times)
        np.testing.assert_allclose(curve.estimate[steps], incidence, atol=1e-12)
        width = Z * se / incidence / -np.log(incidence)
        np.testing.assert_allclose(curve.low[steps], incidence ** np.exp(width), atol=1e-9)
        np.testing.assert_allclose(curve.high[steps], incidence ** np.exp(-width), atol=1e-9)


def test_without_censoring_incidence_has_the_binomial_variance():
    y = np.column_stack([np.arange(1.0, 21), np.tile([EVENT, DEATH, EVENT, DEATH], 5)])
    curve = aalen_johansen(y)[0]
    incidence, low = curve.estimate[9], curve.low[9]
    se = np.log(np.log(low) / np.log(incidence)) / Z * incidence * -np.log(incidence)
    assert se == pytest.approx(np.sqrt(incidence * (1 - incidence) / 20))


@pytest.mark.parametrize("n", [5, 10, 20])
def test_nineteen_in_twenty_intervals_hold_the_median_of_few_patients(n):
    rng, hits = np.random.default_rng(n), []
    for _ in range(800):
        death, end = rng.exponential(1 / np.log(2), n), rng.uniform(0.5, 4, n)
        median = median_survival(kaplan_meier(np.minimum(death, end), death <= end))
        hits.append(not median.low > 1 and median.high >= 1)
    # 0.95 less 2.6 standard errors of 800 draws.
    assert np.mean(hits) > 0.93
