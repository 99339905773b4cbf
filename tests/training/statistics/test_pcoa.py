"""Principal coordinates agree with scikit-bio."""

import numpy as np
import pytest
from skbio.stats.distance import DistanceMatrix
from skbio.stats.ordination import pcoa

from training.statistics.distances import bray_curtis
from training.statistics.pcoa import principal_coordinates


def random_proportions(n: int, seed: int = 0, taxa: int = 25) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.dirichlet(np.full(taxa, 0.4), n)).round(4) + 1e-9


@pytest.mark.filterwarnings("ignore:EIGH")
def test_coordinates_agree_with_scikit_bio() -> None:
    distances = bray_curtis(random_proportions(14))
    coordinates, explained = principal_coordinates(distances)
    skbio_pcoa = pcoa(DistanceMatrix(distances), warn_neg_eigval=False)
    np.testing.assert_allclose(np.abs(coordinates), np.abs(skbio_pcoa.samples.iloc[:, :2]), atol=1e-8)
    values = np.maximum(skbio_pcoa.eigvals.to_numpy(), 0)
    np.testing.assert_allclose(explained, values[:2] / values.sum(), rtol=1e-6)


def test_two_samples_lie_on_one_axis() -> None:
    coordinates, explained = principal_coordinates(np.array([[0, 2.0], [2, 0]]), axes=3)
    np.testing.assert_allclose(np.abs(coordinates), [[1, 0, 0], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(explained, [1, 0, 0], atol=1e-12)
