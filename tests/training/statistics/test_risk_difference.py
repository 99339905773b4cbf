"""Differences of proportions, against the examples of Newcombe 1998, table II."""

from __future__ import annotations

import pytest

from training.statistics.risk_difference import risk_difference


@pytest.mark.parametrize(
    ("counts", "limits"),
    [
        ((56, 70, 48, 80), (0.0528, 0.3382)),
        ((9, 10, 3, 10), (0.1700, 0.8406)),
        ((5, 56, 0, 29), (-0.0326, 0.1933)),
        ((0, 10, 0, 20), (-0.1658, 0.2844)),
        ((10, 10, 0, 20), (0.7156, 1.0)),
    ],
)
def test_intervals_are_those_published(counts, limits):
    result = risk_difference(*counts)
    assert (result.difference.low, result.difference.high) == pytest.approx(limits, abs=1.5e-4)
    assert result.difference.value == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])


def test_p_is_fishers_of_the_lady_who_tastes_tea():
    assert risk_difference(3, 4, 1, 4).p == pytest.approx(34 / 70)
