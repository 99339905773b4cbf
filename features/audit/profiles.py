"""Checks of profiles: units, sums, nearly empty samples, reads, and names of taxa."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np

from features.arrays import Vector
from features.audit.findings import Finding, joint_name, new_finding
from features.cohort import Cohort
from features.profile_similarity import FEW_TAXA
from features.transforms import genus_of

OUTLYING_DEPTH = 5.0
"""Robust SDs of log reads beyond which a sample is an outlier."""
MIN_READS = 1000
"""Reads below which a sample is too shallow, whatever the depth of the others."""
LOG_RANGE, MIN_AMOUNTS = 10, 50
"""The ratio of the largest amount to the smallest, of so many, below which they may be logarithms; published profiles
span a factor of 10,000 and more."""

# GTDB splits genera and species by a suffix: Blautia_A obeum, Faecalibacterium prausnitzii_C.
_SUFFIX = re.compile(r"(?<=[a-z]{3})(?<!_clade)_[A-Z]{1,2}(?=_[a-z]|$)")


def profile_units(cohort: Cohort) -> Iterator[Finding]:
    """Find samples in another unit, sums below the total, rarefied counts, and taxa that are sums of other taxa."""
    unit, sums, samples = cohort.taxa.unit, profile_sums(cohort), np.asarray(cohort.taxa.samples)
    total = {"percent": 100.0, "proportions": 1.0, "counts": np.nan}[unit]
    in_proportions = (unit == "percent") & (sums > 0) & (sums <= 1.01)
    if in_proportions.any():
        description = f"{in_proportions.sum()} of {len(sums)} samples sum to about 1 in a table of percent"
        yield new_finding("mixed-units", cohort.name, description, samples[in_proportions])
    unexplained = ~in_proportions & (sums > 0) & (sums < 0.99 * total)
    if unexplained.any():
        low = 100 * sums[unexplained].min() / total
        description = f"{unexplained.sum()} of {len(sums)} samples sum to less than 100%, down to {low:.0f}%"
        yield new_finding("open-profiles", cohort.name, description, samples[unexplained])
        amounts = cohort.taxa.values[cohort.taxa.values > 0]
        if len(amounts) >= MIN_AMOUNTS and amounts.max() < LOG_RANGE * amounts.min():
            description = (
                f"all {len(amounts):,} amounts above 0 lie between {amounts.min():.3g} and {amounts.max():.3g}"
            )
            yield new_finding("log-amounts", cohort.name, f"{description}, as logarithms do")
    if sums.max() > 1 and (cohort.taxa.values == cohort.taxa.values.astype(bool)).all():
        description = f"every amount of the {len(sums)} samples is 0 or 1"
        yield new_finding("presence-alone", cohort.name, description)
    if unit == "counts" and len(sums) > 2 and np.ptp(sums) <= 0.001 * np.median(sums):
        yield new_finding(
            "closed-counts", cohort.name, f"the counts of all {len(sums)} samples sum to {np.median(sums):g}"
        )
    if stacked := _genera_with_species(cohort):
        description = f"{len(stacked)} of {len(cohort.taxa.taxa)} taxa are genera that equal the sum of their species"
        yield new_finding("ranks-stacked", cohort.name, description, stacked)


def _genera_with_species(cohort: Cohort) -> list[str]:
    """Return the genera whose abundance is the sum of their species' in the same table."""
    position = {taxon: i for i, taxon in enumerate(cohort.taxa.taxa)}
    species_of_genus: dict[str, list[int]] = {}
    for taxon, i in position.items():
        if (genus := genus_of(taxon)) != taxon and genus in position:
            species_of_genus.setdefault(genus, []).append(i)
    values = cohort.taxa.values
    return [
        genus
        for genus, species in species_of_genus.items()
        if values[:, species].any()
        and np.allclose(values[:, species].sum(axis=1), values[:, position[genus]], rtol=0.01)
    ]


def samples_without_taxa(cohort: Cohort) -> Iterator[Finding]:
    """Find samples with no taxon, or with few."""
    richness, samples = (cohort.taxa.values > 0).sum(axis=1), np.asarray(cohort.taxa.samples)
    if (richness == 0).any():
        description = f"{(richness == 0).sum()} of {len(richness)} samples have no taxon"
        yield new_finding("empty-sample", cohort.name, description, samples[richness == 0])
    few = (richness > 0) & (richness <= FEW_TAXA)
    if few.any() and np.median(richness) >= 10 * FEW_TAXA:
        median = np.median(richness)
        description = f"{few.sum()} of {len(richness)} samples have at most {FEW_TAXA} taxa; the median is {median:g}"
        yield new_finding("nearly-empty", cohort.name, description, samples[few])


def outlying_depth(cohort: Cohort) -> Iterator[Finding]:
    """Find samples whose log reads are far from the cohort's others, or that have too few reads."""
    reads = cohort.technical["reads"].to_numpy() if "reads" in cohort.technical else profile_sums(cohort)
    if "reads" not in cohort.technical and cohort.taxa.unit != "counts":
        return
    with_reads = np.flatnonzero(reads > 0)
    far = with_reads[(np.abs(robust_z(np.log(reads[with_reads]))) > OUTLYING_DEPTH) | (reads[with_reads] < MIN_READS)]
    if far.size:
        description = (
            f"{far.size} of {len(with_reads)} samples have outlying numbers of reads, from {reads[far].min():,.0f} to "
            f"{reads[far].max():,.0f}; the median of all is {np.median(reads[with_reads]):,.0f}"
        )
        yield new_finding("depth-outlier", cohort.name, description, np.asarray(cohort.taxa.samples)[far])


def suffixed_taxa(cohort: Cohort) -> Iterator[Finding]:
    """Find taxa of one cohort that other databases keep together."""
    spellings = _spellings([cohort])
    split = sorted(name for names in spellings.values() if len(names) > 1 for name in names)
    if split:
        description = f"{len(split)} of {len(cohort.taxa.taxa)} taxa differ from another by a suffix or by case alone"
        yield new_finding("suffixed-taxa", cohort.name, description, split)


def taxa_under_two_names(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Find taxa that one cohort writes with a suffix or in a case that another does not."""
    taxa_by_cohort = [set(cohort.taxa.taxa) for cohort in cohorts]
    several = (names for names in _spellings(cohorts).values() if len(names) > 1)
    apart = [
        " and ".join(sorted(names))
        for names in several
        if any(a & names and b & names and not a & b & names for a, b in combinations(taxa_by_cohort, 2))
    ]
    if apart:
        description = f"{len(apart)} taxa are named differently in one cohort and another"
        yield new_finding("taxa-two-names", joint_name(cohorts), description, sorted(apart))


def _spellings(cohorts: Iterable[Cohort]) -> dict[str, set[str]]:
    """Return the names of each taxon, by the name without suffix and case."""
    spellings: dict[str, set[str]] = {}
    for cohort in cohorts:
        for name in cohort.taxa.taxa:
            spellings.setdefault(_SUFFIX.sub("", name).casefold(), set()).add(name)
    return spellings


def few_taxa_shared(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Find cohorts most of whose abundance is in taxa that no other cohort names."""
    for cohort in cohorts:
        other_taxa = {name for candidate in cohorts if candidate is not cohort for name in candidate.taxa.taxa}
        shared = np.isin(cohort.taxa.taxa, list(other_taxa))
        share = cohort.taxa.values[:, shared].sum(axis=1) / np.maximum(profile_sums(cohort), 1e-300)
        if np.median(share) < 0.5:
            description = (
                f"{shared.sum()} of its {len(shared)} taxa are named in another cohort; they are a median of "
                f"{100 * np.median(share):.0f}% of its samples"
            )
            yield new_finding("few-taxa-shared", cohort.name, description)


def profile_sums(cohort: Cohort) -> Vector:
    """Return each sample's sum over its taxa, (n_samples,), in the table's unit."""
    return np.asarray(cohort.taxa.values.sum(axis=1, dtype=np.float64))


def robust_z(values: Vector) -> Vector:
    """Return deviations from the median in robust SDs; 0 where half of the values are equal."""
    deviation = values - np.median(values)
    sd = 1.4826 * np.median(np.abs(deviation))
    return np.asarray(deviation / sd) if sd > 0 else np.zeros_like(deviation)
