"""The difference of two means, against statsmodels and by enumeration."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import permutation_test
from statsmodels.stats.weightstats import CompareMeans

from training.statistics.mean_difference import mean_difference


def test_the_interval_is_that_of_welch():
    rng = np.random.default_rng(2)
    first, second = rng.normal(0, 1, 7), rng.normal(1, 3, 12)
    result = mean_difference(np.concatenate([first, second]), np.arange(19) < 7)
    low, high = CompareMeans.from_data(first, second).tconfint_diff(usevar="unequal")
    assert (result.difference.low, result.difference.high) == pytest.approx((low, high))
    assert result.difference.value == pytest.approx(first.mean() - second.mean())
    assert result.n == (7, 12)


def test_p_counts_the_assignments_that_differ_as_much():
    values = np.array([3.1, 2.2, 0.4, 1.1, -0.3, 0.2])
    group = np.array([True, True, False, True, False, False])
    difference = abs(values[group].mean() - values[~group].mean())
    assignments = [np.isin(np.arange(6), members) for members in combinations(range(6), 3)]
    as_large = [abs(values[mask].mean() - values[~mask].mean()) >= difference - 1e-12 for mask in assignments]
    assert mean_difference(values, group).p == pytest.approx(np.mean(as_large))


def test_a_single_value_has_no_interval():
    result = mean_difference(np.array([1.0, 2.0, 4.0]), np.array([True, False, False]))
    assert result.difference.value == -2
    assert np.isnan([result.difference.low, result.difference.high]).all()


def test_many_values_have_random_assignments_that_agree_with_scipy():
    rng = np.random.default_rng(4)
    first, second = rng.normal(0.8, 1, 14), rng.normal(0, 1, 15)
    result = mean_difference(np.concatenate([first, second]), np.arange(29) < 14)
    reference = permutation_test((first, second), lambda a, b: a.mean() - b.mean(), n_resamples=9999, rng=rng)
    assert result.p == pytest.approx(reference.pvalue, abs=0.015)
