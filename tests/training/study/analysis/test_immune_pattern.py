from __future__ import annotations

import numpy as np

from benchmarks.study_error_rates import blood
from features.trajectories import WINDOWS
from training.study.analysis.immune_pattern import pattern_tests


def test_a_planted_rise_and_fall_is_significant_and_noise_is_not():
    rows = blood(np.random.default_rng(3), 8, 6)
    assert not any(test.significant for test in pattern_tests(rows, WINDOWS))
    planted = rows.assign(log2=rows["log2"] + 3 * rows["time"].between(7, 28) + 1.5 * (rows["time"] > 28))
    assert sum(test.significant for test in pattern_tests(planted, WINDOWS)) >= 3
