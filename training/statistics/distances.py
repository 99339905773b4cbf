"""Distances between stool profiles: Bray-Curtis and Aitchison."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist, squareform

from features.arrays import Matrix, Positions
from features.transforms import CLR, PrevalenceFilter, ZeroReplacement

MIN_PREVALENCE = 0.1
"""Share of the samples in which a taxon must be present to enter log-ratios."""


def bray_curtis(proportions: Matrix) -> Matrix:
    """Return Bray-Curtis dissimilarities, 0 to 1, (n_samples, n_samples), of rows that sum to 1."""
    return np.asarray(squareform(pdist(proportions, "braycurtis")))


def log_ratios(proportions: Matrix, min_prevalence: float = MIN_PREVALENCE) -> tuple[Matrix, Positions]:
    """Return centred log-ratios of the prevalent taxa.

    Zeros are replaced by half of the smallest positive proportion.

    Parameters
    ----------
    proportions : ndarray, (n_samples, n_taxa)
    min_prevalence : float
        Share of the samples in which a taxon must be present.

    Returns
    -------
    log_ratios : ndarray, (n_samples, n_prevalent)
    positions : ndarray of int, (n_prevalent,)
        Columns of the prevalent taxa.

    References
    ----------
    Aitchison 1982, Journal of the Royal Statistical Society B 44:139-177; Martín-Fernández, Barceló-Vidal and
    Pawlowsky-Glahn 2003, Mathematical Geology 35:253-278, for the zeros.
    """
    prevalent = PrevalenceFilter(min_prevalence).fit(proportions)
    closed = ZeroReplacement().fit_transform(prevalent.transform(proportions))
    return CLR().fit_transform(closed), prevalent.kept_


def aitchison(proportions: Matrix, min_prevalence: float = MIN_PREVALENCE) -> Matrix:
    """Return Aitchison distances, (n_samples, n_samples): Euclidean distances between `log_ratios`."""
    return np.asarray(squareform(pdist(log_ratios(proportions, min_prevalence)[0])))
