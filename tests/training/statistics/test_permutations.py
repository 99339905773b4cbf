import numpy as np
import pytest

from training.statistics.permutations import PERMUTATIONS, row_orders, row_orders_within_strata, sign_assignments


@pytest.mark.parametrize(("n", "n_orders"), [(1, 1), (3, 6), (7, 5040), (8, PERMUTATIONS + 1)])
def test_orders_begin_with_the_data(n: int, n_orders: int) -> None:
    orders = row_orders(n)
    assert orders.shape == (n_orders, n)
    assert orders[0].tolist() == list(range(n))
    assert (np.sort(orders, axis=1) == np.arange(n)).all()
    if n <= 7:
        assert len(np.unique(orders, axis=0)) == n_orders


@pytest.mark.parametrize("pairs", [3, 20])
def test_orders_within_never_leave_their_block(pairs: int) -> None:
    blocks = np.array([f"b{i % pairs}" for i in range(2 * pairs)], dtype=object)
    orders = row_orders_within_strata(blocks)
    assert len(orders) == min(2**pairs, PERMUTATIONS + 1)
    assert orders[0].tolist() == list(range(2 * pairs))
    assert (blocks[orders] == blocks).all()
    assert 0.45 < (orders[:, 0] == 0).mean() < 0.55


def test_signs_are_all_or_random() -> None:
    assert len(sign_assignments(5)) == 32
    assert len(sign_assignments(20)) == PERMUTATIONS + 1
    assert (sign_assignments(5)[0] == 1).all()
    assert (sign_assignments(20)[0] == 1).all()
