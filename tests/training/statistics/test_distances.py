"""Distances agree with scikit-bio."""

import numpy as np
from scipy.spatial.distance import pdist, squareform
from skbio.diversity import beta_diversity
from skbio.stats.composition import clr, multi_replace

from training.statistics.distances import aitchison, bray_curtis


def random_proportions(n: int, seed: int = 0, taxa: int = 25) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.dirichlet(np.full(taxa, 0.4), n)).round(4) + 1e-9


def euclidean(values: np.ndarray) -> np.ndarray:
    return squareform(pdist(np.reshape(values, (len(values), -1))))


def test_distances_agree_with_scikit_bio() -> None:
    X = random_proportions(12)
    np.testing.assert_allclose(bray_curtis(X), beta_diversity("braycurtis", X, validate=False).data, atol=1e-12)
    X = np.where(X < 0.005, 0, X)
    closed = X[:, (X > 0).mean(axis=0) >= 0.1]
    closed = closed / closed.sum(axis=1, keepdims=True)
    delta = min(closed[closed > 0].min() / 2, 0.5 / closed.shape[1])
    np.testing.assert_allclose(aitchison(X), euclidean(clr(multi_replace(closed, delta))), rtol=1e-9, atol=1e-9)
