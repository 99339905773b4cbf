"""Distances between stool profiles, principal coordinates, and tests of groups under restricted permutation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orth
from scipy.spatial.distance import pdist, squareform
from scipy.stats import f as f_distribution

from features.transforms import CLR, PrevalenceFilter, ZeroReplacement
from training.statistics.permutations import orders, orders_within, p_value

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
Names = NDArray[np.object_]

PREVALENCE = 0.1


@dataclass(frozen=True)
class GroupTest:
    """What groups explain of distances.

    Attributes
    ----------
    f, r2, p : float
        Pseudo-F, the share of the sum of squares, and the share of permutations that reach as far.
    permutations : int
        How many there were, the data as they stand among them.
    least_p : float
        The least p that the design allows: the share of permutations that reach as far as the farthest.
    """

    f: float
    r2: float
    p: float
    permutations: int
    least_p: float


@dataclass(frozen=True)
class Dispersion:
    """How groups differ in spread: F and p."""

    f: float
    p: float


def bray_curtis(proportions: Matrix) -> Matrix:
    """Return Bray-Curtis dissimilarities, 0 to 1, (n_samples, n_samples), of rows that sum to 1."""
    return np.asarray(squareform(pdist(proportions, "braycurtis")))


def log_ratios(proportions: Matrix, min_prevalence: float = PREVALENCE) -> tuple[Matrix, NDArray[np.intp]]:
    """Return centred log-ratios of the taxa found in at least a share of the samples, and those taxa's positions.

    Zeros are replaced by half the smallest proportion found.

    References
    ----------
    Aitchison 1982, Journal of the Royal Statistical Society B 44:139-177; Martín-Fernández, Barceló-Vidal and
    Pawlowsky-Glahn 2003, Mathematical Geology 35:253-278.
    """
    kept = PrevalenceFilter(min_prevalence).fit(proportions)
    closed = ZeroReplacement().fit_transform(kept.transform(proportions))
    return CLR().fit_transform(closed), kept.kept_


def aitchison(proportions: Matrix, min_prevalence: float = PREVALENCE) -> Matrix:
    """Return Aitchison distances, (n_samples, n_samples): Euclidean between `log_ratios`."""
    return np.asarray(squareform(pdist(log_ratios(proportions, min_prevalence)[0])))


def gower(distances: Matrix) -> Matrix:
    """Return the centred inner products of distances, (n, n); Gower 1966, Biometrika 53:325-338."""
    inner = -0.5 * distances**2
    inner = inner - inner.mean(axis=0)
    return np.asarray(inner - inner.mean(axis=1, keepdims=True))


def principal_coordinates(distances: Matrix, axes: int = 2) -> tuple[Matrix, Vector]:
    """Return principal coordinates, (n, axes), and the share that each axis has of the positive eigenvalues' sum."""
    values, vectors = np.linalg.eigh(gower(distances))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    coordinates = np.zeros((len(values), axes))
    held = min(axes, len(values))
    coordinates[:, :held] = vectors[:, :held] * np.sqrt(values[:held])
    share = np.zeros(axes)
    share[:held] = values[:held] / max(values.sum(), 1e-300)
    return coordinates, share


def permanova(distances: Matrix, groups: Names, *, within: Names | None = None, seed: int = 0) -> GroupTest:
    """Test whether groups differ in location, by permutations that keep the design.

    Parameters
    ----------
    distances : ndarray, (n, n)
    groups : ndarray of str, (n,)
    within : ndarray of str, (n,), optional
        Blocks, such as patients: they enter the model first, and permutation stays within them. F and R² are then of
        what the blocks leave.
    seed : int

    References
    ----------
    Anderson 2001, Austral Ecology 26:32-46; Anderson and ter Braak 2003, Journal of Statistical Computation and
    Simulation 73:85-113, for what may be exchanged.
    """
    design = _Design.of(groups, within, seed)
    inner = design.rest @ distances**2 @ design.rest / -2
    among = np.zeros(len(design.order))
    for column in design.columns():
        among += ((column @ inner) * column).sum(axis=1)
    return design.tested(among, np.full(len(among), np.trace(inner)))


def dispersion(distances: Matrix, groups: Names, *, within: Names | None = None, seed: int = 0) -> Dispersion:
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
        return Dispersion(np.nan, np.nan)
    apart = float(weight @ (mean - weight @ mean / weight.sum()) ** 2) / df
    inside = float(((found - mean[of]) ** 2).sum()) / left
    f = apart / inside if inside > 0 else np.inf
    return Dispersion(f, float(f_distribution.sf(f, df, left)))


def _dispersion_within(distances: Matrix, groups: Names, within: Names, seed: int) -> Dispersion:
    design, inner = _Design.of(groups, within, seed), gower(distances)
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
    return Dispersion(found.f, found.p)


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
        inner = gower(distances[np.ix_(mine, mine)])
        found[mine] = np.sqrt(np.abs(np.diag(inner)) * len(mine) / max(len(mine) - 1, 1))
    return found


@dataclass(frozen=True)
class _Design:
    """Groups under restricted permutation, and what is left of rows when the mean or the blocks are taken out."""

    levels: Names
    member: Matrix
    """Each level's rows, (n_levels, n_rows)."""
    order: NDArray[np.intp]
    rest: Matrix
    """Projector, (n_rows, n_rows)."""
    basis: Matrix | None
    """Of the groups where the blocks are in the model, (n_rows, rank)."""
    blocks: int

    @classmethod
    def of(cls, groups: Names, within: Names | None, seed: int) -> _Design:
        n = len(groups)
        levels = np.unique(groups.astype(str)).astype(object)
        member = np.equal.outer(levels, groups).astype(float)
        if within is None:
            return cls(levels, member, orders(n, seed=seed), np.eye(n) - 1 / n, None, 1)
        block = np.unique(within.astype(str), return_inverse=True)[1]
        rest = np.eye(n) - np.equal.outer(block, block) / np.bincount(block)[block]
        return cls(
            levels, member, orders_within(within, seed=seed), rest, orth(rest @ member.T, 1e-9), int(block.max()) + 1
        )

    def members(self) -> Iterator[Matrix]:
        """Yield which rows are a level's in each permutation, (n_orders, n_rows), level by level."""
        return (one[self.order] for one in self.member)

    def columns(self) -> Iterator[Matrix]:
        """Yield what a sum of squares among groups projects on, each (n_orders, n_rows)."""
        if self.basis is None:
            return (one / np.sqrt(one.sum(axis=1, keepdims=True)) for one in self.members())
        return (column[self.order] for column in self.basis.T)

    def tested(self, among: Vector, total: Vector) -> GroupTest:
        rank = len(self.levels) - 1 if self.basis is None else self.basis.shape[1]
        free = self.order.shape[1] - self.blocks - rank
        # The share rises with F, and is finite where nothing is left.
        share = np.divide(among, total, out=np.zeros_like(among), where=total > 0)
        left = total[0] - among[0]
        # Where nothing is left, rounding leaves something.
        f = (among[0] / rank) / (left / free) if free and left > 1e-12 * total[0] else np.inf
        least = float((share >= share.max() * (1 - 1e-9)).mean())
        return GroupTest(float(f), float(share[0]), float(p_value(share)), len(self.order), least)
