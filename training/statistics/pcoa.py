"""Principal coordinates analysis."""

from __future__ import annotations

import numpy as np

from training.statistics.arrays import Matrix, Vector


def gower_centred(distances: Matrix) -> Matrix:
    """Return the centred inner products of distances, (n, n); Gower 1966, Biometrika 53:325-338."""
    inner = -0.5 * distances**2
    inner = inner - inner.mean(axis=0)
    return np.asarray(inner - inner.mean(axis=1, keepdims=True))


def principal_coordinates(distances: Matrix, axes: int = 2) -> tuple[Matrix, Vector]:
    """Return principal coordinates, (n, axes), and the share that each axis has of the positive eigenvalues' sum."""
    values, vectors = np.linalg.eigh(gower_centred(distances))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    coordinates = np.zeros((len(values), axes))
    held = min(axes, len(values))
    coordinates[:, :held] = vectors[:, :held] * np.sqrt(values[:held])
    share = np.zeros(axes)
    share[:held] = values[:held] / max(values.sum(), 1e-300)
    return coordinates, share
