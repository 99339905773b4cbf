"""Paired changes: tests and intervals beside SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_1samp

from training.statistics.paired_changes import paired_changes
from training.statistics.sign_flip import rise_then_fall_p, sign_flip_p_values, sign_flip_test

changes_with_ties = st.lists(st.integers(-6, 6), min_size=1, max_size=9).map(lambda c: np.array(c, dtype=float))


@settings(max_examples=40, deadline=None)
@given(changes_with_ties.filter(lambda c: len(c) > 1))
def test_p_is_that_of_scipys_exact_permutation_test(change):
    test = sign_flip_test(change)
    for alternative, p in (("two-sided", test.p), ("greater", test.p_greater)):
        scipy_test = permutation_test(
            (change,), np.mean, permutation_type="samples", alternative=alternative, n_resamples=10_000
        )
        assert p == pytest.approx(scipy_test.pvalue)


@settings(max_examples=40, deadline=None)
@given(changes_with_ties.filter(lambda c: len(c) > 1), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_interval_holds_what_the_test_does_not_reject(change, level):
    test, span = sign_flip_test(change, level=level), np.ptp(change) + 1
    for centre in np.linspace(test.low, test.high, 5)[1:-1]:
        assert sign_flip_test(change - centre).p > 1 - test.confidence - 1e-9
    for end, step in ((test.low, -0.01 * span), (test.high, 0.01 * span)):
        assert sign_flip_test(change - end - step).p <= 1 - test.confidence + 1e-9


def test_five_patients_reach_0_0625_and_93_75_percent():
    test = sign_flip_test(np.array([0.2, 0.5, 1.0, 0.1, 2.0]))
    assert (test.p, test.confidence, test.low, test.high) == (0.0625, 0.9375, 0.1, 2.0)
    assert test.p_greater == 1 / 32


@pytest.mark.parametrize(("change", "p"), [([0.0] * 6, 1), ([1.5], 1)])
def test_ties_and_one_patient_show_nothing(change, p):
    test = sign_flip_test(np.array(change))
    assert test.p == p
    assert np.isnan(sign_flip_test(np.array([1.5])).low)


def test_of_many_patients_signs_are_drawn_and_agree_with_t():
    change = np.random.default_rng(0).normal(0.4, 1, 60)
    test, t_test = sign_flip_test(change), ttest_1samp(change, 0)
    assert test.p == pytest.approx(t_test.pvalue, abs=0.005)
    assert (test.low, test.high) == pytest.approx(t_test.confidence_interval(), abs=0.02)
    assert test == sign_flip_test(change)


def test_the_pattern_is_as_strong_as_its_weakest_part():
    rng = np.random.default_rng(1)
    change = rng.normal(0, 0.1, 7)
    assert rise_then_fall_p(change + 3, change - 2, change + 1) == 1 / 2**7
    assert rise_then_fall_p(change + 3, change, change + 3) > 0.05
    assert rise_then_fall_p(change + 3, change - 4, change - 1) == 1
    assert rise_then_fall_p(change - 1, change - 2, change + 1) == 1


@pytest.mark.parametrize("n", [2, 5, 9])
def test_sign_flips_agree_with_scipy(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.4, 1, (n, 3))
    scipy_p = [
        permutation_test(
            (column,), np.sum, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
        ).pvalue
        for column in differences.T
    ]
    np.testing.assert_allclose(sign_flip_p_values(differences), scipy_p)


def test_five_pairs_never_reach_five_percent() -> None:
    assert sign_flip_p_values(np.arange(1.0, 6)[:, None])[0] == 0.0625


def test_paired_changes_agree_with_students_interval() -> None:
    differences = np.random.default_rng(0).normal(1, 2, (8, 2))
    changes = paired_changes(differences)
    for row, column in zip(changes.itertuples(), differences.T, strict=True):
        low, high = ttest_1samp(column, 0).confidence_interval()
        np.testing.assert_allclose([row.change, row.low, row.high], [column.mean(), low, high])


def test_one_pair_has_no_interval() -> None:
    row = paired_changes(np.array([[2.0]])).iloc[0]
    assert row["change"] == 2
    assert row["p"] == 1
    assert np.isnan(row["low"])
