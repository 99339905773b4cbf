"""PERMANOVA: whether groups of samples differ in location."""

from __future__ import annotations

import numpy as np

from training.statistics.arrays import Matrix, Names
from training.statistics.permutation_design import PermutationDesign, PseudoFTest


def permanova(distances: Matrix, groups: Names, *, within: Names | None = None, seed: int = 0) -> PseudoFTest:
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
    design = PermutationDesign.of(groups, within, seed)
    inner = design.rest @ distances**2 @ design.rest / -2
    among = np.zeros(len(design.order))
    for column in design.columns():
        among += ((column @ inner) * column).sum(axis=1)
    return design.tested(among, np.full(len(among), np.trace(inner)))
