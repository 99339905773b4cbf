"""Distances between stool profiles."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist, squareform

from features.transforms import CLR, PrevalenceFilter, ZeroReplacement
from training.statistics.arrays import Matrix, Positions

PREVALENCE = 0.1


def bray_curtis(proportions: Matrix) -> Matrix:
    """Return Bray-Curtis dissimilarities, 0 to 1, (n_samples, n_samples), of rows that sum to 1."""
    return np.asarray(squareform(pdist(proportions, "braycurtis")))


def log_ratios(proportions: Matrix, min_prevalence: float = PREVALENCE) -> tuple[Matrix, Positions]:
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
