"""Metrics against scikit-learn, and the laws of intervals and calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from training.statistics.metrics import auprc, auroc, bootstrap_interval, brier_score, log_loss, mean_within_centres

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=40).filter(
    lambda pairs: 0 < sum(y for y, _ in pairs) < len(pairs)
)


@given(PAIRS)
def test_metrics_agree_with_scikit_learn(pairs):
    y, score = np.array(pairs, dtype=float).T
    assert auroc(y, score)[0] == pytest.approx(roc_auc_score(y, score))
    assert auprc(y, score)[0] == pytest.approx(average_precision_score(y, score))
    assert brier_score(y, score / 5)[0] == pytest.approx(brier_score_loss(y, score / 5))


@given(PAIRS, st.integers(0, 1000))
def test_weights_mean_how_often_a_sample_counts(pairs, seed):
    y, score = np.array(pairs, dtype=float).T
    weights = np.random.default_rng(seed).integers(0, 4, len(y))
    repeated_y, repeated_score = np.repeat(y, weights), np.repeat(score, weights)
    for metric in (auroc, auprc):
        weighted = metric(y, score, weights[None, :].astype(float))[0]
        if 0 < repeated_y.sum() < len(repeated_y):
            assert weighted == pytest.approx(metric(repeated_y, repeated_score)[0])


def test_one_class_cannot_be_ranked():
    assert np.isnan(auroc(np.ones(3), np.arange(3.0))[0])
    assert np.isnan(auprc(np.zeros(3), np.arange(3.0))[0])


def test_cohorts_are_never_ranked_against_each_other():
    """A score that only tells the cohorts apart has no skill, however different their prevalences."""
    cohorts = np.repeat(np.array(["a", "b"], dtype=object), 50)
    y = np.concatenate([np.arange(50) < 45, np.arange(50) < 5]).astype(float)
    score = np.repeat([1.0, 0.0], 50)
    assert roc_auc_score(y, score) > 0.85
    assert mean_within_centres(auroc, y, score, cohorts)[0] == pytest.approx(0.5)


def test_cohorts_count_by_their_patients():
    cohorts = np.array(["a"] * 4 + ["b"] * 2 + ["c"] * 3, dtype=object)
    y = np.array([0, 0, 1, 1, 1, 0, 1, 1, 1], dtype=float)
    score = np.array([0, 1, 2, 3, 0, 1, 0, 1, 2], dtype=float)
    # a: 1, b: 0, c: one class only, left out.
    assert mean_within_centres(auroc, y, score, cohorts)[0] == pytest.approx(4 / 6)


def test_intervals_cover_the_truth_at_about_their_rate():
    """Normal scores one standard deviation apart have an AUROC of 0.760."""
    rng, hits = np.random.default_rng(0), 0
    for draw in range(200):
        y = (np.arange(80) % 2).astype(float)
        interval = bootstrap_interval(auroc, y, rng.normal(size=80) + y, np.full(80, "a", dtype=object), seed=draw)
        hits += interval.low <= 0.7602 <= interval.high
        assert interval.low <= interval.value <= interval.high
    assert 178 <= hits <= 199


def test_log_loss_is_the_mean_surprise():
    y, margin = np.array([1.0, 0.0]), np.array([[2.0, -1.0], [0.0, 0.0]])
    p = 1 / (1 + np.exp(-margin))
    surprise = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p), axis=1)
    assert log_loss(y, margin) == pytest.approx(surprise)


def test_patients_of_different_folds_are_not_ranked():
    rng = np.random.default_rng(6)
    y, score, folds = (rng.random(60) < 0.4).astype(float), rng.normal(size=60), np.arange(60) % 4
    pairs = np.equal.outer(folds[y == 1], folds[y == 0])
    wins = np.sign(np.subtract.outer(score[y == 1], score[y == 0])) / 2 + 0.5
    assert auroc(y, score, folds=folds)[0] == pytest.approx(wins[pairs].mean())
    assert auroc(y, score + 100 * folds, folds=folds)[0] == pytest.approx(wins[pairs].mean())
    precision = np.average(
        [average_precision_score(y[folds == fold], score[folds == fold]) for fold in range(4)],
        weights=[y[folds == fold].sum() for fold in range(4)],
    )
    assert auprc(y, score, folds=folds)[0] == pytest.approx(precision)
    cohort = np.full(60, "a", dtype=object)
    interval = bootstrap_interval(auroc, y, score + 100 * folds, cohort, folds)
    assert interval.low < interval.value < interval.high


def test_predicting_each_folds_prevalence_is_neither_skill_nor_its_opposite():
    """The prevalence of the training rows is the lower the more events are held out."""
    y, folds = np.repeat([1.0, 0, 1, 0], [12, 8, 8, 12]), np.repeat([0, 1], 20)
    prevalence = np.where(folds == 0, 0.4, 0.6)
    assert auroc(y, prevalence, folds=folds)[0] == 0.5
    assert auroc(y, prevalence)[0] < 0.45
