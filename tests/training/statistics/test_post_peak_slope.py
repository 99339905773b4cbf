"""What follows a peak, in noise and beside least squares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress, ttest_1samp

from training.statistics.post_peak_slope import post_peak_slope, post_peak_slope_test


def test_the_slope_after_the_peak_is_that_of_least_squares():
    time, level = np.array([1.0, 2, 4, 7, 9]), np.array([1.0, 5, 3, 4, 0])
    peak, slope = post_peak_slope(time, level)
    assert peak == 1
    assert slope == pytest.approx(linregress(time[1:], level[1:]).slope)
    assert post_peak_slope(time, np.sort(level))[1] == 0


def test_after_a_peak_of_noise_there_is_a_fall_which_the_shuffled_null_has_too():
    rng = np.random.default_rng(2)
    noise = [(np.arange(6.0), rng.normal(size=6)) for _ in range(40)]
    slopes = [post_peak_slope(*series)[1] for series in noise]
    assert ttest_1samp(slopes, 0).pvalue < 1e-4
    null, p = post_peak_slope_test(noise)
    assert null == pytest.approx(np.mean(slopes), abs=0.15)
    assert p > 0.01
    pulse = [(np.arange(6.0), np.array([1, 9, 6, 3, 1, 0]) + rng.normal(0, 0.1, 6)) for _ in range(5)]
    assert post_peak_slope_test(pulse)[1] < 0.02
