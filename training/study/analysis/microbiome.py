"""Numbers of the section of the microbiome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from features.cohort import Cohort
from features.donors import donor_samples_given
from features.trajectories import Window
from training.statistics.distances import MIN_PREVALENCE
from training.study.analysis.composition import Composition, composition
from training.study.analysis.diversity import Diversity, diversity
from training.study.analysis.group_tests import CommunityTest, community_tests
from training.study.analysis.ordination import Coordinates, DistanceMetric, ordinations, stool_distances
from training.study.analysis.stool import StoolSeries, by_code, stool_series
from training.study.analysis.taxon_changes import MIN_CARRIERS, TaxonChange, taxon_changes

MAX_NOTABLE = 8
"""Most tests of groups that the report states in sentences."""


@dataclass(frozen=True)
class MicrobiomeResults:
    """Composition of patients' and donors' stool, its change over time, and what groups explain of it.

    Attributes
    ----------
    min_carriers, min_prevalence : float
        Thresholds that sentences state: `MIN_CARRIERS` of changes of taxa, and `MIN_PREVALENCE` of Aitchison distances.
    stool : StoolSeries
    composition : Composition
    diversity : Diversity
    ordinations : mapping of str to Coordinates
        By distance; empty where samples are too few.
    donors_of : mapping of str to frozenset of str
        Donors of each patient.
    community_tests : tuple of CommunityTest
    taxon_changes : tuple of TaxonChange
    """

    min_carriers: ClassVar[float] = MIN_CARRIERS
    min_prevalence: ClassVar[float] = MIN_PREVALENCE

    stool: StoolSeries
    composition: Composition
    diversity: Diversity
    ordinations: Mapping[DistanceMetric, Coordinates]
    donors_of: Mapping[str, frozenset[str]]
    community_tests: tuple[CommunityTest, ...]
    taxon_changes: tuple[TaxonChange, ...]

    @property
    def patients(self) -> tuple[str, ...]:
        """Patients with stool, in the order of their codes."""
        return tuple(dict.fromkeys(by_code(self.stool.recipients)["patient"]))

    @property
    def notable_tests(self) -> tuple[CommunityTest, ...]:
        """The first `MAX_NOTABLE` tests by Bray-Curtis that compare visits or are significant."""
        tests = [test for test in self.community_tests if test.metric == "Bray-Curtis"]
        return tuple(test for test in tests if test.within_patients or test.significant)[:MAX_NOTABLE]


def analyse_microbiome(cohort: Cohort, windows: Sequence[Window]) -> MicrobiomeResults | None:
    """Return the analysis of a cohort's stool; None where no patient's sample holds a taxon.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    stool = stool_series(cohort, windows)
    if stool.recipients.empty:
        return None
    distances = stool_distances(stool)
    return MicrobiomeResults(
        stool=stool,
        composition=composition(stool, cohort),
        diversity=diversity(stool),
        ordinations=ordinations(distances),
        donors_of={patient: frozenset(donors) for patient, donors in donor_samples_given(cohort).items()},
        community_tests=community_tests(stool, cohort, distances),
        taxon_changes=taxon_changes(stool),
    )
