"""The Mantel-Haenszel odds ratio against R."""

from __future__ import annotations

import numpy as np
import pytest

from training.statistics.mantel_haenszel import mantel_haenszel


def test_the_odds_ratio_and_its_interval_are_those_of_r():
    """`mantelhaen.test(UCBAdmissions)` in R: admission and sex, over six departments."""
    # Admitted women, admitted men, rejected women, rejected men.
    departments = [
        [89, 512, 19, 313],
        [17, 353, 8, 207],
        [202, 120, 391, 205],
        [131, 138, 244, 279],
        [94, 53, 299, 138],
        [24, 22, 317, 351],
    ]
    odds_ratio = mantel_haenszel(np.array(departments))
    assert odds_ratio.value == pytest.approx(0.9046968, abs=1e-7)
    assert (odds_ratio.low, odds_ratio.high) == pytest.approx((0.7719074, 1.0603298), abs=1e-7)


@pytest.mark.parametrize("tables", [[[0, 5, 5, 3], [0, 2, 2, 1]], [[4, 0, 5, 3]]])
def test_an_odds_ratio_of_0_or_infinity_is_none(tables):
    assert mantel_haenszel(np.array(tables)) is None
