"""Profiles at the rank of genus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.arrays import Matrix
from features.cohort import Cohort
from features.transforms import GenusSums

ProfileRank = Literal["genera", "taxa"]
"""Rank of profiles: genera, or taxa as read."""


@dataclass(frozen=True)
class GenusProfiles:
    """Profiles summed to genera, or as read where the taxa are coarser or of no known rank.

    Attributes
    ----------
    proportions : ndarray, (n_samples, n_taxa)
    taxa : tuple of str
    rank : str
    """

    proportions: Matrix
    taxa: tuple[str, ...]
    rank: ProfileRank


def genus_profiles(cohort: Cohort, proportions: Matrix) -> GenusProfiles:
    """Return proportions, (n_samples, n_taxa) of the cohort's taxa, summed to genera where the taxa are finer."""
    rank, names = cohort.manifest.taxa.rank, list(cohort.taxa.taxa)
    if rank in ("species", "strain"):
        sums = GenusSums(names)
        proportions, names = sums.fit_transform(proportions), sums.names_out(names)
    return GenusProfiles(proportions, tuple(names), "genera" if rank in ("species", "strain", "genus") else "taxa")
