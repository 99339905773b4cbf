import numpy as np
import pytest
from scipy import stats

from training.study.permutations import PERMUTATIONS, orders, orders_within, paired_changes, sign_flip_p, signs


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (3, 6), (7, 5040), (8, PERMUTATIONS + 1)])
def test_orders_begin_with_the_data(n: int, expected: int) -> None:
    found = orders(n)
    assert found.shape == (expected, n)
    assert found[0].tolist() == list(range(n))
    assert (np.sort(found, axis=1) == np.arange(n)).all()
    if n <= 7:
        assert len(np.unique(found, axis=0)) == expected


@pytest.mark.parametrize("pairs", [3, 20])
def test_orders_within_never_leave_their_block(pairs: int) -> None:
    blocks = np.array([f"b{i % pairs}" for i in range(2 * pairs)], dtype=object)
    found = orders_within(blocks)
    assert len(found) == min(2**pairs, PERMUTATIONS + 1)
    assert found[0].tolist() == list(range(2 * pairs))
    assert (blocks[found] == blocks).all()
    assert 0.45 < (found[:, 0] == 0).mean() < 0.55


def test_signs_are_all_or_random() -> None:
    assert len(signs(5)) == 32
    assert len(signs(20)) == PERMUTATIONS + 1
    assert (signs(5)[0] == 1).all()
    assert (signs(20)[0] == 1).all()


@pytest.mark.parametrize("n", [2, 5, 9])
def test_sign_flips_agree_with_scipy(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.4, 1, (n, 3))
    expected = [
        stats.permutation_test(
            (column,), np.sum, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
        ).pvalue
        for column in differences.T
    ]
    np.testing.assert_allclose(sign_flip_p(differences), expected)


def test_five_pairs_never_reach_five_percent() -> None:
    assert sign_flip_p(np.arange(1.0, 6)[:, None])[0] == 0.0625


def test_paired_changes_agree_with_students_interval() -> None:
    differences = np.random.default_rng(0).normal(1, 2, (8, 2))
    found = paired_changes(differences)
    for row, column in zip(found.itertuples(), differences.T, strict=True):
        low, high = stats.ttest_1samp(column, 0).confidence_interval()
        np.testing.assert_allclose([row.change, row.low, row.high], [column.mean(), low, high])


def test_one_pair_has_no_interval() -> None:
    row = paired_changes(np.array([[2.0]])).iloc[0]
    assert row["change"] == 2
    assert row["p"] == 1
    assert np.isnan(row["low"])
