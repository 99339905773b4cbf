"""Changes of analytes between windows, against SciPy and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from benchmarks.study_error_rates import blood
from features.trajectories import WINDOWS
from training.study.analysis.immune_changes import level_changes, level_trends


def two_windows(n, baseline, later):
    """Return draws of `n` patients on day -7 and day 14; `baseline` and `later` return a level and its censoring."""
    rows = [
        {"analyte": "a", "patient": f"p{i:02}", "time": time, "log2": level, "censored": censored, "limit": np.nan}
        for i in range(n)
        for time, (level, censored) in ((-7.0, baseline(i)), (14.0, later(i)))
    ]
    return pd.DataFrame(rows)


def test_all_changes_state_their_method_and_belong_to_one_family():
    rows = blood(np.random.default_rng(6), 14, 3)
    rows = rows[(rows["analyte"] != "a2") | (rows["patient"] < "p08")]
    undetected = (rows["analyte"] == "a1") & (rows["log2"] < 1.5)
    rows = rows.assign(censored=rows["censored"].mask(undetected, "below"))
    changes = level_changes(rows, WINDOWS)
    methods = {change.analyte: change.method for change in changes}
    assert methods == {"a0": "mixed model", "a1": "sign-flip", "a2": "sign-flip"}
    adjusted = false_discovery_control([change.p for change in changes])
    np.testing.assert_allclose([change.q for change in changes], adjusted)
    assert {trend.analyte for trend in level_trends(rows)} == {"a0"}


def test_a_planted_rise_is_recovered():
    rows = blood(np.random.default_rng(3), 8, 6)
    raised = rows.assign(log2=rows["log2"] + 3 * rows["time"].between(7, 28))
    assert all(change.low > 0 for change in level_changes(raised, WINDOWS[:2]))


def test_the_mixed_model_takes_patients_undetected_twice_as_unchanged():
    noise = np.random.default_rng(2).normal(0, 0.1, (2, 12))
    rows = two_windows(
        12,
        lambda i: (1.0, "below") if i < 5 else (5 + noise[0, i], ""),
        lambda i: (3.0, "below") if i < 5 else (5 + noise[1, i], ""),
    )
    (change,) = level_changes(rows, WINDOWS[:2])
    assert (change.method, change.patients, change.undetected) == ("mixed model", 12, 5)
    assert abs(change.change) < 0.1


def test_only_patients_with_draws_in_both_windows_count():
    noise = np.random.default_rng(3).normal(0, 0.5, (2, 18))
    rows = two_windows(18, lambda i: (noise[0, i] + 9 * (i > 13), ""), lambda i: (1 + noise[1, i], ""))
    absent = ((rows["patient"] > "p13") & (rows["time"] > 0)) | (
        rows["patient"].isin(["p10", "p11"]) & (rows["time"] < 0)
    )
    (change,) = level_changes(rows[~absent], WINDOWS[:2])
    in_both = np.r_[0:10, 12:14]
    assert change.patients == 12
    assert change.change == pytest.approx((1 + noise[1] - noise[0])[in_both].mean())


def test_an_analyte_with_neither_limit_nor_number_is_not_tested():
    rows = two_windows(6, lambda i: (np.nan, "below"), lambda i: (np.nan, "above"))
    assert level_changes(rows, WINDOWS[:2]) == ()
