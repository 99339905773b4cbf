"""PERMDISP: whether groups of samples differ in dispersion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import f as f_distribution

from features.arrays import Matrix, Names, Vector
from training.statistics.pcoa import gower_centred
from training.statistics.permutation_design import PermutationDesign


@dataclass(frozen=True)
class Permdisp:
    """Test of equal dispersion: F and p, both NaN where no group has more than two rows."""

    f: float
    p: float


def permdisp(distances: Matrix, groups: Names, *, strata: Names | None = None) -> Permdisp:
    r"""Test whether groups differ in dispersion, by analysis of variance of `centroid_distances`.

    Two rows lie equally far from their centroid, so that groups of one or two rows carry no information; where there
    are no others, F and p are NaN.

    Parameters
    ----------
    distances, groups, strata
        As `training.statistics.permanova.permanova` takes them.

    See Also
    --------
    training.statistics.permanova.permanova : whether groups differ in location.

    Notes
    -----
    Without strata, F has its parametric distribution. Rows of one group share a centroid, so their distances to it
    correlate, by :math:`1 / (n - 1)^2` in a group of :math:`n`. An analysis that takes them as independent rejects in
    11 to 15% of null trials of three groups of three or four rows; the generalised least-squares weights of the group
    means and of the variance within groups correct this.

    With strata, rows permute within strata, and centroids are computed anew in each permutation. The group centroids
    are first moved onto one another, so that a difference in location does not count as one in dispersion.

    References
    ----------
    Anderson 2006, Biometrics 62:245-253, for the distances; O'Neill and Mathews 2000, Australian & New Zealand Journal
    of Statistics 42:81-100, for their correlation, which does not depend on the dimension of normal rows.
    """
    if strata is not None:
        return _permdisp_within_strata(distances, groups, strata)
    distance = centroid_distances(distances, groups)
    group = np.unique(groups.astype(str), return_inverse=True)[1]
    n = np.bincount(group)
    mean, weight = np.bincount(group, distance) / n, n - 1
    df_groups, df_residual = len(n) - 1, float((n * (n - 2) / np.maximum(weight, 1)).clip(0).sum())
    if not df_residual:
        return Permdisp(np.nan, np.nan)
    explained = float(weight @ (mean - weight @ mean / weight.sum()) ** 2) / df_groups
    residual = float(((distance - mean[group]) ** 2).sum()) / df_residual
    f = explained / residual if residual > 0 else np.inf
    return Permdisp(f, float(f_distribution.sf(f, df_groups, df_residual)))


def centroid_distances(distances: Matrix, groups: Names) -> Vector:
    r"""Return each row's distance to its group's centroid, (n,).

    Squared distances along imaginary axes, which non-Euclidean distances have, are subtracted, as in R's betadisper.
    A centroid lies nearer to the rows that it is computed from; the factor :math:`\sqrt{n / (n - 1)}` corrects that.

    References
    ----------
    Stier et al. 2013, Ecology 94:150-157, for the correction.
    """
    distance = np.zeros(len(groups))
    for name in dict.fromkeys(groups.tolist()):
        rows = np.flatnonzero(groups == name)
        inner = gower_centred(distances[np.ix_(rows, rows)])
        distance[rows] = np.sqrt(np.abs(np.diag(inner)) * len(rows) / max(len(rows) - 1, 1))
    return distance


def _permdisp_within_strata(distances: Matrix, groups: Names, strata: Names) -> Permdisp:
    design = PermutationDesign.of_groups(groups, strata)
    size = design.membership.sum(axis=1, keepdims=True)
    align = np.eye(len(groups)) - design.membership.T @ (design.membership / size)
    inner = align @ gower_centred(distances) @ align
    distance = np.zeros((len(design.orders), len(groups)))
    for members in design.permuted_memberships():
        n = members.sum(axis=1, keepdims=True)
        sums = members @ inner
        square = np.diag(inner) - 2 * sums / n + (sums * members).sum(axis=1, keepdims=True) / n**2
        distance += members * np.sqrt(np.abs(square) * n / np.maximum(n - 1, 1))
    residual = distance @ design.residual
    sum_of_squares = np.zeros(len(residual))
    for axes in design.permuted_axes():
        sum_of_squares += (residual * axes).sum(axis=1) ** 2
    test = design.pseudo_f_test(sum_of_squares, (residual**2).sum(axis=1))
    return Permdisp(test.f, test.p)
