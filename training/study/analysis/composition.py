"""Proportions of the most abundant taxa in each stool sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Matrix, Vector
from features.cohort import Cohort
from training.study.analysis.genera import ProfileRank, genus_profiles
from training.study.analysis.stool import StoolSeries, by_code

N_TAXA = 12
"""Taxa that the composition names."""


@dataclass(frozen=True)
class Composition:
    """Proportions of the most abundant taxa, patients in the order of their codes and of time, donors last.

    Attributes
    ----------
    subjects : tuple of str
        Code of each sample's subject.
    times : ndarray, (n_samples,)
        Days, or numbers of visits.
    taxa : tuple of str
        The most abundant first.
    proportions : ndarray, (n_samples, n_taxa)
    remainder : ndarray, (n_samples,)
        Proportion of all other taxa.
    rank : str
        "genera" or "taxa".
    dated : bool
    has_donors : bool
    """

    subjects: tuple[str, ...]
    times: Vector
    taxa: tuple[str, ...]
    proportions: Matrix
    remainder: Vector
    rank: ProfileRank
    dated: bool
    has_donors: bool


def composition(stool: StoolSeries, cohort: Cohort) -> Composition:
    """Return the proportions of the `N_TAXA` genera, or taxa as read, that are the most abundant on average."""
    profiles = genus_profiles(cohort, stool.proportions)
    abundant = np.argsort(-profiles.proportions.mean(axis=0), kind="stable")[:N_TAXA]
    samples = [*by_code(stool.recipients).index, *by_code(stool.donors).index]
    proportions = profiles.proportions[np.ix_(stool.rows(samples), abundant)]
    return Composition(
        subjects=tuple(stool.samples["code"].loc[samples]),
        times=stool.samples["time"].loc[samples].to_numpy(),
        taxa=tuple(profiles.taxa[index] for index in abundant),
        proportions=proportions,
        remainder=np.maximum(1 - proportions.sum(axis=1), 0),
        rank=profiles.rank,
        dated=stool.dated,
        has_donors=not stool.donors.empty,
    )
