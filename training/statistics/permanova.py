"""PERMANOVA: whether groups of samples differ in location."""

from __future__ import annotations

import numpy as np

from features.arrays import Matrix, Names
from training.statistics.permutation_design import PermutationDesign, PseudoFTest


def permanova(distances: Matrix, groups: Names, *, strata: Names | None = None) -> PseudoFTest:
    """Test whether groups differ in location, by permutations that respect the design.

    Parameters
    ----------
    distances : ndarray, (n, n)
    groups : ndarray of str, (n,)
    strata : ndarray of str, (n,), optional
        Strata, such as patients. They enter the model first and rows permute only within them; F and R² then refer to
        the variation within strata.

    See Also
    --------
    training.statistics.permdisp.permdisp : whether groups differ in dispersion.

    References
    ----------
    Anderson 2001, Austral Ecology 26:32-46; Anderson and ter Braak 2003, Journal of Statistical Computation and
    Simulation 73:85-113, for the exchangeable units.
    """
    design = PermutationDesign.of_groups(groups, strata)
    inner = design.residual @ distances**2 @ design.residual / -2
    sum_of_squares = np.zeros(len(design.orders))
    for axes in design.permuted_axes():
        sum_of_squares += ((axes @ inner) * axes).sum(axis=1)
    return design.pseudo_f_test(sum_of_squares, np.full(len(sum_of_squares), np.trace(inner)))
