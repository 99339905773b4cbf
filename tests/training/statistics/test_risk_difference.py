"""Differences of proportions, against the examples of Newcombe 1998, table II."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import hypergeom

from training.statistics.risk_difference import risk_difference, stratified_risk_difference


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


def stratified(counts):
    """Return event, group and stratum of each patient, of rows (events, n, control events, control n)."""
    rows = [
        (event, group, f"s{stratum}")
        for stratum, (x, n, x_control, n_control) in enumerate(counts)
        for group, with_event, total in ((True, x, n), (False, x_control, n_control))
        for event in [True] * with_event + [False] * (total - with_event)
    ]
    event, group, strata = zip(*rows, strict=True)
    return np.array(event), np.array(group), np.array(strata, dtype=object)


def test_strata_are_weighted_as_mantel_and_haenszel_do():
    counts = [(8, 12, 3, 11), (4, 11, 4, 11)]
    result = stratified_risk_difference(*stratified(counts))
    weights = np.array([12 * 11 / 23, 11 * 11 / 22])
    assert result.difference.value == pytest.approx(weights @ [8 / 12 - 3 / 11, 0] / weights.sum())
    # The exact distribution of the arm's responders, given the margins of both strata.
    first, second = hypergeom(23, 11, 12).pmf(range(24)), hypergeom(22, 8, 11).pmf(range(24))
    distribution = np.convolve(first, second)
    distance = np.abs(np.arange(len(distribution)) - (11 * 12 / 23 + 8 * 11 / 22))
    assert result.p == pytest.approx(distribution[distance >= distance[8 + 4] - 1e-9].sum(), abs=0.015)


def test_one_stratum_is_the_plain_difference_and_a_stratum_of_one_arm_adds_nothing():
    alone = stratified_risk_difference(*stratified([(56, 70, 48, 80)]))
    plain = risk_difference(56, 70, 48, 80).difference
    assert (alone.difference.low, alone.difference.high) == pytest.approx((plain.low, plain.high), abs=0.01)
    with_one_arm = stratified_risk_difference(*stratified([(56, 70, 48, 80), (5, 9, 0, 0)]))
    assert with_one_arm.difference == alone.difference


def test_a_stratum_of_another_rate_and_share_of_arms_does_not_confound():
    """The pooled table shows a difference of 0.3, and neither stratum any."""
    event, group, strata = stratified([(32, 40, 8, 10), (2, 10, 8, 40)])
    assert event[group].mean() - event[~group].mean() > 0.3
    result = stratified_risk_difference(event, group, strata)
    assert result.difference.value == pytest.approx(0)
    assert result.p > 0.9


def test_satos_interval_covers_the_common_difference():
    rng, covered = np.random.default_rng(2), []
    for _ in range(150):
        counts = [
            (rng.binomial(12, 0.6), 12, rng.binomial(11, 0.4), 11),
            (rng.binomial(11, 0.4), 11, rng.binomial(11, 0.2), 11),
        ]
        estimate = stratified_risk_difference(*stratified(counts)).difference
        covered.append(estimate.low <= 0.2 <= estimate.high)
    assert np.mean(covered) > 0.9
