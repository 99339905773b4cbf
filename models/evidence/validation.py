"""The full record of a model's training and validation.

The model card, the gates of promotion, the figures, the pages and the drift report read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.severity import Severity
from models.evidence.estimates import Documented, Estimate, RandomEffectsSummary, Share, StoredRecord
from models.evidence.performance import (
    BaselinePerformance,
    CentreDecisionCurve,
    CentrePerformance,
    GainOverBaseline,
    OtherScheme,
    PermutationNull,
    PooledPerformance,
    ProbabilityGroup,
    SeedSpread,
    Subgroup,
    VerdictDifference,
    VerdictPerformance,
    WithoutBlock,
    WithoutCohort,
)
from models.evidence.summary import Evidence
from models.evidence.training_patients import Distributions, IncompleteCohort, JointCounts, MissingColumn, OutcomeRates


@dataclass(frozen=True)
class ShapShare(Documented):
    """Share of the model's total absolute SHAP value that falls to one block or clade."""

    name: str
    """Name of the block or clade."""
    share: Share
    """Share of the total."""


@dataclass(frozen=True)
class FeatureAttribution(Documented):
    """Contribution of one feature to the model's predictions."""

    feature: str
    """Name of the feature."""
    block: str
    """Block of the feature."""
    mean_absolute_shap: float
    """Mean absolute SHAP value over the training patients, on the log-odds scale."""
    direction: Literal[-1, 0, 1]
    """Sign of the covariance of the feature and its SHAP value: 1 raises the prediction, -1 lowers it."""
    selected: Share
    """Share of folds whose model uses the feature."""


@dataclass(frozen=True)
class ModelAttribution(Documented):
    """Contributions of features, clades and blocks to the model's predictions."""

    blocks: tuple[ShapShare, ...]
    """Share of each block, largest first."""
    clades: tuple[ShapShare, ...]
    """Share of each genus, largest first."""
    features: tuple[FeatureAttribution, ...]
    """The 50 features with the largest mean absolute SHAP value."""


@dataclass(frozen=True)
class SampleSize(Documented):
    """Riley's criteria of sample size for developing the model."""

    patients: int
    """Training patients."""
    parameters: int
    """Candidate predictor parameters."""
    needed: int | None
    """Patients that all criteria require; null where no number suffices, since no effect is expected."""
    events_needed: int | None
    """Events among them."""
    criterion: str
    """Criterion that requires the most patients."""
    parameters_affordable: int
    """Parameters for which the training patients suffice."""


@dataclass(frozen=True)
class AuditFinding(Documented):
    """A finding of the data audit, without names of patients or samples."""

    code: str
    """Code of the finding, by which it can be waived."""
    severity: Severity
    """An error makes a result wrong, a warning changes what it means, a note is a fact."""
    cohort: str
    """Cohort, or cohorts joined by " + "."""
    rows: int
    """Patients, samples, rows or taxa concerned."""
    description: str
    """The finding, with its counts."""
    consequence: str
    """Why it matters."""
    remedy: str
    """What to do."""
    waived: bool
    """Whether the experiment trained in spite of this error."""


@dataclass(frozen=True)
class PriorExperiments(Documented):
    """Experiments that had finished on any of these cohorts before this one."""

    experiments: int
    """Experiments."""
    models: int
    """Models that they trained."""


@dataclass(frozen=True)
class Validation(StoredRecord):
    """Full record of a model's training and validation."""

    evidence: Evidence
    """Summary that each prediction repeats."""
    family: str
    """Family of classifiers."""
    blocks: tuple[str, ...]
    """Blocks of measurements that the model reads."""
    hyperparameters: dict[str, int | float | str]
    """Hyperparameters of the fit; of an average, which representations it averages."""
    n_features: int
    """Features of the fitted model."""
    preprocessing: dict[str, tuple[str, ...]]
    """Steps that transform each block, in order, in words."""
    missing: tuple[MissingColumn, ...]
    """Columns that some training patients lack."""
    per_centre: tuple[CentrePerformance, ...]
    """Held-out performance in each centre."""
    random_effects: RandomEffectsSummary
    """Random-effects meta-analysis of the centres' AUROCs of the probability."""
    margin_random_effects: RandomEffectsSummary
    """The same of the margin; k is 0 in bundles older than protocol 4, whose other AUROCs are of the margin."""
    within_centres: PooledPerformance
    """Performance within centres, averaged over them."""
    calibration_slope: Estimate
    """One calibration slope, with an intercept for each centre."""
    seeds: SeedSpread
    """Repeats with other seeds."""
    other_scheme: OtherScheme | None
    """The same model under the other scheme; null with one scheme."""
    permutation: PermutationNull | None
    """Permutation null; null where not computed."""
    baselines: tuple[BaselinePerformance, ...]
    """Baselines on the same folds."""
    gain: GainOverBaseline | None
    """Gain over the strongest covariate baseline; null where not computed."""
    without_cohort: tuple[WithoutCohort, ...]
    """Performance without each cohort in turn; empty with one centre, and in bundles older than protocol 4."""
    decision_curves: tuple[CentreDecisionCurve, ...]
    """Decision curve of each centre."""
    by_verdict: tuple[VerdictPerformance, ...]
    """Performance by verdict of the applicability domain; empty without taxa."""
    verdict_difference: VerdictDifference | None
    """Difference between verdicts; null where two verdicts have too few patients."""
    outcomes_by_probability: tuple[ProbabilityGroup, ...]
    """Outcomes of held-out patients by predicted probability; empty below 40 patients."""
    subgroups: tuple[Subgroup, ...]
    """Performance in subgroups."""
    rates: OutcomeRates | None
    """Outcome rates of the training patients; null for bundles older than this record."""
    response_and_toxicity: JointCounts
    """Response and toxicity of the training patients, counted together."""
    distributions: Distributions
    """Training distribution of each column that the model reads."""
    attribution: ModelAttribution | None
    """SHAP attribution; null for a model that is compared but not served."""
    sample_size: SampleSize | None
    """Riley's criteria; null for bundles older than this record."""
    audit_findings: tuple[AuditFinding, ...]
    """Findings of the data audit."""
    prior_experiments: PriorExperiments
    """Experiments on these cohorts before this one."""
    seed: int
    """First random seed."""
    software: dict[str, str]
    """Versions of Python and of the packages that fitted the model."""
    without_block: tuple[WithoutBlock, ...] = ()
    """The same family without each block in turn, on the same patients; empty with one block, and in older bundles."""
    incomplete_cohorts: tuple[IncompleteCohort, ...] = ()
    """Cohorts of which patients lack a block; empty in older bundles too."""
