"""Repeated-measures correlation beside other implementations."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import binom, pearsonr, permutation_test

from training.statistics.repeated_measures import detectable_correlation, rmcorr, rmcorr_permutation_test


def measurements(seed=7):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 6, 9)
    patient, x = np.repeat(np.arange(9), n), rng.normal(size=n.sum()).round(2)
    return x, (0.4 * x + rng.normal(size=n.sum())).round(2), patient


def test_the_correlation_is_pingouins():
    """pingouin 0.7, in an environment of its own: rm_corr(d[of patients with several], x="x", y="y", subject="p")."""
    correlation = rmcorr(*measurements())
    assert (correlation.r, correlation.df, correlation.p) == pytest.approx((0.44754, 23, 0.024879), abs=1e-5)
    assert (correlation.low, correlation.high) == pytest.approx((0.06, 0.72), abs=0.005)


def test_the_correlation_is_that_of_an_analysis_of_covariance():
    x, y, patient = measurements(8)
    window = np.arange(len(x)) % 3
    for labels in ((patient,), (patient, window)):
        # One level of the course is the reference. A patient of one draw has an intercept and a residual of 0.
        levels = [np.unique(label)[i > 0 :] for i, label in enumerate(labels)]
        dummies = [label[:, None] == level for label, level in zip(labels, levels, strict=True)]
        ancova = sm.OLS(y, np.column_stack([*dummies, x]).astype(float)).fit()
        correlation = rmcorr(x, y, *labels)
        assert correlation.df == ancova.df_resid
        assert correlation.p == pytest.approx(ancova.pvalues[-1], rel=1e-6)
        tvalue = ancova.tvalues[-1]
        assert correlation.r == pytest.approx(tvalue / np.sqrt(tvalue**2 + ancova.df_resid))


def test_of_one_patient_it_is_pearsons():
    x, y, _ = measurements(9)
    correlation, pearson = rmcorr(x, y, np.zeros(len(x))), pearsonr(x, y)
    assert (correlation.r, correlation.p) == pytest.approx((pearson.statistic, pearson.pvalue))
    assert (correlation.low, correlation.high) == pytest.approx(pearson.confidence_interval())


def test_differences_between_patients_do_not_count():
    x, y, patient = measurements(10)
    assert rmcorr(x + 50 * patient, y - 90 * patient, patient).r == pytest.approx(rmcorr(x, y, patient).r)
    assert np.isnan(rmcorr(x[:1], y[:1], patient[:1]).r)


def test_permutations_of_one_patient_are_scipys():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 6))
    r, p = rmcorr_permutation_test(x[:, None], y, np.zeros(6), n=20_000)
    exact = permutation_test(
        (y,),
        lambda y: abs(pearsonr(x, y).statistic),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=720,
    )
    assert r[0] == pytest.approx(pearsonr(x, y).statistic)
    assert p[0] == pytest.approx(exact.pvalue, abs=0.015)


def test_draws_change_places_within_patients_alone():
    """Two patients of two draws have four orders, of which two are as extreme as the observed one."""
    y, patient = np.array([0.0, 1, 10, 11]), np.array([0, 0, 1, 1])
    _, p = rmcorr_permutation_test(y[:, None], y, patient, n=4000)
    assert p[0] == pytest.approx(0.5, abs=0.03)


def test_departures_from_a_common_course_have_their_nominal_error():
    rng, hits, trials = np.random.default_rng(9), 0, 400
    patient, window = np.repeat(np.arange(5), 5), np.tile([0, 1, 1, 2, 3], 5)
    pulse = np.array([0.0, 3, 1, -2])[window]
    for _ in range(trials):
        x, y = 2 * pulse + rng.normal(size=25), pulse + rng.normal(size=25)
        r, p = rmcorr_permutation_test(x[:, None], y, patient, window, n=199)
        hits += p[0] <= 0.05
    assert binom.ppf(0.001, trials, 0.05) <= hits <= binom.ppf(0.999, trials, 0.05)
    assert r[0] == pytest.approx(rmcorr(x, y, patient, window).r)
    assert rmcorr_permutation_test(x[:, None], y, patient, n=199)[1][0] < 0.05


def test_what_does_not_vary_within_patients_is_no_link():
    patient = np.repeat([0, 1, 2], 3)
    r, p = rmcorr_permutation_test(patient[:, None] * 1.7, np.arange(9.0), patient, n=99)
    assert (r[0], p[0]) == (0, 1)


@pytest.mark.parametrize(("df", "tests"), [(20, 1), (60, 1), (40, 50)])
def test_the_smallest_correlation_is_found_in_four_trials_of_five(df, tests):
    n, rng = 10, np.random.default_rng(df)
    patient = np.arange(df + 1 + n) % n
    rho, rejections = detectable_correlation(df, tests=tests), 0
    for _ in range(1500):
        x, e = rng.normal(size=(2, len(patient)))
        rejections += rmcorr(x, rho * x + np.sqrt(1 - rho**2) * e, patient).p <= 0.05 / tests
    assert rejections / 1500 == pytest.approx(0.8, abs=0.04)
    assert detectable_correlation(1) == 1
