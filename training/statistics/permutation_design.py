"""A factor of groups under permutation, free or restricted to strata, and its pseudo-F test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import orth

from features.arrays import Matrix, Names, Positions, Vector
from training.statistics.permutations import (
    least_permutation_p,
    permutation_p_value,
    row_orders,
    row_orders_within_strata,
)


@dataclass(frozen=True)
class PseudoFTest:
    """Pseudo-F test of a factor by permutation.

    Attributes
    ----------
    f : float
        Pseudo-F, the ratio of mean squares.
    r2 : float
        The factor's share of the total sum of squares.
    p : float
        Share of the permutations whose R² is at least the observed one.
    permutations : int
        Number of permutations, the identity included.
    least_p : float
        The smallest p that the design can give: the share of the permutations that reach the largest R².
    """

    f: float
    r2: float
    p: float
    permutations: int
    least_p: float


@dataclass(frozen=True)
class PermutationDesign:
    """Groups of rows, the permutations that the design allows, and the projections of its linear model.

    Attributes
    ----------
    membership : ndarray, (n_groups, n_rows)
        1 where a row belongs to a group.
    orders : ndarray of int, (n_orders, n_rows)
        Permutations of the rows; the first is the identity.
    residual : ndarray, (n_rows, n_rows)
        Projector onto what the mean, or the means of the strata, leave of the rows.
    basis : ndarray, (n_rows, rank), or None
        Orthonormal basis of the groups after the strata; None without strata, where the groups themselves are one.
    n_strata : int
    """

    membership: Matrix
    orders: Positions
    residual: Matrix
    basis: Matrix | None
    n_strata: int

    @classmethod
    def of_groups(cls, groups: Names, strata: Names | None) -> PermutationDesign:
        """Return the design of groups, (n_rows,), whose rows permute freely or, with strata, (n_rows,), within them."""
        n = len(groups)
        membership = np.equal.outer(np.unique(groups.astype(str)).astype(object), groups).astype(float)
        if strata is None:
            return cls(membership, row_orders(n), np.eye(n) - 1 / n, None, 1)
        stratum = np.unique(strata.astype(str), return_inverse=True)[1]
        residual = np.eye(n) - np.equal.outer(stratum, stratum) / np.bincount(stratum)[stratum]
        basis = orth(residual @ membership.T, 1e-9)
        return cls(membership, row_orders_within_strata(strata), residual, basis, int(stratum.max()) + 1)

    def permuted_memberships(self) -> Iterator[Matrix]:
        """Yield each group's members in every permutation, (n_orders, n_rows)."""
        return (members[self.orders] for members in self.membership)

    def permuted_axes(self) -> Iterator[Matrix]:
        """Yield the unit vectors that the sum of squares among groups projects on, each (n_orders, n_rows)."""
        if self.basis is None:
            return (members / np.sqrt(members.sum(axis=1, keepdims=True)) for members in self.permuted_memberships())
        return (axis[self.orders] for axis in self.basis.T)

    def pseudo_f_test(self, explained: Vector, total: Vector) -> PseudoFTest:
        """Return the test from the explained and total sums of squares, both (n_orders,), data first."""
        df_groups = len(self.membership) - 1 if self.basis is None else self.basis.shape[1]
        df_residual = self.orders.shape[1] - self.n_strata - df_groups
        # R² orders the permutations as F does, and is finite where the residual sum of squares is 0.
        r2 = np.divide(explained, total, out=np.zeros_like(explained), where=total > 0)
        residual = total[0] - explained[0]
        # Rounding leaves a little where the residual sum of squares is 0.
        estimable = df_residual and residual > 1e-12 * total[0]
        f = (explained[0] / df_groups) / (residual / df_residual) if estimable else np.inf
        return PseudoFTest(
            float(f), float(r2[0]), float(permutation_p_value(r2)), len(self.orders), least_permutation_p(r2)
        )
