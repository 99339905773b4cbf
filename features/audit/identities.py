"""Checks of who is who: one person or stool under two names, and donors among patients."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.audit.findings import Finding, finding, joined
from features.audit.profiles import FEW_TAXA, robust_z, totals
from features.audit.rows import first_stool
from features.cohort import Cohort

EQUAL, SAME_STOOL, ALIKE = 0.9995, 0.98, 0.8
"""Likenesses (cosines of log abundance) from which two profiles are equal, one stool's, or one person's. By species,
one person's stools have medians of 0.82 and 0.88 and at most 0.97 in the two public cohorts that repeat them; two
persons' at most 0.72 in all of them, but for the pairs that stand out."""
UNSEEN = 1e-5
"""Proportion below which a taxon counts as hardly found: log abundance is log(1 + proportion / UNSEEN)."""
STANDS_OUT = 8.0
"""Robust SDs by which a likeness exceeds what is usual in its cohort."""
LEAST_PATIENTS = 10
"""Patients from which what is usual in a cohort can be told."""
_ACCESSION = re.compile(r"[DES]R[RSX][0-9]{5,}|SAM(N|EA|D)[0-9]{5,}")


def similar_profiles(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Profiles of two persons that are one stool's, or as alike as one person's stools.

    Profiles are compared by the cosine of their log abundances. Equal ones are always found. Of others,
    each patient's first stool is compared with all stool of everybody else, and reported where the nearest stands out
    from what is usual in its cohort (Fisher's z): later stool of those who share a donor may well be alike.
    """
    people = [(cohort.name, patient) for cohort in cohorts for patient in cohort.samples["patient"]]
    person = pd.Series(people).map({one: at for at, one in enumerate(dict.fromkeys(people))}).to_numpy()
    nearest, likeness = _nearest_stranger(_log_abundances(cohorts), person)
    suspect, start = likeness > EQUAL, 0
    for cohort in cohorts:
        few = (cohort.taxa.values > 0).sum(axis=1) < 2 * FEW_TAXA
        suspect[start : start + len(few)] &= ~few
        first = start + first_stool(cohort).index.to_numpy()
        if len(first) >= LEAST_PATIENTS:
            z = robust_z(np.arctanh(np.minimum(likeness[first], EQUAL)))
            suspect[first] |= (z > STANDS_OUT) & (likeness[first] > ALIKE)
        start += len(few)
    pairs: dict[frozenset[tuple[str, str]], float] = {}
    for at in np.flatnonzero(suspect):
        pair = frozenset((people[at], people[nearest[at]]))
        pairs[pair] = max(float(likeness[at]), pairs.get(pair, 0))
    declared = {cohort.name: cohort.manifest.same_patients_as for cohort in cohorts}
    found: dict[tuple[str, str], dict[str, float]] = {}
    for pair, r in pairs.items():
        (a, one), (b, other) = sorted(pair)
        if b not in declared[a] and a not in declared[b]:
            key = ("same-stool" if r >= SAME_STOOL else "alike-patients", " + ".join(dict.fromkeys((a, b))))
            found.setdefault(key, {})[f"{one} and {other} ({r:.3f})"] = r
    for (code, name), alike in found.items():
        whose = "one stool profiled twice" if code == "same-stool" else "one person's at two times"
        pairs_of = "1 pair of patients has" if len(alike) == 1 else f"{len(alike)} pairs of patients have"
        what = f"{pairs_of} stool as alike as {whose} (likeness up to {max(alike.values()):.2f} of 1)"
        yield finding(code, name, what, alike)


def _log_abundances(cohorts: Sequence[Cohort]) -> NDArray[np.float32]:
    """Return log abundances over all cohorts' taxa, (n_samples, n_taxa), each row of length 1."""
    taxa = {taxon: at for at, taxon in enumerate(dict.fromkeys(t for cohort in cohorts for t in cohort.taxa.taxa))}
    logs = np.zeros((sum(len(cohort.samples) for cohort in cohorts), len(taxa)), np.float32)
    start = 0
    for cohort in cohorts:
        shares = cohort.taxa.values / np.maximum(totals(cohort), 1e-300)[:, None]
        logs[start : start + len(shares), [taxa[taxon] for taxon in cohort.taxa.taxa]] = np.log1p(shares / UNSEEN)
        start += len(shares)
    return np.asarray(logs / np.maximum(np.linalg.norm(logs, axis=1, keepdims=True), 1e-30))


def _nearest_stranger(X: NDArray[np.float32], person: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return each sample's most alike sample of another person, and the likeness; -1 where there is nobody else."""
    nearest, likeness = np.zeros(len(X), np.intp), np.full(len(X), -1.0)
    for start in range(0, len(X), 1024):  # so that 5,000 samples take 20 MB, not 100
        block = slice(start, start + 1024)
        r = np.where(person[block, None] == person, -1, X[block] @ X.T)
        nearest[block] = r.argmax(axis=1)
        likeness[block] = r.max(axis=1)
    return nearest, likeness


def shared_samples(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Run accessions that stand in two cohorts, declared or not."""
    for a, b in combinations(cohorts, 2):
        shared = sorted(set(a.taxa.samples) & set(b.taxa.samples))
        if b.name in a.manifest.same_patients_as or a.name in b.manifest.same_patients_as:
            what = f"the two hold the same patients; {len(shared)} samples have the same name"
            yield finding("declared-twins", joined((a, b)), what, shared)
        elif shared := [name for name in shared if _ACCESSION.fullmatch(name)]:
            what = f"{len(shared)} run accessions stand in both"
            yield finding("shared-accession", joined((a, b)), what, shared)


def donors(cohort: Cohort) -> Iterator[Finding]:
    """Donors' stool that stands for a patient."""
    mine = cohort.samples[~cohort.samples["donor"]]
    both = sorted(set(mine["patient"]) & set(cohort.donors["patient"]))
    if both:
        yield finding("donor-is-patient", cohort.name, f"{len(both)} subjects are donors and patients", both)
    given = sorted(set(cohort.samples["donor_sample"]) & set(mine["sample"]))
    if given:
        what = f"{len(given)} samples were given to patients, and are listed as a patient's own"
        yield finding("donor-is-patient", cohort.name, what, given)
