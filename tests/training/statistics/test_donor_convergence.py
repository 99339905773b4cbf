"""What is particular to the own donor, by hand and where stool moves for everyone alike."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from training.statistics.distances import bray_curtis
from training.statistics.donor_convergence import donor_specific_convergence


def own_minus_unrelated(scores: np.ndarray, donor_of: np.ndarray, deleted: int | None = None) -> pd.Series:
    """Each recipient's own minus unrelated, the plain way."""
    donors = [h for h in range(scores.shape[1]) if h != deleted]
    rows = [i for i in range(len(donor_of)) if donor_of[i] != deleted]
    values = [scores[i, donor_of[i]] - np.mean([scores[i, h] for h in donors if h != donor_of[i]]) for i in rows]
    return pd.Series(values, index=donor_of[rows])


def test_estimates_and_jackknife_by_hand() -> None:
    rng = np.random.default_rng(0)
    scores, donor_of = rng.normal(size=(9, 6)), np.array([0, 0, 0, 1, 1, 2, 3, 3, 3])
    convergence = donor_specific_convergence(scores, donor_of[:, None] == np.arange(6))
    for estimate, mean in (
        (convergence.recipient_mean, lambda c: c.mean()),
        (convergence.donor_mean, lambda c: c.groupby(level=0).mean().mean()),
    ):
        value = mean(own_minus_unrelated(scores, donor_of))
        replicates = [mean(own_minus_unrelated(scores, donor_of, donor)) for donor in range(4)]
        half_width = stats.t.ppf(0.975, 3) * np.sqrt(3 / 4 * sum((replicate - value) ** 2 for replicate in replicates))
        np.testing.assert_allclose(
            [estimate.value, estimate.low, estimate.high], [value, value - half_width, value + half_width]
        )
    assert (convergence.n, convergence.n_donors) == (9, 4)


def test_donors_are_exchanged_whole() -> None:
    rng = np.random.default_rng(1)
    scores, donor_of = rng.normal(size=(7, 4)) - 0.5, np.array([0, 0, 1, 1, 1, 2, 3])
    convergence = donor_specific_convergence(scores, donor_of[:, None] == np.arange(4))
    values = [
        abs(own_minus_unrelated(scores, np.array(order)[donor_of]).mean()) for order in itertools.permutations(range(4))
    ]
    assert convergence.p == pytest.approx(np.mean(np.array(values) >= values[0] - 1e-12))
    assert convergence.least_p == pytest.approx(1 / 24)


def test_recipients_are_exchanged_between_donors() -> None:
    rng = np.random.default_rng(1)
    donor_of = np.array([0, 0, 0, 1, 1, 1])
    scores = rng.normal(size=(6, 2)) + np.array([3, 0]) - 1.5 * (donor_of[:, None] == np.arange(2))
    convergence = donor_specific_convergence(scores, donor_of[:, None] == np.arange(2))
    means = np.array(
        [own_minus_unrelated(scores, donor_of[list(order)]).mean() for order in itertools.permutations(range(6))]
    )
    distance = np.abs(means - means.mean())
    assert convergence.exchanged_p == pytest.approx(np.mean(distance >= distance[0] - 1e-9))
    assert convergence.p == 1
    assert convergence.least_exchanged_p == pytest.approx(2 * 36 / 720, abs=0.051)


def test_the_exchange_of_recipients_keeps_its_level_where_all_move_alike_and_has_power_with_two_donors() -> None:
    rng, donor_of = np.random.default_rng(7), np.array([0] * 8 + [1] * 4)
    is_own = donor_of[:, None] == np.arange(2)
    null, planted = [], []
    for _ in range(60):
        scores = rng.normal(size=(12, 2)) + np.array([4, 0])
        null.append(donor_specific_convergence(scores, is_own).exchanged_p)
        planted.append(donor_specific_convergence(scores - 2 * is_own, is_own).exchanged_p)
    assert np.mean(np.array(null) <= 0.05) <= 0.15
    assert np.mean(np.array(planted) <= 0.05) > 0.8


def test_one_donor_has_no_interval_and_two_no_test() -> None:
    scores = np.random.default_rng(2).normal(size=(4, 2))
    single = donor_specific_convergence(scores, np.array([[True, False]] * 4))
    assert np.isnan([single.recipient_mean.low, single.donor_mean.high]).all()
    assert single.n_donors == 1
    assert single.exchanged_p == single.least_exchanged_p == 1
    pair = donor_specific_convergence(scores, np.array([[True, False], [True, False], [False, True], [False, True]]))
    assert pair.p == pair.least_p == 1


def test_no_limit_of_two_donors_lies_beyond_what_distances_allow() -> None:
    changes = np.array([[-0.6, 0.1, 0.0], [-0.5, 0.0, 0.1], [0.1, 0.2, 0.0], [0.0, 0.3, 0.1]])
    is_own = np.array([[True, False, False], [True, False, False], [False, True, False], [False, True, False]])
    free, limited = (donor_specific_convergence(changes, is_own, largest=largest) for largest in (np.inf, 2.0))
    assert free.recipient_mean.low < -2 < 2 < free.recipient_mean.high
    for mean, other in ((limited.recipient_mean, free.recipient_mean), (limited.donor_mean, free.donor_mean)):
        assert (mean.value, mean.low, mean.high) == (other.value, -2, 2)
    # What several trials are pooled by is not cut.
    half_width = (free.recipient_mean.high - free.recipient_mean.low) / 2
    assert limited.recipient_error == free.recipient_error == pytest.approx(half_width / stats.t.ppf(0.975, 1))


def test_false_positives_and_coverage_where_stool_moves_for_everyone_alike() -> None:
    rng, hits, covering, n = np.random.default_rng(3), 0, 0, 150
    for _ in range(n):
        host, donors, common = (1.5 * rng.standard_normal((k, 40)) for k in (15, 6, 1))
        logs = np.vstack([host, host + 0.5 * common + rng.standard_normal(host.shape), donors])
        shares = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
        distances = bray_curtis(shares)
        is_own_donor = rng.integers(6, size=15)[:, None] == np.arange(6)
        convergence = donor_specific_convergence(distances[15:30, 30:] - distances[:15, 30:], is_own_donor)
        hits += convergence.p <= 0.05
        covering += convergence.recipient_mean.low <= 0 <= convergence.recipient_mean.high
    # 0.1% of binomial trials at the nominal level lie beyond.
    assert hits <= stats.binom.ppf(0.999, n, 0.05)
    assert covering >= stats.binom.ppf(0.001, n, 0.95)
