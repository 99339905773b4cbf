"""Performance of a model on held-out patients.

An AUROC ranks patients by the probability as served (`Evidence.auroc_of`), ties counting half, among patients of one
centre whom one fold's model predicted. A cohort whose manifest names no centres is one centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated

from pydantic import AliasChoices, Field

from models.evidence.estimates import (
    FEWEST_OF_A_CLASS,
    Documented,
    Estimate,
    EventRate,
    RandomEffectsSummary,
    Scheme,
    Share,
)


@dataclass(frozen=True)
class CentreCalibration(Documented):
    """Calibration of the held-out probabilities in one centre."""

    in_the_large: float | None
    """Observed prevalence minus mean predicted probability; null where an old bundle does not report it."""
    intercept: float | None
    """What must be added to the log-odds at a slope of 1; null in a centre of one class."""
    slope: Estimate
    """Calibration slope of the log-odds; 1 is ideal."""


@dataclass(frozen=True)
class RangeCoverage(Documented):
    """Coverage of the Venn-Abers ranges on held-out patients of one centre."""

    low: float
    """Mean lower end of the ranges."""
    high: float
    """Mean upper end of the ranges."""
    observed: float
    """Prevalence."""
    inside: bool
    """Whether the prevalence lies within the mean range."""
    width: float
    """Mean width of the ranges."""


@dataclass(frozen=True)
class SetCoverage(Documented):
    """Coverage of the conformal prediction sets on held-out patients of one centre."""

    level: Share
    """Share of patients whose set should contain their outcome."""
    coverage: Share
    """Share of patients whose set contains their outcome."""
    one_label: Share
    """Share of patients whose set holds one label."""
    two_labels: Share
    """Share of patients whose set holds both labels."""
    no_label: Share
    """Share of patients whose set is empty."""


@dataclass(frozen=True)
class CentrePerformance(Documented):
    """Held-out performance in one centre, which is the cohort where its manifest names none."""

    centre: str
    """Name of the cohort and centre, joined by a slash; of the cohort where its manifest names no centres."""
    patients: int
    """Held-out patients."""
    events: int
    """Of these patients, those who had the outcome."""
    prevalence: float | None
    """Share of them who had the outcome; null where an old bundle does not report it."""
    auroc: Estimate
    """Area under the ROC curve of the probability."""
    margin_auroc: Estimate
    """Area under the ROC curve of the margin."""
    auprc: Estimate
    """Area under the precision-recall curve (average precision)."""
    brier: float | None
    """Brier score."""
    prevalence_brier: float | None
    """Brier score of predicting the centre's own prevalence."""
    brier_skill: float | None
    """Share by which the first Brier score is below the second; null in a centre of one class."""
    calibration: CentreCalibration
    """Calibration of the probabilities."""
    venn_abers: RangeCoverage | None
    """Coverage of the Venn-Abers ranges; null where not computed."""
    conformal: SetCoverage | None
    """Coverage of the conformal sets; null where not computed."""


@dataclass(frozen=True)
class PooledPerformance(Documented):
    """Held-out performance within centres, averaged over them with their patients as weights."""

    auroc: Estimate
    """Area under the ROC curve of the probability."""
    margin_auroc: Estimate
    """Area under the ROC curve of the margin."""
    auprc: Estimate
    """Area under the precision-recall curve."""
    brier: float | None
    """Brier score."""
    prevalence_brier: float | None
    """Brier score of predicting each centre's own prevalence."""
    brier_skill: float | None
    """Share by which the first Brier score is below the second."""


@dataclass(frozen=True)
class SeedSpread(Documented):
    """Held-out AUROC of the probability, within centres, of the whole pipeline repeated with other seeds."""

    n: int
    """Seeds."""
    mean: float | None
    """Mean AUROC."""
    sd: float | None
    """Standard deviation; null with one seed."""
    values: tuple[float | None, ...]
    """AUROC of each seed."""


@dataclass(frozen=True)
class OtherScheme(Documented):
    """Held-out AUROC of the probability under the other scheme of holding out."""

    scheme: Scheme
    """The other scheme."""
    auroc: Estimate
    """Held-out AUROC within centres."""


@dataclass(frozen=True)
class NullComparison(Documented):
    """Observed AUROC against a permutation null."""

    n: int
    """Permutations whose AUROC could be computed."""
    observed: float | None
    """Held-out AUROC with the data as observed: the mean within centres."""
    p: float
    """(1 + permutations whose AUROC is at least the observed) / (1 + permutations) (Phipson and Smyth)."""
    mean: float
    """Mean of the null."""
    sd: float | None
    """Standard deviation of the null."""
    percentile_95: float
    """95th percentile of the null."""

    @property
    def is_least(self) -> bool:
        """Whether p is the smallest that so many permutations can give."""
        return self.p <= (1 + 1e-6) / (1 + self.n)


@dataclass(frozen=True)
class PermutationNull(Documented):
    """The pipeline refitted to outcomes permuted within centre, and to profiles permuted within it."""

    model: NullComparison
    """Against this model's own null."""
    best_of_all: NullComparison
    """Against the best of all models that compete, chosen anew for each permutation."""
    models: int
    """Models that compete."""
    conditional: NullComparison | None = None
    """Against this model refitted to permuted profiles, covariates kept; null for a model of profiles or of covariates
    alone, and in bundles older than this test."""


@dataclass(frozen=True)
class BaselinePerformance(Documented):
    """Held-out performance of a baseline on the same folds."""

    name: str
    """Name of the baseline."""
    patients: int
    """Held-out patients."""
    auroc: Estimate
    """AUROC of its probability, within centres."""
    brier: float | None
    """Brier score."""


@dataclass(frozen=True)
class GainOverBaseline(Documented):
    """Difference of the probabilities' AUROC between the model and a baseline, on the same patients."""

    baseline: str
    """Name of the baseline."""
    difference: Estimate
    """AUROC of the model minus that of the baseline, within centres, with its paired bootstrap interval."""
    random_effects: RandomEffectsSummary
    """Random-effects meta-analysis of the centres' differences; k is 0 in bundles older than protocol 4."""


@dataclass(frozen=True)
class WithoutCohort(Documented):
    """Held-out performance without the patients of one cohort (of one centre, where there is one cohort).

    It is computed anew from the same held-out predictions: no model is refitted without the cohort.
    """

    cohort: str
    """Name of the cohort that is left aside."""
    patients: int
    """Held-out patients of the others."""
    events: int
    """Of these patients, those who had the outcome."""
    auroc: Estimate
    """Held-out AUROC of the probability: the random-effects mean over the centres that remain."""
    gain: Estimate
    """Paired gain over the covariate baseline of the whole record, within the centres that remain."""
    permutation_p: float | None
    """p against the model's own permutation null without the cohort; null where not computed."""


@dataclass(frozen=True)
class WithoutBlock(Documented):
    """Held-out performance of the same family without one block, on the same patients in the same folds."""

    block: str
    """Block that is left out."""
    auroc: Estimate
    """Held-out AUROC of its probability: the random-effects mean over centres, or that of one centre."""
    brier: float | None
    """Its Brier score."""
    gain: Estimate
    """AUROC of the model with the block minus that without it, within centres, with its paired bootstrap interval."""


@dataclass(frozen=True)
class CentreDecisionCurve(Documented):
    """Net benefit in one centre, per patient, over threshold probabilities."""

    # Records of external validations outlive bundle protocols; those before protocol 5 call it a cohort.
    centre: Annotated[str, Field(validation_alias=AliasChoices("centre", "cohort"))]
    """Name of the cohort and centre, joined by a slash; of the cohort where its manifest names no centres."""
    patients: int
    """Held-out patients."""
    events: int
    """Of these patients, those who had the outcome."""
    indicative: bool
    """Whether the curve is indicative only: fewer than 100 events, or than 100 patients without one."""
    thresholds: tuple[float, ...]
    """Threshold probabilities."""
    model: tuple[float, ...]
    """Net benefit of acting on the model."""
    low: tuple[float, ...]
    """Lower end of its 95% bootstrap band."""
    high: tuple[float, ...]
    """Upper end of the band."""
    treat_all: tuple[float, ...]
    """Net benefit of acting on everyone."""


@dataclass(frozen=True)
class VerdictPerformance(Documented):
    """Held-out performance among patients whose profile received one verdict of the applicability domain."""

    verdict: str
    """Verdict: ok, use with care or abstain."""
    patients: int
    """Held-out patients."""
    events: int
    """Of these patients, those who had the outcome."""
    auroc: float | None
    """AUROC of the probability, within centres."""
    brier: float | None
    """Brier score."""

    @property
    def has_few_of_a_class(self) -> bool:
        """Whether fewer than `FEWEST_OF_A_CLASS` of these patients had the outcome, or were without."""
        return min(self.events, self.patients - self.events) < FEWEST_OF_A_CLASS


@dataclass(frozen=True)
class VerdictDifference(Documented):
    """Difference of the Brier score between patients with and without the verdict "ok"."""

    brier_difference: float
    """Brier score without "ok" minus Brier score with it."""
    detectable: float
    """Smallest difference that so many patients show with a power of 80%."""

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the difference: `detectable` is z(0.975) + z(0.8) standard errors."""
        quantile = NormalDist().inv_cdf
        half_width = self.detectable * quantile(0.975) / (quantile(0.975) + quantile(0.8))
        return self.brier_difference - half_width, self.brier_difference + half_width


@dataclass(frozen=True)
class ProbabilityGroup(Documented):
    """Held-out patients whose predicted probability lies in one interval, and their outcomes."""

    probability_from: Share
    """Lower end of the interval, which belongs to it."""
    probability_to: Share
    """Upper end of the interval, which belongs to the next one; the last group includes 1."""
    outcomes: EventRate
    """Outcomes of these patients."""
    mean_probability: Share | None = None
    """Mean of their predicted probabilities; null in bundles that were written before it was kept."""


@dataclass(frozen=True)
class Subgroup(Documented):
    """Held-out AUROC of the probability in one subgroup."""

    column: str
    """Column that defines the subgroup, such as sex."""
    level: str
    """Level of the column, or side of its median."""
    patients: int
    """Held-out patients."""
    events: int
    """Of these patients, those who had the outcome."""
    auroc: Estimate
    """AUROC of the probability, within centres."""
