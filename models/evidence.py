"""Evidence: what is known of a trained model, typed, from the run that trained it to the page that shows it.

`Evidence` is the summary that a bundle keeps and each prediction repeats. `Validation` is the full record behind it,
which the model card, the gates of promotion, the figures, the pages and the drift report read. Training fills both,
bundles keep them as JSON, and `from_json` refuses a field that is unknown, missing or of another type, naming it.
`models.evidence_upgrade` reads what older bundles kept.

Counts and distributions are of many patients: no field holds one patient's own values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, cast

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter

Scheme = Literal["loco", "cv"]
"""How rows are held out: each cohort in turn (leave one cohort out), or patients within cohorts (cross-validation)."""
Severity = Literal["error", "warning", "note"]
Share = Annotated[float, Field(ge=0, le=1)]


class Documented:
    """A record whose fields are documented by the string below each, and whose JSON holds these fields only."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Estimate(Documented):
    """An estimate with its 95% confidence interval; all null where it cannot be estimated."""

    value: float | None
    """Point estimate."""
    low: float | None
    """Lower end of the interval."""
    high: float | None
    """Upper end of the interval."""


@dataclass(frozen=True)
class EventRate(Documented):
    """Share of patients who had the outcome, with its exact 95% interval (Clopper and Pearson)."""

    patients: int
    """Patients whose outcome is known."""
    events: int
    """Of these patients, those who had the outcome."""
    rate: Share | None
    """Their share; null without patients."""
    low: Share
    """Lower end of the interval."""
    high: Share
    """Upper end of the interval."""


# Evidence: the summary that each prediction repeats.


@dataclass(frozen=True)
class TrainingCohort(Documented):
    """A published or local cohort that the model was trained on."""

    name: str
    """Name of the cohort's manifest."""
    title: str
    """Title of the cohort."""
    clock: str
    """Clock on which its days are counted, such as day_ici."""
    index_event: str
    """Event on day 0 of the clock, such as the first dose."""
    profiler: str | None
    """Profiler and database of its taxa; null where not reported."""
    citation: str
    """Publication to cite."""
    licence: str
    """Licence of its data."""
    simulated: bool
    """Whether its patients are simulated."""


@dataclass(frozen=True)
class CohortAuroc(Documented):
    """Held-out AUROC of the model in one cohort."""

    cohort: str
    """Name of the cohort, or of the cohort and centre, joined by a slash."""
    patients: int
    """Held-out patients."""
    events: int
    """Of these patients, those who had the outcome."""
    auroc: Estimate
    """Held-out AUROC; all null in a cohort in which everyone or no one had the outcome."""


@dataclass(frozen=True)
class PooledOddsRatio(Documented):
    """Odds ratio of response and toxicity, pooled over the training cohorts (Mantel and Haenszel)."""

    response: str
    """Id of the response."""
    toxicity: str
    """Id of the toxicity."""
    patients: int
    """Training patients whose response and toxicity are both known; at least 100."""
    value: float
    """Pooled odds ratio."""
    low: float
    """Lower end of the 95% interval."""
    high: float
    """Upper end of the 95% interval."""


@dataclass(frozen=True)
class Evidence(Documented):
    """Summary of what a model was trained on and how it performed on held-out patients."""

    outcome: str
    """Id of the outcome, such as objective_response or toxicity_3."""
    definition: str
    """Clinical definition of the outcome."""
    sentence: str
    """The evidence in one sentence, without a full stop."""
    beats_chance: bool | None
    """Whether the held-out AUROC exceeds chance by its interval and by the permutation null; null without that null."""
    simulated: bool
    """Whether any training patient is simulated."""
    pooled_labels: bool
    """Whether published labels of different meaning were pooled."""
    patients: int
    """Training patients; 0 where an old bundle does not report it."""
    events: int
    """Training patients who had the outcome."""
    cohorts: tuple[TrainingCohort, ...]
    """Training cohorts."""
    landmark: float
    """Last day, on the model's clock, on which a measurement may enter."""
    window: float
    """Most days by which a measurement may precede the landmark."""
    clocks: tuple[str, ...]
    """Clocks of the training cohorts."""
    scheme: Scheme
    """How patients were held out: "loco", each cohort in turn; "cv", patients within cohorts."""
    held_out_auroc: Estimate
    """Held-out AUROC: the random-effects mean over cohorts, or the one cohort's."""
    held_out_brier: float | None
    """Held-out Brier score."""
    prevalence_brier: float | None
    """Brier score of predicting each cohort's own prevalence, for comparison."""
    per_cohort: tuple[CohortAuroc, ...]
    """Held-out AUROC in each cohort."""
    odds_ratios: tuple[PooledOddsRatio, ...]
    """Odds ratios of this outcome with those of the other side (response, toxicity)."""
    models_compared: int
    """Models that the experiment trained, of which the best is chosen."""
    notes: tuple[str, ...]
    """Remarks on the training data."""
    taxokine_version: str
    """Version of Taxokine that trained the model."""

    @staticmethod
    def from_json(content: JsonValue) -> Evidence:
        """Read evidence.

        Raises
        ------
        ValueError
            A field is unknown, missing or of another type; the message names each.
        """
        return _evidence_adapter().validate_python(content)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the evidence as JSON."""
        return cast(dict[str, JsonValue], _evidence_adapter().dump_python(self, mode="json"))


# Validation: held-out performance.


@dataclass(frozen=True)
class CohortCalibration(Documented):
    """Calibration of the held-out probabilities in one cohort."""

    in_the_large: float | None
    """Observed prevalence minus mean predicted probability; null where an old bundle does not report it."""
    intercept: float | None
    """What must be added to the log-odds at a slope of 1; null in a cohort of one class."""
    slope: Estimate
    """Calibration slope of the log-odds; 1 is ideal."""


@dataclass(frozen=True)
class RangeCoverage(Documented):
    """Coverage of the Venn-Abers ranges on held-out patients of one cohort."""

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
    """Coverage of the conformal prediction sets on held-out patients of one cohort."""

    level: Share
    """Share of patients whose set should contain their outcome."""
    coverage: Share
    """Share of patients whose set contains their outcome."""
    single: Share
    """Share of patients whose set holds one label."""
    both: Share
    """Share of patients whose set holds both labels."""
    none: Share
    """Share of patients whose set is empty."""


@dataclass(frozen=True)
class CohortPerformance(Documented):
    """Held-out performance in one cohort."""

    cohort: str
    """Name of the cohort, or of the cohort and centre, joined by a slash."""
    patients: int
    """Held-out patients."""
    events: int
    """Of these patients, those who had the outcome."""
    prevalence: float | None
    """Share of them who had the outcome; null where an old bundle does not report it."""
    auroc: Estimate
    """Area under the ROC curve."""
    auprc: Estimate
    """Area under the precision-recall curve (average precision)."""
    brier: float | None
    """Brier score."""
    prevalence_brier: float | None
    """Brier score of predicting the cohort's own prevalence."""
    brier_skill: float | None
    """Share by which the first Brier score is below the second; null in a cohort of one class."""
    calibration: CohortCalibration
    """Calibration of the probabilities."""
    venn_abers: RangeCoverage | None
    """Coverage of the Venn-Abers ranges; null where not computed."""
    conformal: SetCoverage | None
    """Coverage of the conformal sets; null where not computed."""


@dataclass(frozen=True)
class PooledPerformance(Documented):
    """Held-out performance within cohorts, averaged over them with their patients as weights."""

    auroc: Estimate
    """Area under the ROC curve."""
    auprc: Estimate
    """Area under the precision-recall curve."""
    brier: float | None
    """Brier score."""
    prevalence_brier: float | None
    """Brier score of predicting each cohort's own prevalence."""
    brier_skill: float | None
    """Share by which the first Brier score is below the second."""


@dataclass(frozen=True)
class RandomEffectsSummary(Documented):
    """Random-effects meta-analysis over cohorts, on the scale of the estimate.

    Intervals are null below two cohorts, the prediction interval below three.
    """

    k: int
    """Cohorts in which the quantity can be estimated."""
    mean: float | None
    """Random-effects mean."""
    low: float | None
    """Lower end of its 95% interval (Hartung and Knapp)."""
    high: float | None
    """Upper end of the interval."""
    prediction_low: float | None
    """Lower end of the 95% prediction interval for a new cohort."""
    prediction_high: float | None
    """Upper end of the prediction interval."""
    tau2: float | None
    """Variance between cohorts, on the scale of the log-odds (Paule and Mandel)."""
    i2: float | None
    """Share of the total variance that lies between cohorts."""


@dataclass(frozen=True)
class SeedSpread(Documented):
    """Held-out AUROC of the whole pipeline, repeated with other seeds."""

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
    """Held-out AUROC under the other scheme of holding out."""

    scheme: Scheme
    """The other scheme."""
    auroc: Estimate
    """Held-out AUROC within cohorts."""


@dataclass(frozen=True)
class NullComparison(Documented):
    """Observed AUROC against a permutation null."""

    n: int
    """Permutations whose AUROC could be computed."""
    observed: float | None
    """Held-out AUROC with the outcomes as observed."""
    p: float
    """Share of AUROCs that reach the observed one, this one counted (Phipson and Smyth)."""
    mean: float
    """Mean of the null."""
    sd: float | None
    """Standard deviation of the null."""
    percentile_95: float
    """95th percentile of the null."""


@dataclass(frozen=True)
class PermutationNull(Documented):
    """The pipeline refitted to outcomes permuted within cohort."""

    model: NullComparison
    """Against this model's own null."""
    best_of_all: NullComparison
    """Against the best of all models that compete, chosen anew for each permutation."""
    models: int
    """Models that compete."""


@dataclass(frozen=True)
class BaselinePerformance(Documented):
    """Held-out performance of a baseline on the same folds."""

    name: str
    """Name of the baseline."""
    patients: int
    """Held-out patients."""
    auroc: Estimate
    """AUROC within cohorts."""
    brier: float | None
    """Brier score."""


@dataclass(frozen=True)
class GainOverBaseline(Documented):
    """Difference of AUROC between the model and the strongest covariate baseline, on the same patients."""

    baseline: str
    """Name of the baseline."""
    difference: Estimate
    """AUROC of the model minus that of the baseline, with its paired bootstrap interval."""


@dataclass(frozen=True)
class CohortDecisionCurve(Documented):
    """Net benefit in one cohort, per patient, over threshold probabilities."""

    cohort: str
    """Name of the cohort."""
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
    """AUROC within cohorts."""
    brier: float | None
    """Brier score."""


@dataclass(frozen=True)
class VerdictDifference(Documented):
    """Difference of the Brier score between patients with and without the verdict "ok"."""

    brier_difference: float
    """Brier score without "ok" minus Brier score with it."""
    detectable: float
    """Smallest difference that so many patients show with a power of 80%."""


@dataclass(frozen=True)
class ProbabilityGroup(Documented):
    """Held-out patients whose predicted probability lies in one interval, and their outcomes."""

    probability_from: Share
    """Lower end of the interval, which belongs to it."""
    probability_to: Share
    """Upper end of the interval, which belongs to the next one; the last group includes 1."""
    outcomes: EventRate
    """Outcomes of these patients."""


@dataclass(frozen=True)
class Subgroup(Documented):
    """Held-out AUROC in one subgroup."""

    column: str
    """Column that defines the subgroup, such as sex."""
    level: str
    """Level of the column, or side of its median."""
    patients: int
    """Held-out patients."""
    events: int
    """Of these patients, those who had the outcome."""
    auroc: Estimate
    """AUROC within cohorts."""


# Validation: the training patients.


@dataclass(frozen=True)
class CohortRate(Documented):
    """Outcome rate in one cohort."""

    cohort: str
    """Name of the cohort, or of the cohort and centre, joined by a slash."""
    outcomes: EventRate
    """Outcomes of its training patients."""


@dataclass(frozen=True)
class OutcomeRates(Documented):
    """Outcome rates of the training patients."""

    cohorts: tuple[CohortRate, ...]
    """Rate in each cohort."""
    overall: EventRate
    """Rate of all patients, counted together; as an estimate for another hospital, its interval is too narrow."""
    random_effects: RandomEffectsSummary
    """Mean rate over cohorts, and what to expect of a new one."""


@dataclass(frozen=True)
class CellRates(Documented):
    """Patients cross-classified by response and toxicity; each rate is a share of all of them."""

    patients: int
    """Patients whose response and toxicity are both known."""
    response_without_toxicity: EventRate
    """Response without toxicity: benefit."""
    both: EventRate
    """Response with toxicity."""
    neither: EventRate
    """Neither response nor toxicity."""
    toxicity_without_response: EventRate
    """Toxicity without response: harm alone."""


@dataclass(frozen=True)
class CohortCells(Documented):
    """Cross-classification of one cohort's patients."""

    cohort: str
    """Name of the cohort, or of the cohort and centre, joined by a slash."""
    cells: CellRates
    """The four cells."""


@dataclass(frozen=True)
class JointTable(Documented):
    """Cross-classification of the training patients by one response and one toxicity."""

    response: str
    """Id of the response."""
    toxicity: str
    """Id of the toxicity."""
    cohorts: tuple[CohortCells, ...]
    """The four cells in each cohort."""
    overall: CellRates
    """The four cells over all cohorts."""
    odds_ratio: Estimate | None
    """Odds ratio, pooled over cohorts (Mantel and Haenszel); null where it cannot be estimated."""


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


# Validation: the model and how it came about.


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
class Validation(Documented):
    """Full record of a model's training and validation."""

    evidence: Evidence
    """Summary that each prediction repeats."""
    family: str
    """Family of classifiers."""
    blocks: tuple[str, ...]
    """Blocks of measurements that the model reads."""
    hyperparameters: dict[str, int | float | str]
    """Hyperparameters that inner validation chose."""
    n_features: int
    """Features of the fitted model."""
    preprocessing: dict[str, tuple[str, ...]]
    """Steps that transform each block, in order, in words."""
    missing: tuple[MissingColumn, ...]
    """Columns that some training patients lack."""
    per_cohort: tuple[CohortPerformance, ...]
    """Held-out performance in each cohort."""
    random_effects: RandomEffectsSummary
    """Random-effects meta-analysis of the cohorts' AUROCs."""
    within_cohorts: PooledPerformance
    """Performance within cohorts, averaged over them."""
    calibration_slope: Estimate
    """One calibration slope, with an intercept for each cohort."""
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
    decision_curves: tuple[CohortDecisionCurve, ...]
    """Decision curve of each cohort."""
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

    @staticmethod
    def from_json(content: JsonValue) -> Validation:
        """Read a validation record; errors as in `Evidence.from_json`."""
        return _validation_adapter().validate_python(content)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the record as JSON."""
        return cast(dict[str, JsonValue], _validation_adapter().dump_python(self, mode="json"))


# Building an adapter takes longer than importing everything else here, so it is built when a record is first read or
# written.
@cache
def _evidence_adapter() -> TypeAdapter[Evidence]:
    return TypeAdapter(Evidence)


@cache
def _validation_adapter() -> TypeAdapter[Validation]:
    return TypeAdapter(Validation)
