"""Numbers of the section of microbe-immune links: correlations of taxa with analytes within patients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from features.arrays import Labels, Matrix
from features.cohort import Cohort
from features.trajectories import trajectories
from training.statistics.repeated_measures import (
    detectable_correlation,
    repeatedly_measured,
    rmcorr,
    rmcorr_permutation_test,
)
from training.study.analysis.false_discovery import HypothesisTest, with_q
from training.study.analysis.paired_draws import MAX_GAP, MIN_PREVALENCE, STRETCHES, PairedDraws, paired_draws

MAX_STATED = 6
"""Most links that the report states in sentences."""


@dataclass(frozen=True, kw_only=True)
class LinkEstimate(HypothesisTest):
    """Repeated-measures correlation with its 95% interval; p by permutation within patients.

    Attributes
    ----------
    r, low, high : float
        NaN, and p 1, where no variation is left within patients.
    """

    r: float
    low: float
    high: float


@dataclass(frozen=True)
class Link:
    """Correlation of one taxon with one analyte within patients.

    Attributes
    ----------
    taxon, analyte : str
    patients, draws : int
        Patients with several pairs, and their pairs.
    unadjusted : LinkEstimate
    beyond_course : LinkEstimate
        Of departures from what all patients have in common in the same stretch of time.
    """

    taxon: str
    analyte: str
    patients: int
    draws: int
    unadjusted: LinkEstimate
    beyond_course: LinkEstimate


@dataclass(frozen=True)
class LinkResults:
    """Correlations of taxa with analytes within patients.

    Attributes
    ----------
    max_gap, min_prevalence, stretches
        Thresholds that sentences state: `MAX_GAP`, `MIN_PREVALENCE` and `STRETCHES`.
    pairs : PairedDraws
    links : tuple of Link
    dated : bool
    permutations : int
    patients, draws : int
        Patients and pairs of the analyte that has the most.
    df : int
        Degrees of freedom of a correlation beyond the common course.
    detectable, detectable_after_adjustment : float
        Smallest correlation that the study finds with 80% power, as a single test and as the only one of the family.
    """

    max_gap: ClassVar[float] = MAX_GAP
    min_prevalence: ClassVar[float] = MIN_PREVALENCE
    stretches: ClassVar[tuple[float, ...]] = STRETCHES

    pairs: PairedDraws
    links: tuple[Link, ...]
    dated: bool
    permutations: int
    patients: int
    draws: int
    df: int
    detectable: float
    detectable_after_adjustment: float

    @property
    def significant(self) -> tuple[Link, ...]:
        """Links beyond the common course."""
        return tuple(link for link in self.links if link.beyond_course.significant)

    @property
    def significant_unadjusted(self) -> tuple[Link, ...]:
        """Links while the common course is left in."""
        return tuple(link for link in self.links if link.unadjusted.significant)

    @property
    def strongest(self) -> tuple[Link, ...]:
        """The significant links of least p, at most `MAX_STATED`; without any, the one link of least p."""
        defined = [link for link in self.links if not np.isnan(link.beyond_course.r)]
        ranked = sorted(self.significant or defined, key=lambda link: link.beyond_course.p)
        return tuple(ranked[: MAX_STATED if self.significant else 1])

    @property
    def analytes(self) -> int:
        """Number of analytes that were correlated."""
        return len({link.analyte for link in self.links})


def analyse_links(cohort: Cohort) -> LinkResults | None:
    """Return the correlations within patients of a cohort; None where too few patients have paired draws."""
    course = trajectories(cohort)
    pairs = None if course is None else paired_draws(cohort, course)
    links = () if pairs is None else correlate(pairs)
    if course is None or pairs is None or not links:
        return None
    patients, draws = max(link.patients for link in links), max(link.draws for link in links)
    df = draws - patients - len(np.unique(pairs.course))
    return LinkResults(
        pairs=pairs,
        links=links,
        dated=course.dated,
        permutations=n_permutations(pairs),
        patients=patients,
        draws=draws,
        df=df,
        detectable=detectable_correlation(df),
        detectable_after_adjustment=detectable_correlation(df, tests=len(links)),
    )


def n_permutations(pairs: PairedDraws) -> int:
    """Return so many permutations that the smallest p passes the first step of Benjamini and Hochberg."""
    return max(9999, 40 * len(pairs.taxa) * len(pairs.analytes))


def correlate(pairs: PairedDraws, *, seed: int = 0) -> tuple[Link, ...]:
    """Return the correlation of each taxon with each analyte; each kind of estimate is one family of tests.

    See Also
    --------
    training.statistics.repeated_measures.rmcorr
    """
    links = []
    for analyte, level in zip(pairs.analytes, pairs.levels.T, strict=True):
        mask = ~np.isnan(level)
        patient, course = pairs.patient[mask], pairs.course[mask]
        several, df = repeatedly_measured(patient)
        if df < 1:
            continue
        draws = int(several.sum())
        unadjusted, beyond_course = (
            _estimates(pairs.clr[mask], level[mask], patient, adjust, n_permutations(pairs), seed)
            for adjust in (None, course)
        )
        links += [
            Link(taxon, analyte, draws - df - 1, draws, *estimates)
            for taxon, *estimates in zip(pairs.taxa, unadjusted, beyond_course, strict=True)
        ]
    raw, beyond = with_q([link.unadjusted for link in links]), with_q([link.beyond_course for link in links])
    return tuple(
        replace(link, unadjusted=unadjusted, beyond_course=beyond_course)
        for link, unadjusted, beyond_course in zip(links, raw, beyond, strict=True)
    )


def _estimates(
    clr: Matrix, level: Matrix, patient: Labels, course: Labels | None, n: int, seed: int
) -> list[LinkEstimate]:
    """Return the estimate of each taxon, a column of `clr`, (n_draws, n_taxa), with one analyte's level."""
    p = rmcorr_permutation_test(clr, level, patient, course, n=n, seed=seed)[1]
    correlations = [rmcorr(ratio, level, patient, course) for ratio in clr.T]
    return [
        LinkEstimate(r=result.r, low=result.low, high=result.high, p=1.0 if np.isnan(result.r) else float(chance))
        for result, chance in zip(correlations, p, strict=True)
    ]
