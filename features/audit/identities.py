"""Checks of identity: one person or stool sample under two names, and donors among patients."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.arrays import Mask, Positions, Vector
from features.audit.findings import Finding, joint_name, new_finding
from features.audit.patients import first_stool_samples
from features.audit.profiles import profile_sums
from features.cohort import Cohort
from features.donor_naming import name_donors_from_stool
from features.donors import donor_samples_given
from features.name_matching import near_misses
from features.profile_similarity import (
    EQUAL,
    FEW_TAXA,
    SAME_PERSON,
    SAME_STOOL,
    outlying_similarity,
    unit_log_abundances,
)

_ACCESSION = re.compile(r"[DES]R[RSX][0-9]{5,}|SAM(N|EA|D)[0-9]{5,}")
_DONOR_NAME = re.compile(r"(?i)(^|[^a-z])donor")

Person = tuple[str, str]
"""A cohort and a patient in it."""


def similar_profiles(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Find profiles of two patients that are one stool sample's, or as similar as one person's; `similar_pairs`."""
    for (code, cohort_names), similarities in _undeclared_pairs(cohorts, similar_pairs(cohorts)).items():
        comparison = "one stool profiled twice" if code == "same-stool" else "one person's at two times"
        subject = "1 pair of patients has" if len(similarities) == 1 else f"{len(similarities)} pairs of patients have"
        highest = max(similarities.values())
        description = f"{subject} stool as similar as {comparison} (similarity up to {highest:.2f} of 1)"
        yield new_finding(code, cohort_names, description, similarities)


def similar_pairs(cohorts: Sequence[Cohort]) -> dict[frozenset[Person], float]:
    """Return the pairs of patients with stool as similar as one person's, and the highest similarity of each pair.

    The similarity of two profiles is the cosine of their log abundances. Equal profiles are always reported. Otherwise
    each patient's first stool sample is compared with all samples of all other patients, and the nearest is reported
    where its similarity exceeds what is usual in the cohort (Fisher's z). Stool after transplants from one donor may
    well be similar, to each other's and to the donor's: it counts only where profiles are equal.
    """
    persons = [(cohort.name, patient) for cohort in cohorts for patient in cohort.samples["patient"]]
    identifiers = {person: i for i, person in enumerate(dict.fromkeys(persons))}
    person = pd.Series(persons).map(identifiers).to_numpy()
    nearest, similarity = _nearest_other_person(log_abundances(cohorts), person, _transplanted_groups(cohorts))
    pairs: dict[frozenset[Person], float] = {}
    for i in np.flatnonzero(_suspect_samples(cohorts, similarity)):
        pair = frozenset((persons[i], persons[nearest[i]]))
        pairs[pair] = max(float(similarity[i]), pairs.get(pair, 0))
    return pairs


def _suspect_samples(cohorts: Sequence[Cohort], similarity: Vector) -> Mask:
    """Return the mask of the samples that are too similar to another person's, (n_samples,)."""
    suspect, start = similarity > EQUAL, 0
    for cohort in cohorts:
        has_few_taxa = (cohort.taxa.values > 0).sum(axis=1) < 2 * FEW_TAXA
        suspect[start : start + len(has_few_taxa)] &= ~has_few_taxa
        baseline = start + first_stool_samples(cohort).index.to_numpy()
        suspect[baseline] |= similarity[baseline] > max(outlying_similarity(similarity[baseline]), SAME_PERSON)
        start += len(has_few_taxa)
    return suspect


def _undeclared_pairs(
    cohorts: Sequence[Cohort], pairs: dict[frozenset[Person], float]
) -> dict[tuple[str, str], dict[str, float]]:
    """Return, by finding code and cohorts, the pairs as text with their similarity; not those of declared twins."""
    twins = {cohort.name: cohort.manifest.same_patients_as for cohort in cohorts}
    groups: dict[tuple[str, str], dict[str, float]] = {}
    for pair, similarity in pairs.items():
        (cohort_a, patient_a), (cohort_b, patient_b) = sorted(pair)
        if cohort_b not in twins[cohort_a] and cohort_a not in twins[cohort_b]:
            code = "same-stool" if similarity >= SAME_STOOL else "alike-patients"
            group = groups.setdefault((code, " + ".join(dict.fromkeys((cohort_a, cohort_b)))), {})
            group[f"{patient_a} and {patient_b} ({similarity:.3f})"] = similarity
    return groups


def log_abundances(cohorts: Sequence[Cohort]) -> NDArray[np.float32]:
    """Return log abundances over the taxa of all cohorts, (n_samples, n_taxa), each row of length 1."""
    names = dict.fromkeys(name for cohort in cohorts for name in cohort.taxa.taxa)
    position = {name: i for i, name in enumerate(names)}
    logs = np.zeros((sum(len(cohort.samples) for cohort in cohorts), len(position)), np.float32)
    start = 0
    for cohort in cohorts:
        proportions = cohort.taxa.values / np.maximum(profile_sums(cohort), 1e-300)[:, None]
        columns = [position[name] for name in cohort.taxa.taxa]
        logs[start : start + len(proportions), columns] = unit_log_abundances(proportions)
        start += len(proportions)
    return logs


def _nearest_other_person(X: NDArray[np.float32], person: Positions, transplanted: Mask) -> tuple[Positions, Vector]:
    """Return each sample's most similar sample of another person, and the similarity; -1 where there is no other.

    Samples that hold stool of one donor, `transplanted` (n_donors, n_samples), are compared only where they are equal.
    """
    donors = transplanted.astype(np.float32)
    nearest, similarity = np.zeros(len(X), np.intp), np.full(len(X), -1.0)
    for start in range(0, len(X), 1024):  # so that 5,000 samples take 20 MB, not 100
        block = slice(start, start + 1024)
        cosine = np.where(person[block, None] == person, -1, X[block] @ X.T)
        if len(donors):
            cosine[(donors[:, block].T @ donors > 0) & (cosine <= EQUAL)] = -1
        nearest[block] = cosine.argmax(axis=1)
        similarity[block] = cosine.max(axis=1)
    return nearest, similarity


def _transplanted_groups(cohorts: Sequence[Cohort]) -> Mask:
    """Return, for each donor, which samples are the donor's or may follow a transplant of it, (n_donors, n_samples)."""
    groups, start, n_samples = [], 0, sum(len(cohort.samples) for cohort in cohorts)
    for cohort in cohorts:
        samples, transplants = cohort.samples, cohort.course.transplants
        first_days = transplants.groupby("patient")["day"].min()
        default_day = 0.0 if cohort.manifest.clock.name == "day_fmt" else np.nan
        day = samples["patient"].map(first_days).fillna(default_day)
        # An undated sample, or one of a patient whose transplant is not dated, may follow it.
        precedes = (samples["day"] <= day).to_numpy()
        recipients: dict[str, set[str]] = {}
        for patient, donors in donor_samples_given(cohort).items():
            for donor in donors:
                recipients.setdefault(donor, set()).add(patient)
        for donor, patients in recipients.items():
            group = np.zeros(n_samples, dtype=bool)
            is_donors = (samples["patient"] == donor).to_numpy()
            is_recipients = samples["patient"].isin(patients).to_numpy() & ~precedes
            group[start : start + len(samples)] = is_donors | is_recipients
            groups.append(group)
        start += len(samples)
    return np.array(groups).reshape(len(groups), n_samples)


def shared_samples(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Find run accessions that are in two cohorts, declared or not."""
    for a, b in combinations(cohorts, 2):
        samples = sorted(set(a.taxa.samples) & set(b.taxa.samples))
        if b.name in a.manifest.same_patients_as or a.name in b.manifest.same_patients_as:
            description = f"both cohorts hold the same patients; {len(samples)} samples have the same name"
            yield new_finding("declared-twins", joint_name((a, b)), description, samples)
        elif accessions := [name for name in samples if _ACCESSION.fullmatch(name)]:
            description = f"{len(accessions)} run accessions are in both cohorts"
            yield new_finding("shared-accession", joint_name((a, b)), description, accessions)


def near_miss_names(cohort: Cohort) -> Iterator[Finding]:
    """Find listed samples and profiles that are probably one under two spellings."""
    if pairs := cohort.near_misses:
        description = (
            f"{len(pairs)} listed samples have no profile, and resemble profiles that are not listed; they are left out"
        )
        yield new_finding("near-miss-names", cohort.name, description, pairs)


def donors_among_patients(cohort: Cohort) -> Iterator[Finding]:
    """Find donors' stool that represents a patient, under the name by which recipients' rows call it or another."""
    recipients = cohort.samples[~cohort.samples["donor"]]
    patients, samples = dict.fromkeys(recipients["patient"]), dict.fromkeys(recipients["sample"])
    donor_names = {name for cell in cohort.samples["donor_sample"] for name in cell.splitlines()} - set(
        cohort.donor_samples["sample"]
    )
    subjects = sorted(set(patients) & set(cohort.donor_samples["patient"]))
    if subjects:
        description = f"{len(subjects)} subjects are donors and patients"
        yield new_finding("donor-is-patient", cohort.name, description, subjects)
    if transplanted := sorted(donor_names & set(samples)):
        description = f"{len(transplanted)} samples were transplanted, and are listed as a patient's own"
        yield new_finding("donor-is-patient", cohort.name, description, transplanted)
    donors = donor_names - set(samples) - set(cohort.donor_samples["patient"])
    named_as_donor = {name for name in patients if _DONOR_NAME.search(name)}
    alike = {patient for _, patient in near_misses(donors, patients)} | (donors & set(patients))
    alike |= named_as_donor if len(named_as_donor) < len(patients) else set()
    if alike := alike - set(subjects):
        description = f"{len(alike)} patients are named as donors are"
        yield new_finding("donor-is-patient", cohort.name, description, sorted(alike))


def donors_named_differently(cohort: Cohort) -> Iterator[Finding]:
    """Find donors whom recipients' rows spell otherwise than their own."""
    if pairs := cohort.donor_near_misses:
        description = f"{len(pairs)} of the donors' names in recipients' rows were taken for another spelling"
        yield new_finding("donor-two-names", cohort.name, description, pairs)


def donor_labels(cohort: Cohort) -> Iterator[Finding]:
    """Find recipients whose stool came near to another donor's than the recorded one, where stool names donors."""
    stool = name_donors_from_stool(cohort)
    if stool is None or not stool.naming.suspect.size:
        return
    naming = stool.naming
    rows = [
        f"{stool.patients[row]}: recorded {stool.donors[recorded]}, by stool {stool.donors[likely]}"
        for row, recorded, likely in zip(
            naming.suspect, naming.recorded[naming.suspect], naming.likely[naming.suspect], strict=True
        )
    ]
    subject = "1 recipient has" if len(rows) == 1 else f"{len(rows)} recipients have"
    description = (
        f"{subject} stool that came near to another donor's than the recorded one's (stool names the recorded donor of "
        f"{naming.n_right} of {len(naming.recorded)} recipients, {naming.by_chance:.1f} by chance, p = {naming.p:.2g})"
    )
    yield new_finding("donor-label", cohort.name, description, rows)
