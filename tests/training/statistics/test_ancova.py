"""The analysis of covariance with donors as clusters, against statsmodels, by law and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import t, ttest_ind

from training.statistics.ancova import adjusted_difference


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def test_with_each_patient_a_cluster_it_is_the_hc2_analysis_of_covariance_of_statsmodels(rng):
    group, baseline = np.arange(25) < 11, rng.normal(5, 2, 25)
    y = 1.3 * group + 0.7 * baseline + rng.normal(0, 1 + group)
    adjusted = adjusted_difference(y, baseline, group, np.arange(25))
    fit = sm.OLS(y, sm.add_constant(np.column_stack([group, baseline]))).fit(cov_type="HC2")
    assert adjusted.difference.value == pytest.approx(fit.params[1])
    half_width = (adjusted.difference.high - adjusted.difference.low) / 2
    assert half_width / t.ppf(0.975, adjusted.degrees_of_freedom) == pytest.approx(fit.bse[1])
    assert 8 < adjusted.degrees_of_freedom < 23


def test_of_equal_clusters_in_both_groups_it_is_the_t_test_of_cluster_means(rng):
    cluster = np.repeat(np.arange(10), 4)
    group = cluster < 5
    y = rng.normal(0, 1, 10)[cluster] + rng.normal(0, 1, 40)
    adjusted = adjusted_difference(y, None, group, cluster)
    means = y.reshape(10, 4).mean(axis=1)
    welch = ttest_ind(means[:5], means[5:], equal_var=False)
    assert adjusted.degrees_of_freedom == pytest.approx(welch.df)
    assert adjusted.p == pytest.approx(welch.pvalue)


def test_it_keeps_its_level_where_treated_patients_share_few_donors(rng):
    """Taking patients of one donor as independent rejects several times too often."""
    n, donor = 23, np.arange(23) % 4
    group = np.arange(45) < n
    cluster = np.concatenate([donor, 4 + np.arange(22)])
    clustered, naive = [], []
    for _ in range(500):
        baseline = rng.normal(0, 1, 45)
        y = 0.5 * baseline + rng.normal(0, 1, 45)
        y[:n] += rng.normal(0, 1, 4)[donor]
        clustered.append(adjusted_difference(y, baseline, group, cluster).p < 0.05)
        naive.append(adjusted_difference(y, baseline, group, np.arange(45)).p < 0.05)
    assert np.mean(clustered) < 0.09
    assert np.mean(naive) > 0.15


def test_one_donor_leaves_no_interval_and_equal_values_no_p(rng):
    group = np.arange(12) < 6
    y, one_donor = rng.normal(0, 1, 12), np.where(group, 0, np.arange(12))
    adjusted = adjusted_difference(y, y + rng.normal(0, 1, 12), group, one_donor)
    assert np.isfinite(adjusted.difference.value)
    assert np.isnan([adjusted.difference.low, adjusted.p]).all()
    assert np.isnan(adjusted_difference(np.zeros(12), y, group, np.arange(12)).p)
