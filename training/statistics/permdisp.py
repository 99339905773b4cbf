"""PERMDISP: whether groups of samples differ in dispersion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import f as f_distribution

from training.statistics.arrays import Matrix, Names, Vector
from training.statistics.pcoa import gower_centred
from training.statistics.permutation_design import PermutationDesign


@dataclass(frozen=True)
class Permdisp:
    """How groups differ in spread: F and p."""

    f: float
    p: float


def permdisp(distances: Matrix, groups: Names, *, within: Names | None = None, seed: int = 0) -> Permdisp:
    """Test whether groups differ in spread: an analysis of variance of `centroid_distances`.

    Rows of one group share a centroid, so that their distances to it are correlated, by 1 / (n - 1)² of n rows: as if
    they were independent, three groups of three or four differ in 11 to 15% of null trials. Groups are weighted, and
    their variance within is enlarged, for that; F then has its distribution.

    Within blocks, which stand in the model, the rows are permuted, with centroids of each permutation's own. The
    groups' centroids are laid upon one another first, so that a difference in location is none in spread.

    Parameters
    ----------
    distances, groups, within, seed
        As of `permanova`.

    Returns
    -------
    Dispersion
        NaN where no group has more than two rows, which lie equally far from their centroid.

    References
    ----------
    Anderson 2006, Biometrics 62:245-253, for the distances; O'Neill and Mathews 2000, Australian & New Zealand Journal
    of Statistics 42:81-100, for their correlation, which in normal rows of any dimension is that of one.
    """
    if within is not None:
        return _dispersion_within(distances, groups, within, seed)
    found, of = centroid_distances(distances, groups), np.unique(groups.astype(str), return_inverse=True)[1]
    size = np.bincount(of)
    mean, weight = np.bincount(of, found) / size, size - 1
    df, left = len(size) - 1, float((size * (size - 2) / np.maximum(weight, 1)).clip(0).sum())
    if not left:
        return Permdisp(np.nan, np.nan)
    apart = float(weight @ (mean - weight @ mean / weight.sum()) ** 2) / df
    inside = float(((found - mean[of]) ** 2).sum()) / left
    f = apart / inside if inside > 0 else np.inf
    return Permdisp(f, float(f_distribution.sf(f, df, left)))


def _dispersion_within(distances: Matrix, groups: Names, within: Names, seed: int) -> Permdisp:
    design, inner = PermutationDesign.of(groups, within, seed), gower_centred(distances)
    aligned = np.eye(len(groups)) - design.member.T @ (design.member / design.member.sum(axis=1, keepdims=True))
    inner = aligned @ inner @ aligned
    spread = np.zeros((len(design.order), len(groups)))
    for one in design.members():
        size = one.sum(axis=1, keepdims=True)
        to = one @ inner
        square = np.diag(inner) - 2 * to / size + (to * one).sum(axis=1, keepdims=True) / size**2
        spread += one * np.sqrt(np.abs(square) * size / np.maximum(size - 1, 1))
    left = spread @ design.rest
    among = np.zeros(len(left))
    for column in design.columns():
        among += (left * column).sum(axis=1) ** 2
    found = design.tested(among, (left**2).sum(axis=1))
    return Permdisp(found.f, found.p)


def centroid_distances(distances: Matrix, groups: Names) -> Vector:
    """Return each row's distance to its group's centroid, (n,).

    What distances that are not Euclidean have on imaginary axes counts against it, as in R's betadisper. A centroid
    lies nearer to the rows that it is made of, by ``sqrt((n - 1) / n)``, which is undone.

    References
    ----------
    Stier et al. 2013, Ecology 94:150-157, for the correction.
    """
    found = np.zeros(len(groups))
    for name in dict.fromkeys(groups.tolist()):
        mine = np.flatnonzero(groups == name)
        inner = gower_centred(distances[np.ix_(mine, mine)])
        found[mine] = np.sqrt(np.abs(np.diag(inner)) * len(mine) / max(len(mine) - 1, 1))
    return found
