from __future__ import annotations

import numpy as np
import pytest
from skbio.diversity import alpha_diversity

from features.cohort import read_cohort
from taxokine.simulation import Trial, simulate_trial
from training.study.analysis.diversity import diversity
from training.study.analysis.stool import stool_series


def test_alpha_diversity_agrees_with_scikit_bio(tmp_path) -> None:
    folder = tmp_path / "trial"
    cohort = read_cohort(simulate_trial(folder, Trial(n_patients=8, n_taxa=60, n_donors=3, seed=2)), folder)
    values, counts = diversity(stool_series(cohort)), cohort.taxa.values.astype(int)
    np.testing.assert_allclose(values.shannon, alpha_diversity("shannon", counts, base=np.e), rtol=1e-5)
    reads = counts.sum(axis=1)
    shallowest, deepest = int(reads.argmin()), int(reads.argmax())
    assert values.richness[shallowest] == pytest.approx((counts[shallowest] > 0).sum())
    rng = np.random.default_rng(0)
    rarefied = rng.multivariate_hypergeometric(counts[deepest], int(reads.min()), size=2000)
    assert values.richness[deepest] == pytest.approx((rarefied > 0).sum(axis=1).mean(), abs=0.15)
