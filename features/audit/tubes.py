"""Check of tubes: stool that resembles another person's and not that of the person whose name it bears."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from features.arrays import Mask, Positions, Vector
from features.audit.findings import Finding, new_finding
from features.audit.identities import log_abundances
from features.audit.profiles import robust_z
from features.cohort import Cohort
from features.donors import donor_samples_given
from features.profile_similarity import EQUAL, MIN_PATIENTS, SAME_PERSON

MIN_LOSS = 0.1
"""How much less similar a sample is to its own person's nearest sample than to another person's, at least."""
OUTLYING_LOSS = 3.0
"""Robust SDs above the usual loss of a cohort, on Fisher's scale, from which a sample is reported. With two tubes of
davar_2021 or mitox swapped at random, all of 112 swaps are found; as published, they hold at most one such sample."""
_RANKS = ("species", "strain")
"""Ranks at which profiles tell persons apart; by genus, the stools of two persons reach 0.92."""


class _Nearest(NamedTuple):
    """Each sample's similarity to the nearest other sample of its person and of any other; -1 where there is none."""

    same_person: Vector
    other_person: Vector
    other_position: Positions


def swapped_tubes(cohort: Cohort) -> Iterator[Finding]:
    """Find samples that resemble another person's stool far more than any other of their own person's.

    Persons whose stool was transplanted into one another, or who share a donor, are not compared.
    """
    if cohort.manifest.taxa.rank not in _RANKS:
        return
    samples = cohort.samples
    nearest = _nearest_samples(cohort)
    # A transplant changes stool at once, so that of two samples, before and after it, neither shows whose the other is.
    n_compared = 2 if cohort.donor_samples.empty and cohort.course.transplants.empty else 3
    is_repeated = samples.groupby("patient")["sample"].transform("size").to_numpy() >= n_compared
    repeated = np.flatnonzero(is_repeated & (nearest.same_person >= 0) & (nearest.other_person >= 0))
    if samples["patient"].iloc[repeated].nunique() < MIN_PATIENTS:
        return
    same_person, other_person = nearest.same_person[repeated], nearest.other_person[repeated]
    loss = np.arctanh(np.minimum(other_person, EQUAL)) - np.arctanh(np.minimum(same_person, EQUAL))
    is_swapped = (
        (same_person < SAME_PERSON)
        & (other_person > SAME_PERSON)
        & (other_person - same_person > MIN_LOSS)
        & (robust_z(loss) > OUTLYING_LOSS)
    )
    rows = []
    for i in repeated[is_swapped]:
        sample, resembled = samples.iloc[i], samples.iloc[nearest.other_position[i]]
        similarities = f"{nearest.other_person[i]:.3f}; {nearest.same_person[i]:.3f} to its own"
        rows.append(
            f"{sample['sample']} of {sample['patient']} and {resembled['sample']} of {resembled['patient']} "
            f"({similarities})"
        )
    if rows:
        subject = "1 sample resembles" if len(rows) == 1 else f"{len(rows)} samples resemble"
        description = f"{subject} another person's stool, and not the other stool of the person it is listed under"
        yield new_finding("swapped-tube", cohort.name, description, rows)


def _nearest_samples(cohort: Cohort) -> _Nearest:
    person, persons = pd.factorize(cohort.samples["patient"])
    X, related = log_abundances([cohort]), _related_persons(cohort, persons)
    n = len(X)
    nearest = _Nearest(np.full(n, -1.0), np.full(n, -1.0), np.zeros(n, np.intp))
    for start in range(0, n, 1024):
        rows = np.arange(start, min(start + 1024, n))
        cosine = X[rows] @ X.T
        cosine[np.arange(len(rows)), rows] = -1
        is_same = person[rows, None] == person
        nearest.same_person[rows] = np.where(is_same, cosine, -1).max(axis=1)
        foreign = np.where(is_same | related[person[rows]][:, person], -1, cosine)
        nearest.other_person[rows] = foreign.max(axis=1)
        nearest.other_position[rows] = foreign.argmax(axis=1)
    return nearest


def _related_persons(cohort: Cohort, persons: pd.Index[str]) -> Mask:
    """Return which persons gave stool to one another or share a donor, (n_persons, n_persons)."""
    received = np.zeros((len(persons), len(persons)), dtype=bool)
    for patient, donors in donor_samples_given(cohort).items():
        positions = persons.get_indexer(pd.Index([patient, *donors]))
        received[positions[0], positions[1:][positions[1:] >= 0]] = True
    return np.asarray(received | received.T | (received.astype(int) @ received.T.astype(int) > 0))
