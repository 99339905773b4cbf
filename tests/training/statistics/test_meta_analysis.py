"""Meta-analysis against metafor and statsmodels, its limits against textbook formulas, and its coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit
from statsmodels.stats.meta_analysis import combine_effects

from models.auroc import auroc_estimate, auroc_variance
from training.statistics.auroc_meta_analysis import RankedCentre, auroc_random_effects, mean_auroc, ranked_centres
from training.statistics.meta_analysis import random_effects, rate_random_effects

SIZES = np.array([160, 134, 39, 38, 42, 15])


def one_cohort(n_events, n_others, score):
    y = np.repeat([1.0, 0.0], [n_events, n_others])
    return y, np.asarray(score, dtype=float), np.full(len(y), "a", dtype=object)


def test_the_mean_is_metafors():
    """Kacker 2004's example, in R: rma(y, v, method="PM", control=list(tol=1e-9)), metafor."""
    y = np.array([61.0, 61.4, 62.21, 62.3, 62.34, 62.6, 62.7, 62.84, 65.9])
    v = np.array([0.2025, 1.2100, 0.0900, 0.2025, 0.3844, 0.5625, 0.0676, 0.0225, 1.8225])
    combined = random_effects(y, v)
    assert combined.tau2 == pytest.approx(0.705395309224248, abs=1e-8)
    assert combined.mean == pytest.approx(62.4076199113286, abs=1e-8)
    # metafor's standard error times the t quantile of 8 degrees of freedom, 2.306004.
    assert combined.high - combined.mean == pytest.approx(0.338030602684471 * 2.306004135, abs=1e-7)
    # From the same run's QE, by Higgins and Thompson's definition.
    assert combined.i2 == pytest.approx((24.801897741835 - 8) / 24.801897741835)


def test_the_interval_is_hartung_and_knapps_by_statsmodels():
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(30):
        k = int(rng.integers(3, 9))
        v = rng.uniform(0.02, 0.3, k)
        y = rng.normal(0.5, np.sqrt(v + 0.3))
        oracle = combine_effects(y, v, method_re="pm", use_t=True)
        combined = random_effects(y, v)
        assert combined.tau2 == pytest.approx(oracle.tau2, abs=1e-4)
        assert combined.mean == pytest.approx(oracle.mean_effect_re, abs=1e-4)
        if oracle.tau2 > 0:
            compared += 1
            half_width = stats.t.ppf(0.975, k - 1) * oracle.sd_eff_w_re_hksj
            assert (combined.low, combined.high) == pytest.approx(
                (combined.mean - half_width, combined.mean + half_width), abs=1e-3
            )
    assert compared > 10


def test_cohorts_that_happen_to_agree_do_not_shrink_the_interval():
    """Hartung and Knapp's own would have width 0 here."""
    combined = random_effects(np.full(4, 0.2), np.full(4, 0.04))
    assert combined.tau2 == combined.i2 == 0
    assert combined.high - combined.low == pytest.approx(2 * stats.t.ppf(0.975, 3) * 0.1)
    assert combined.prediction_low <= combined.low < combined.high <= combined.prediction_high


@pytest.mark.parametrize("k", [3, 6, 12])
def test_without_sampling_error_the_prediction_is_the_t_interval_of_one_more_value(k):
    y = np.random.default_rng(k).normal(size=k)
    combined = random_effects(y, np.full(k, 1e-9))
    half_width = stats.t.ppf(0.975, k - 1) * y.std(ddof=1) * np.sqrt(1 + 1 / k)
    assert (combined.prediction_low, combined.prediction_high) == pytest.approx(
        (y.mean() - half_width, y.mean() + half_width), rel=5e-3
    )
    assert combined.tau2 == pytest.approx(y.var(ddof=1), rel=1e-6)


def test_intervals_cover_the_mean_and_a_new_cohort_at_about_their_rate():
    """Six cohorts of the sizes that there are, differing by about as much as chance has them differ."""
    rng = np.random.default_rng(1)
    variances, covered = 1 / (SIZES * 0.24 * 0.33), np.zeros(2)
    for _ in range(200):
        truth = 0.4 + 0.4 * rng.normal(size=7)
        combined = random_effects(truth[:6] + np.sqrt(variances) * rng.normal(size=6), variances)
        covered += combined.low <= 0.4 <= combined.high, combined.prediction_low <= truth[6] <= combined.prediction_high
    assert (covered >= 181).all()
    assert (covered <= 199).all()


def test_too_few_cohorts_have_no_interval():
    no_cohort, one_cohort, two_cohorts = (random_effects(np.arange(float(k)), np.ones(k)) for k in range(3))
    assert (no_cohort.k, no_cohort.mean) == (0, None)
    assert (one_cohort.mean, one_cohort.low, one_cohort.tau2, one_cohort.prediction_low) == (0.0, None, None, None)
    assert two_cohorts.high - two_cohorts.low == pytest.approx(2 * 12.7062047 * np.sqrt(0.5))
    assert two_cohorts.prediction_low is two_cohorts.prediction_high is None


def test_newcombes_variance_is_the_scatter_of_aurocs():
    """Normal scores 1.2 standard deviations apart; Newcombe's formula was made for about this."""
    rng = np.random.default_rng(2)
    events, non_events = rng.normal(1.2, 1, (4000, 25)), rng.normal(0, 1, (4000, 40))
    areas = (events[:, :, None] > non_events[:, None, :]).mean(axis=(1, 2))
    assert float(auroc_variance(float(stats.norm.cdf(1.2 / np.sqrt(2))), 25, 40)) == pytest.approx(areas.var(), rel=0.1)


def test_auroc_variance_by_hand():
    # Of 8 events and 12 others: half of all less one is 9; 9 * 0.2 / 1.2 = 1.5 and 9 * 0.8 / 1.8 = 4; 96 pairs.
    assert float(auroc_variance(0.8, 8, 12)) == pytest.approx(0.16 * (1 + 1.5 + 4) / 96)


@pytest.mark.parametrize("area", [0.0, 1.0])
def test_a_cohort_ranked_without_a_fault_has_a_finite_weight(area):
    counts = np.array([3.0]), np.array([12.0])
    log_odds, variance = RankedCentre("a", area, *counts).log_odds()
    assert np.isfinite([log_odds, variance]).all()
    assert variance > RankedCentre("a", 0.9, *counts).log_odds()[1]


def test_a_cohorts_interval_ends_where_the_auroc_found_is_just_possible():
    y, score, cohorts = one_cohort(4, 6, [3, 5, 8, 9, 1, 2, 4, 6, 7, 0])
    interval = ranked_centres(y, score, cohorts)[0].interval()
    for end in (interval.low, interval.high):
        assert abs(interval.value - end) == pytest.approx(1.959964 * np.sqrt(auroc_variance(end, 4, 6)), rel=1e-5)
    assert 0 < interval.low < interval.value < interval.high < 1


@pytest.mark.parametrize("sign", [1, -1])
def test_perfect_ranking_of_few_patients_is_not_certainty(sign):
    y, score, cohorts = one_cohort(3, 12, sign * np.repeat([1, 0], [3, 12]))
    interval = ranked_centres(y, score, cohorts)[0].interval()
    nearest_limit = interval.low if sign == 1 else 1 - interval.high
    assert interval.value == (sign == 1)
    assert 0.5 < nearest_limit < 0.8


def test_cohort_intervals_cover_at_about_their_rate():
    rng, hits = np.random.default_rng(3), 0
    truth = float(stats.norm.cdf(1 / np.sqrt(2)))
    for _ in range(400):
        y, score, cohorts = one_cohort(8, 14, np.r_[rng.normal(1, 1, 8), rng.normal(0, 1, 14)])
        interval = ranked_centres(y, score, cohorts)[0].interval()
        hits += interval.low <= truth <= interval.high
    assert 368 <= hits <= 394


def test_aurocs_are_combined_as_log_odds_and_one_class_is_left_out():
    rng = np.random.default_rng(4)
    cohorts = np.repeat(np.array(list("abcd"), dtype=object), [60, 50, 40, 10])
    y = (rng.random(160) < 0.4).astype(float)
    y[150:] = 1
    score = y + rng.normal(size=160)
    ranked = ranked_centres(y, score, cohorts)
    combined = auroc_random_effects(ranked)
    assert combined.k == 3
    assert [cohort.name for cohort in ranked] == ["a", "b", "c"]
    area = np.array([cohort.area for cohort in ranked])
    events = np.array([y[cohorts == name].sum() for name in "abc"])
    variance = auroc_variance(area, events, np.array([60, 50, 40]) - events) / (area * (1 - area)) ** 2
    on_log_odds = random_effects(logit(area), variance)
    for end in ("mean", "low", "high", "prediction_low", "prediction_high"):
        assert getattr(combined, end) == pytest.approx(float(expit(getattr(on_log_odds, end))))
    assert (combined.tau2, combined.i2) == pytest.approx((on_log_odds.tau2, on_log_odds.i2))


def test_no_measurable_cohort_gives_no_number():
    combined = auroc_random_effects(ranked_centres(np.ones(4), np.arange(4.0), np.full(4, "a", dtype=object)))
    assert (combined.k, combined.mean, combined.low) == (0, None, None)


def test_rates_are_combined_as_log_odds_of_half_a_patient_more():
    events, patients = np.array([12.0, 0.0, 30.0, 8.0]), np.array([40.0, 15.0, 62.0, 39.0])
    combined = rate_random_effects(events, patients)
    with_event, without_event = events + 0.5, patients - events + 0.5
    oracle = combine_effects(
        logit(with_event / (with_event + without_event)), 1 / with_event + 1 / without_event, method_re="pm", use_t=True
    )
    assert combined.mean == pytest.approx(float(expit(oracle.mean_effect_re)), abs=1e-4)
    assert combined.prediction_low < combined.low < combined.mean < combined.high < combined.prediction_high
    single = rate_random_effects(np.array([3.0]), np.array([9.0]))
    assert (single.mean, single.low) == (pytest.approx(0.35), None)


def test_rates_that_differ_by_more_than_chance_widen_the_interval():
    patients = np.full(6, 50.0)
    homogeneous, heterogeneous = (
        rate_random_effects(np.array(e, dtype=float), patients) for e in ([20] * 6, [5, 10, 20, 20, 30, 35])
    )
    assert heterogeneous.high - heterogeneous.low > 3 * (homogeneous.high - homogeneous.low)
    assert homogeneous.mean == pytest.approx(20.5 / 51)


def test_the_variance_within_folds_is_the_scatter_of_aurocs_within_folds():
    rng, folds = np.random.default_rng(9), np.arange(40) % 4
    y, cohort = (np.arange(40) // 4 % 5 < 2).astype(float), np.full(40, "a", dtype=object)
    ranked = [ranked_centres(y, rng.normal(0.8 * y, 1), cohort, folds)[0] for _ in range(2000)]
    areas = np.array([single.area for single in ranked])
    assert ranked[0].variance(float(areas.mean())) == pytest.approx(areas.var(), rel=0.15)
    hits = sum(single.interval().low <= areas.mean() <= single.interval().high for single in ranked[:400])
    assert 368 <= hits <= 396


def test_the_mean_auroc_of_one_centre_is_its_own():
    y, score, centres = one_cohort(8, 3, [0.9, 0.8, 0.8, 0.7, 0.6, 0.6, 0.5, 0.3, 0.4, 0.2, 0.1])
    mean, own = mean_auroc(ranked_centres(y, score, centres)), auroc_estimate(y == 1, score)
    assert (mean.value, mean.low, mean.high) == pytest.approx((own.value, own.low, own.high))
    assert mean_auroc(ranked_centres(np.ones(3), np.arange(3.0), np.full(3, "a", dtype=object))) is None


def test_a_perfect_ranking_of_few_patients_in_two_centres_has_no_narrow_interval():
    y, score, _ = one_cohort(8, 3, np.linspace(1, 0, 11))
    halves = np.array(["a", "b"] * 5 + ["a"], dtype=object)
    perfect = mean_auroc(ranked_centres(y, score, halves))
    assert perfect.value == perfect.high == 1
    assert perfect.low < 0.7


def test_the_mean_auroc_holds_the_truth_as_often_as_it_states():
    rng, truth, n_covered = np.random.default_rng(0), float(stats.norm.cdf(1 / np.sqrt(2))), 0
    for _ in range(400):
        centres = np.repeat(np.array(["a", "b"], dtype=object), [30, 15])
        y = np.concatenate([rng.permutation([1.0] * (n // 3) + [0.0] * (n - n // 3)) for n in (30, 15)])
        interval = mean_auroc(ranked_centres(y, rng.normal(y, 1), centres))
        n_covered += interval.low <= truth <= interval.high
    assert 0.93 <= n_covered / 400 <= 0.99
