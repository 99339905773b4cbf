"""Principal coordinates analysis (PCoA)."""

from __future__ import annotations

import numpy as np

from features.arrays import Matrix, Vector


def gower_centred(distances: Matrix) -> Matrix:
    r"""Return the centred inner products of distances, (n, n).

    .. math:: G = -\tfrac12\, C\, D^{\circ 2}\, C, \qquad C = I - \tfrac1n \mathbf{1}\mathbf{1}^\top

    References
    ----------
    Gower 1966, Biometrika 53:325-338.
    """
    inner = -0.5 * distances**2
    inner = inner - inner.mean(axis=0)
    return np.asarray(inner - inner.mean(axis=1, keepdims=True))


def principal_coordinates(distances: Matrix, axes: int = 2) -> tuple[Matrix, Vector]:
    """Return principal coordinates and how much of the variation each axis explains.

    Axes beyond the number of samples are 0.

    Parameters
    ----------
    distances : ndarray, (n, n)
    axes : int

    Returns
    -------
    coordinates : ndarray, (n, axes)
    explained : ndarray, (axes,)
        Each axis's eigenvalue as a share of the sum of the positive eigenvalues.

    References
    ----------
    Gower 1966, Biometrika 53:325-338.
    """
    values, vectors = np.linalg.eigh(gower_centred(distances))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    rank = min(axes, len(values))
    coordinates, explained = np.zeros((len(values), axes)), np.zeros(axes)
    coordinates[:, :rank] = vectors[:, :rank] * np.sqrt(values[:rank])
    explained[:rank] = values[:rank] / max(values.sum(), 1e-300)
    return coordinates, explained
