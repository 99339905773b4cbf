"""Groups of rows under permutation restricted to blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import orth

from training.statistics.arrays import Matrix, Names, Positions, Vector
from training.statistics.permutations import permutation_p_value, row_orders, row_orders_within_blocks


@dataclass(frozen=True)
class PseudoFTest:
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
class PermutationDesign:
    """Groups under restricted permutation, and what is left of rows when the mean or the blocks are taken out."""

    levels: Names
    member: Matrix
    """Each level's rows, (n_levels, n_rows)."""
    order: Positions
    rest: Matrix
    """Projector, (n_rows, n_rows)."""
    basis: Matrix | None
    """Of the groups where the blocks are in the model, (n_rows, rank)."""
    blocks: int

    @classmethod
    def of(cls, groups: Names, within: Names | None, seed: int) -> PermutationDesign:
        """Return the design of groups, permuted freely or within blocks."""
        n = len(groups)
        levels = np.unique(groups.astype(str)).astype(object)
        member = np.equal.outer(levels, groups).astype(float)
        if within is None:
            return cls(levels, member, row_orders(n, seed=seed), np.eye(n) - 1 / n, None, 1)
        block = np.unique(within.astype(str), return_inverse=True)[1]
        rest = np.eye(n) - np.equal.outer(block, block) / np.bincount(block)[block]
        return cls(
            levels,
            member,
            row_orders_within_blocks(within, seed=seed),
            rest,
            orth(rest @ member.T, 1e-9),
            int(block.max()) + 1,
        )

    def members(self) -> Iterator[Matrix]:
        """Yield which rows are a level's in each permutation, (n_orders, n_rows), level by level."""
        return (one[self.order] for one in self.member)

    def columns(self) -> Iterator[Matrix]:
        """Yield what a sum of squares among groups projects on, each (n_orders, n_rows)."""
        if self.basis is None:
            return (one / np.sqrt(one.sum(axis=1, keepdims=True)) for one in self.members())
        return (column[self.order] for column in self.basis.T)

    def tested(self, among: Vector, total: Vector) -> PseudoFTest:
        """Return the pseudo-F test from sums of squares in each permutation, (n_orders,), data first."""
        rank = len(self.levels) - 1 if self.basis is None else self.basis.shape[1]
        free = self.order.shape[1] - self.blocks - rank
        # The share rises with F, and is finite where nothing is left.
        share = np.divide(among, total, out=np.zeros_like(among), where=total > 0)
        left = total[0] - among[0]
        # Where nothing is left, rounding leaves something.
        f = (among[0] / rank) / (left / free) if free and left > 1e-12 * total[0] else np.inf
        least = float((share >= share.max() * (1 - 1e-9)).mean())
        return PseudoFTest(float(f), float(share[0]), float(permutation_p_value(share)), len(self.order), least)
