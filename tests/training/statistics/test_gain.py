"""The paired gain against DeLong, and its laws."""

from __future__ import annotations

import numpy as np
import pytest

from training.statistics.gain import auroc_gain, gain_random_effects
from training.statistics.meta_analysis import random_effects
from training.statistics.metrics import auroc, bootstrap_interval

COHORTS = np.repeat(np.array(["a", "b"], dtype=object), [120, 80])


def patients(seed, shared=1.0):
    """Two scores of which the first knows more, alike in what `shared` of their noise is the same."""
    rng = np.random.default_rng(seed)
    y = (rng.random(200) < 0.4).astype(float)
    noise = shared * rng.normal(size=200)
    return y, 1.2 * y + noise + 0.5 * rng.normal(size=200), 0.6 * y + noise + 0.5 * rng.normal(size=200)


def delong(y, score_a, score_b):
    """Return the standard error of a difference of two AUROCs (DeLong et al. 1988, Biometrics 44:837-845)."""

    def placements(score):
        wins = np.sign(score[y == 1][:, None] - score[y == 0][None, :]) / 2 + 0.5
        return wins.mean(axis=1), wins.mean(axis=0)

    events, non_events = (a - b for a, b in zip(placements(score_a), placements(score_b), strict=True))
    return np.sqrt(events.var(ddof=1) / len(events) + non_events.var(ddof=1) / len(non_events))


def test_the_interval_is_as_wide_as_delongs():
    y, a, b = patients(0)
    cohort = np.full(200, "a", dtype=object)
    gain = auroc_gain(y, a, b, cohort, 2000, seed=1)
    assert gain.value == pytest.approx(float(auroc(y, a)[0] - auroc(y, b)[0]))
    assert gain.high - gain.low == pytest.approx(2 * 1.96 * delong(y, a, b), rel=0.08)


def test_what_patients_have_in_common_cancels():
    y, a, b = patients(1)
    gain, auroc_interval = auroc_gain(y, a, b, COHORTS, 500), bootstrap_interval(auroc, y, a, COHORTS)
    assert gain.high - gain.low < auroc_interval.high - auroc_interval.low


def test_a_score_gains_nothing_on_itself_and_loses_what_another_gains():
    y, a, b = patients(2)
    itself = auroc_gain(y, a, a, COHORTS, 50)
    assert (itself.value, itself.low, itself.high) == (0, 0, 0)
    forth, back = auroc_gain(y, a, b, COHORTS, 200), auroc_gain(y, b, a, COHORTS, 200)
    assert (forth.value, forth.low, forth.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_seeds_count_by_the_mean_of_their_aurocs():
    y, a, b = patients(3)
    several = auroc_gain(y, np.stack([a, b]), b, COHORTS, 200)
    single = auroc_gain(y, a, b, COHORTS, 200)
    assert (several.value, several.low, several.high) == pytest.approx(
        (single.value / 2, single.low / 2, single.high / 2)
    )


def test_cohorts_are_not_ranked_against_each_other():
    y, _, b = patients(4)
    y = np.where(COHORTS == "a", y, 1 - y)
    only_cohort = (COHORTS == "b").astype(float)
    assert auroc_gain(y, b + 100 * only_cohort, b, COHORTS, 20).value == pytest.approx(0)


def test_the_interval_covers_the_truth_at_about_its_rate():
    from scipy.stats import norm

    truth = norm.cdf(1.2 / np.sqrt(2.5)) - norm.cdf(0.6 / np.sqrt(2.5))
    hits = 0
    for seed in range(150):
        gain = auroc_gain(*patients(100 + seed), COHORTS, 200, seed=seed)
        hits += gain.low <= truth <= gain.high
    assert 133 <= hits <= 149


def test_the_same_seed_gives_the_same_numbers():
    y, a, b = patients(5)
    assert auroc_gain(y, a, b, COHORTS, 100, seed=3) == auroc_gain(y, a, b, COHORTS, 100, seed=3)
    assert auroc_gain(y, a, b, COHORTS, 100, seed=3) != auroc_gain(y, a, b, COHORTS, 100, seed=4)


def test_the_random_effects_of_gains_are_those_of_delongs_errors():
    """One patient's worth of caution hardly changes the variance of a hundred patients."""
    y, a, b = patients(5)
    combined = gain_random_effects(y, a, b, COHORTS)
    masks = [name == COHORTS for name in "ab"]
    gains = np.array([float(auroc(y[mask], a[mask])[0] - auroc(y[mask], b[mask])[0]) for mask in masks])
    variances = np.array([delong(y[mask], a[mask], b[mask]) ** 2 for mask in masks])
    expected = random_effects(gains, variances)
    assert combined.mean == pytest.approx(expected.mean, abs=0.005)
    assert combined.high - combined.low == pytest.approx(expected.high - expected.low, rel=0.12)


def test_a_cohort_in_which_scores_rank_alike_does_not_have_all_the_weight():
    y, a, b = patients(6)
    a = np.where(COHORTS == "b", b, a)
    combined = gain_random_effects(y, a, b, COHORTS)
    assert combined.mean > 0.005
    nothing = gain_random_effects(y, b, b, COHORTS)
    assert nothing.mean == pytest.approx(0)
    assert nothing.low < 0 < nothing.high


def test_the_gain_in_a_cohort_is_the_mean_over_its_folds_by_pairs():
    y, a, b = patients(7)
    folds, cohort = np.arange(200) % 5, np.full(200, "a", dtype=object)
    single = gain_random_effects(y, a + 50 * folds, b - 50 * folds, cohort, folds)
    assert single.mean == pytest.approx(float(auroc(y, a, folds=folds)[0] - auroc(y, b, folds=folds)[0]))
    assert (single.k, single.low) == (1, None)


def test_the_random_effects_interval_covers_the_mean_gain_at_about_its_rate():
    """Six cohorts whose true gain is 0, since both scores tell as much, or differs between them around 0."""
    rng, cohorts, covered = np.random.default_rng(8), np.repeat(np.array(list("abcdef"), dtype=object), 40), 0
    for _ in range(200):
        y = (rng.random(240) < 0.4).astype(float)
        shift = np.repeat(rng.normal(0, 0.3, 6), 40)
        noise = rng.normal(size=240)
        a, b = ((0.5 + sign * shift) * y + noise + rng.normal(size=240) for sign in (1, -1))
        combined = gain_random_effects(y, a, b, cohorts)
        covered += combined.low <= 0 <= combined.high
    assert 183 <= covered <= 199
