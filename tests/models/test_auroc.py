"""The AUROC of one group: against scikit-learn, and the coverage of its interval by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from models.auroc import auroc_estimate


def test_the_area_is_that_of_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(3)
    y, score = rng.random(60) < 0.4, rng.integers(0, 9, 60) / 9
    assert auroc_estimate(y, score).value == pytest.approx(roc_auc_score(y, score), abs=1e-12)


@pytest.mark.parametrize("area", [0.5, 0.8])
def test_the_interval_covers_the_true_area_of_small_groups(area: float) -> None:
    rng, shift, covered = np.random.default_rng(5), np.sqrt(2) * norm.ppf(area), 0
    y = np.arange(40) < 15
    for _ in range(400):
        estimate = auroc_estimate(y, rng.normal(shift * y))
        covered += estimate.low <= area <= estimate.high
    assert 0.92 <= covered / 400 <= 0.985


def test_perfect_and_inverted_ranks_have_an_interval_and_one_class_has_none() -> None:
    y = np.arange(20) < 10
    perfect, inverted = auroc_estimate(y, y.astype(float)), auroc_estimate(y, 1.0 - y)
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert 0.6 < perfect.low < 0.95
    assert inverted.low == 0.0
    assert inverted.high == pytest.approx(1 - perfect.low, abs=1e-6)
    assert auroc_estimate(np.ones(4, dtype=bool), np.arange(4.0)).value is None
