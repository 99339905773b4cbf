"""Outcomes and measurements of the training patients.

Counts and distributions are of many patients: no field holds one patient's own values.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.evidence.estimates import Documented, Estimate, EventRate, RandomEffectsSummary, Share


@dataclass(frozen=True)
class CentreRate(Documented):
    """Outcome rate in one centre."""

    centre: str
    """Name of the cohort and centre, joined by a slash; of the cohort where its manifest names no centres."""
    outcomes: EventRate
    """Outcomes of its training patients."""


@dataclass(frozen=True)
class OutcomeRates(Documented):
    """Outcome rates of the training patients."""

    centres: tuple[CentreRate, ...]
    """Rate in each centre."""
    overall: EventRate
    """Rate of all patients, counted together; as an estimate for another hospital, its interval is too narrow."""
    random_effects: RandomEffectsSummary
    """Mean rate over centres, and what to expect of a new one."""


@dataclass(frozen=True)
class CellRates(Documented):
    """Patients cross-classified by response and toxicity; each rate is a share of all of them."""

    patients: int
    """Patients whose response and toxicity are both known."""
    response_without_toxicity: EventRate
    """Response without toxicity: benefit."""
    response_with_toxicity: EventRate
    """Response with toxicity."""
    no_response_no_toxicity: EventRate
    """Neither response nor toxicity."""
    toxicity_without_response: EventRate
    """Toxicity without response: harm alone."""


@dataclass(frozen=True)
class CentreCells(Documented):
    """Cross-classification of one centre's patients."""

    centre: str
    """Name of the cohort and centre, joined by a slash; of the cohort where its manifest names no centres."""
    cells: CellRates
    """The four cells."""


@dataclass(frozen=True)
class JointTable(Documented):
    """Cross-classification of the training patients by one response and one toxicity."""

    response: str
    """Id of the response."""
    toxicity: str
    """Id of the toxicity."""
    centres: tuple[CentreCells, ...]
    """The four cells in each centre."""
    overall: CellRates
    """The four cells over all centres."""
    odds_ratio: Estimate | None
    """Odds ratio, pooled over centres (Mantel and Haenszel); null where it cannot be estimated."""


@dataclass(frozen=True)
class JointCounts(Documented):
    """Response and toxicity of the training patients, counted together."""

    tables: tuple[JointTable, ...]
    """One table for each known outcome of the other side."""
    reason: str | None
    """Why there is no table; null where there is one."""


@dataclass(frozen=True)
class Histogram(Documented):
    """Histogram at the deciles."""

    edges: tuple[float, ...]
    """Inner edges of the bins; a bin includes its upper edge."""
    patients: tuple[int, ...]
    """Patients in each bin: one more than the edges."""


@dataclass(frozen=True)
class NumericDistribution(Documented):
    """Distribution of a number among the training patients."""

    measured: int
    """Patients in whom it was measured."""
    below: int
    """Of these patients, those below an unreported lower limit; they count as the smallest number measured."""
    above: int
    """Of these patients, those above an unreported upper limit; they count as the largest number measured."""
    quantiles: dict[int, float | None] | None
    """Quantiles by percentage; null below 20 patients, and each null where it would tell of fewer than 5."""
    histogram: Histogram | None
    """Patients between the deciles; null below 20 patients."""


@dataclass(frozen=True)
class AnalyteDistribution(NumericDistribution):
    """Distribution of an analyte among the training patients."""

    unit: str
    """Unit of the measurements."""


@dataclass(frozen=True)
class LevelCount(Documented):
    """Training patients at one level of a clinical column."""

    patients: int
    """Patients at this level."""
    share: Share
    """Their share of the patients in whom the column was measured."""


@dataclass(frozen=True)
class LevelDistribution(Documented):
    """Distribution of a clinical column with levels among the training patients."""

    measured: int
    """Patients in whom it was measured."""
    levels: dict[str, LevelCount] | None
    """Patients at each level; null below 20 patients."""


@dataclass(frozen=True)
class TaxonDistribution(Documented):
    """Distribution of a taxon among the training patients."""

    carriers: int
    """Patients in whom the taxon was detected."""
    prevalence: Share
    """Their share of all training patients."""
    quantiles: dict[int, float | None] | None
    """Quantiles of the carriers' proportions by percentage, as in `NumericDistribution`."""


@dataclass(frozen=True)
class Distributions(Documented):
    """Training distribution of each column that the model reads, by name."""

    patients: int
    """Training patients."""
    immune: dict[str, AnalyteDistribution]
    """Analytes."""
    clinical: dict[str, NumericDistribution | LevelDistribution]
    """Clinical columns."""
    taxa: dict[str, TaxonDistribution]
    """Taxa."""


@dataclass(frozen=True)
class IncompleteCohort(Documented):
    """A cohort of the experiment of which some patients, or all, lack a block that the model reads."""

    cohort: str
    """Name of the cohort."""
    patients: int
    """Its patients with a known outcome."""
    excluded: int
    """Of these patients, those who lack a block; where it is all of them, the model knows nothing of the cohort."""
    blocks: tuple[str, ...]
    """Blocks that they lack."""
    columns: tuple[str, ...]
    """Columns of these blocks that other cohorts measured, of which they have none."""


@dataclass(frozen=True)
class TrainingPopulation(Documented):
    """Disease and treatment of the training patients: patients by value, without those in whom it was not reported."""

    tumour_type: dict[str, int]
    """Training patients by tumour type."""
    treatment_line: dict[str, int]
    """Training patients by line of treatment."""
    drug_class: dict[str, int]
    """Training patients by class of immune checkpoint inhibitors."""


@dataclass(frozen=True)
class MissingColumn(Documented):
    """A column that the model reads and that some training patients lack."""

    block: str
    """Block of the column."""
    name: str
    """Name of the column."""
    share: Share
    """Share of training patients without a measurement."""
    imputation: str
    """What fills the gaps."""
