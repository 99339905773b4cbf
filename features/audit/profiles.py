"""Checks of profiles: units, sums, samples with next to nothing, reads, and how taxa are named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from features.audit.findings import Finding, finding, joined
from features.cohort import Cohort
from features.transforms import genus_of

OUTLYING = 5.0
"""Robust SDs of log reads beyond which a sample is an outlier."""
FEWEST_READS = 1000
"""Reads below which a sample is too shallow, whatever the others have."""
FEW_TAXA = 5
"""Taxa up to which a profile is all but empty, where the cohort's median is ten times as many."""

# GTDB splits genera and species by a suffix: Blautia_A obeum, Faecalibacterium prausnitzii_C.
_SUFFIX = re.compile(r"(?<=[a-z]{3})(?<!_clade)_[A-Z]{1,2}(?=_[a-z]|$)")


def units(cohort: Cohort) -> Iterator[Finding]:
    """Another unit than the table's, sums that are no whole, counts that are none, rows that are sums of others."""
    unit, sums, samples = cohort.taxa.unit, totals(cohort), np.asarray(cohort.taxa.samples)
    whole = {"percent": 100.0, "proportions": 1.0, "counts": np.nan}[unit]
    other = (unit == "percent") & (sums > 0) & (sums <= 1.01)
    if other.any():
        what = f"{other.sum()} of {len(sums)} samples sum to about 1 in a table of percent"
        yield finding("mixed-units", cohort.name, what, samples[other])
    unexplained = ~other & (sums > 0) & (sums < 0.99 * whole)
    if unexplained.any():
        low = 100 * sums[unexplained].min() / whole
        what = f"{unexplained.sum()} of {len(sums)} samples sum to less than the whole, down to {low:.0f}%"
        yield finding("open-profiles", cohort.name, what, samples[unexplained])
    if unit == "counts" and len(sums) > 2 and np.ptp(sums) <= 0.001 * np.median(sums):
        yield finding("closed-counts", cohort.name, f"the counts of all {len(sums)} samples sum to {np.median(sums):g}")
    if stacked := _sums_of_others(cohort):
        what = f"{len(stacked)} of {len(cohort.taxa.taxa)} taxa are genera, and the sums of their own species"
        yield finding("ranks-stacked", cohort.name, what, stacked)


def _sums_of_others(cohort: Cohort) -> list[str]:
    position = {taxon: at for at, taxon in enumerate(cohort.taxa.taxa)}
    below: dict[str, list[int]] = {}
    for taxon, at in position.items():
        if (genus := genus_of(taxon)) != taxon and genus in position:
            below.setdefault(genus, []).append(at)
    values = cohort.taxa.values
    return [
        genus
        for genus, species in below.items()
        if values[:, species].any()
        and np.allclose(values[:, species].sum(axis=1), values[:, position[genus]], rtol=0.01)
    ]


def samples_without_taxa(cohort: Cohort) -> Iterator[Finding]:
    """No taxon, or next to none."""
    found, samples = (cohort.taxa.values > 0).sum(axis=1), np.asarray(cohort.taxa.samples)
    if (found == 0).any():
        what = f"{(found == 0).sum()} of {len(found)} samples hold no taxon"
        yield finding("empty-sample", cohort.name, what, samples[found == 0])
    few = (found > 0) & (found <= FEW_TAXA)
    if few.any() and np.median(found) >= 10 * FEW_TAXA:
        what = f"{few.sum()} of {len(found)} samples hold at most {FEW_TAXA} taxa; the median is {np.median(found):g}"
        yield finding("nearly-empty", cohort.name, what, samples[few])


def depth(cohort: Cohort) -> Iterator[Finding]:
    """Far fewer or far more reads than the cohort's others, in logarithms, or too few by any measure."""
    reads = cohort.technical["reads"].to_numpy() if "reads" in cohort.technical else totals(cohort)
    if "reads" not in cohort.technical and cohort.taxa.unit != "counts":
        return
    known = np.flatnonzero(reads > 0)
    far = known[(np.abs(robust_z(np.log(reads[known]))) > OUTLYING) | (reads[known] < FEWEST_READS)]
    if far.size:
        what = (
            f"{far.size} of {len(known)} samples stand out by their reads, from {reads[far].min():,.0f} to "
            f"{reads[far].max():,.0f}; the median of all is {np.median(reads[known]):,.0f}"
        )
        yield finding("depth-outlier", cohort.name, what, np.asarray(cohort.taxa.samples)[far])


def suffixed_taxa(cohort: Cohort) -> Iterator[Finding]:
    """Taxa of one cohort that other databases hold together."""
    names = _spellings([cohort])
    split = sorted(name for spelt in names.values() if len(spelt) > 1 for name in spelt)
    if split:
        what = f"{len(split)} of {len(cohort.taxa.taxa)} taxa differ from another by a suffix or by case alone"
        yield finding("suffixed-taxa", cohort.name, what, split)


def taxa_under_two_names(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Taxa that one cohort spells with a suffix or in a case that another does not."""
    own = [set(cohort.taxa.taxa) for cohort in cohorts]
    several = (spelt for spelt in _spellings(cohorts).values() if len(spelt) > 1)
    apart = [
        " and ".join(sorted(spelt))
        for spelt in several
        if any(a & spelt and b & spelt and not a & b & spelt for a, b in combinations(own, 2))
    ]
    if apart:
        what = f"{len(apart)} taxa are named differently in one cohort and another"
        yield finding("taxa-two-names", joined(cohorts), what, sorted(apart))


def _spellings(cohorts: Iterable[Cohort]) -> dict[str, set[str]]:
    spelt: dict[str, set[str]] = {}
    for cohort in cohorts:
        for name in cohort.taxa.taxa:
            spelt.setdefault(_SUFFIX.sub("", name).casefold(), set()).add(name)
    return spelt


def few_taxa_shared(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Cohorts most of whose abundance is in taxa that no other cohort names."""
    for cohort in cohorts:
        others = {taxon for other in cohorts if other is not cohort for taxon in other.taxa.taxa}
        shared = np.isin(cohort.taxa.taxa, list(others))
        share = cohort.taxa.values[:, shared].sum(axis=1) / np.maximum(totals(cohort), 1e-300)
        if np.median(share) < 0.5:
            what = (
                f"{shared.sum()} of its {len(shared)} taxa are named in another cohort; they are a median of "
                f"{100 * np.median(share):.0f}% of its samples"
            )
            yield finding("few-taxa-shared", cohort.name, what)


def totals(cohort: Cohort) -> NDArray[np.float64]:
    """Return each sample's sum over its taxa, (n_samples,), in the table's unit."""
    return np.asarray(cohort.taxa.values.sum(axis=1, dtype=np.float64))


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distances from the median in robust SDs; 0 where half of the values are equal."""
    away = values - np.median(values)
    sd = 1.4826 * np.median(np.abs(away))
    return np.asarray(away / sd) if sd > 0 else np.zeros_like(away)
