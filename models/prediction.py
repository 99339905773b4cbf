"""The prediction: what the API returns, the pages show and batches tabulate, one dataclass for each of its parts.

Each field is documented by the string below it; pydantic reads these strings into the OpenAPI document
(`serving.schemas`), so that the shape is written here and nowhere else.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from features.columns import BLOCKS, Column
from models.evidence import DEMONSTRATION, Documented, Estimate, Evidence, PooledOddsRatio

BlockName = Annotated[str, Field(json_schema_extra={"enum": list(BLOCKS)})]
Verdict = Literal["ok", "use with care", "abstain"]
Use = Literal["ok", "use with care", "not shown to work", "demonstration only", "abstain"]
"""What pages and texts say of the use of a prediction."""
Probability = Annotated[float, Field(ge=0, le=1)]
PROGNOSTIC = (
    "Prognostic: no randomised arm stands behind this model. The probability is that of patients like this one under "
    "the treatments that the training patients had; it does not say what a transplant or another treatment changes."
)
"""How to read every probability: no model that is served estimates the difference between randomised arms."""
LEARNT_FROM_PATIENT = "the model learnt from this patient, so that its probability repeats the outcome"
"""Why nothing is computed from the probability of a training patient."""


@dataclass(frozen=True)
class ReportedValue(Documented):
    """A measurement that is no plain number: beyond a limit of its assay, or extrapolated by the assay's software."""

    text: str
    """How it reads, in the model's unit: "<3.2", ">1000", "below range" without a known limit, "*0.42" extrapolated."""
    side: Literal["below", "above"] | None
    """The side of the assay's range; null where the value lies within it."""
    limit: float | None
    """The limit beyond which the value lies, in the model's unit; null where it is not known."""


@dataclass(slots=True)
class Contribution(Documented):
    """What one feature adds to the margin.

    A prediction holds hundreds. A frozen dataclass takes four times as long to create; one with slots is created and
    written a tenth faster than one without.
    """

    feature: str
    """Name of the taxon, analyte, clinical column or diversity index."""
    block: BlockName
    """The block of measurements that the feature comes from."""
    value: float | None
    """The measurement, in the model's unit; null where it is missing or lies beyond a limit of its assay."""
    shap: float
    """SHAP value: its part of the margin; multiplied by the calibration's slope, of the log-odds of the probability."""
    unit: str | None = None
    """The model's unit of the measurement, as "pg/mL" or "proportion"; null where it has none, or none was stated."""
    reported: ReportedValue | None = None
    """The measurement where it lies beyond a limit of its assay, or is extrapolated; null for all others."""


@dataclass(frozen=True)
class PlattCalibration(Documented):
    """Platt's calibration of a margin: probability = 1 / (1 + exp(-(slope * margin + intercept)))."""

    slope: float
    """Multiplies the margin."""
    intercept: float
    """Added to the product."""


@dataclass(frozen=True)
class Explanation(Documented):
    """SHAP explanation: `base_value` and all `shap` add up to `value`, of which `calibration` makes the probability."""

    scale: Literal["log-odds"]
    """The scale of `base_value`, `value` and every SHAP value: log-odds before calibration."""
    base_value: float
    """Margin of the average training patient; 0 for a linear model. Its calibration is no prevalence."""
    value: float
    """Margin of this patient."""
    contributions: list[Contribution]
    """One for each feature of the model, in the model's order."""
    calibration: PlattCalibration
    """Turns `value` into the probability."""


@dataclass(frozen=True)
class ProbabilityRange(Documented):
    """Venn-Abers range: two calibrated probabilities of all patients with this margin; no confidence interval."""

    low: Probability
    """Lower end."""
    high: Probability
    """Upper end."""
    method: Literal["Venn-Abers"]
    """How the range was computed."""
    meaning: str
    """How to read the range."""


@dataclass(frozen=True)
class ModelReference(Documented):
    """The registered model that made the prediction."""

    name: str
    """Name in the registry."""
    version: str
    """Version in the registry; empty for a bundle outside it."""
    run_id: str
    """MLflow run that trained the model; empty for a bundle outside the registry."""
    alias: str
    """Registry alias under which the model is served, such as champion or candidate-taxa."""
    family: str
    """Family of classifiers: elastic_net, xgboost or xgboost_forest."""
    blocks: tuple[BlockName, ...]
    """Blocks of measurements that the model needs."""


@dataclass(frozen=True)
class Trust(Documented):
    """Whether the patient lies in the model's applicability domain, and the facts that the rules compared.

    A fact of a block that the model does not use is null, or an empty list.
    """

    verdict: Verdict
    """The gravest verdict of all rules; a model that abstains gives no probability."""
    reasons: tuple[str, ...]
    """Why the verdict is not "ok", one sentence for each rule that the patient fails."""
    unused: tuple[str, ...]
    """Names in the request that had no effect, since the model does not use them."""
    missing_blocks: tuple[str, ...]
    """Blocks that the model needs and the request lacks."""
    taxa_present: float | None
    """Share of the model's taxa that were detected in the profile."""
    immune_present: float | None
    """Share of the model's analytes that were measured."""
    clinical_present: float | None
    """Share of the model's clinical columns that were reported."""
    taxa_recognised: float | None
    """Share of the profile's abundance in taxa that occur in the training cohorts."""
    profiler_match: bool | None
    """Whether a training cohort used the same profiler; null where the profiler was not reported."""
    clock_match: bool | None
    """Whether the sample's day is counted on a clock of the model; null where the clock was not reported."""
    distance: float | None
    """Mean Aitchison distance to the nearest training patients; null for bundles of protocol 1."""
    distance_percentile: float | None
    """Percentage of the training patients' held-out distances that are smaller; 100 is beyond all of them."""
    richness_percentile: float | None
    """Percentage of training patients in whom no more taxa were detected."""
    nearest_centre: str | None
    """Training centre whose profiles are nearest; a cohort whose manifest names no centres is one."""
    nearest_centre_auroc: Estimate | None
    """Held-out AUROC of the model in the nearest centre."""
    unit_unstated: tuple[str, ...]
    """Measured analytes whose unit was not reported."""
    out_of_range: tuple[str, ...]
    """Analytes and clinical numbers outside the range of all training patients."""
    decisive: tuple[str, ...] = ()
    """Names of the rules that led to the verdict, such as coverage or distance; empty where it is "ok"."""
    training_similarity: float | None = None
    """Similarity (cosine of log abundances) to the most similar training profile; null below 10 detected taxa."""
    tumour_type_patients: int | None = None
    """Training patients with the patient's tumour type; null where it is not reported, or an old bundle lacks it."""
    treatment_line_patients: int | None = None
    """Training patients with the patient's line of treatment; null where not reported, or an old bundle lacks it."""
    drug_class_patients: int | None = None
    """Training patients with the patient's class of drugs; null where it is not reported, or an old bundle lacks it."""
    in_training_set: bool | None = None
    """Whether the profile is that of a training patient's stool sample; null where it cannot be compared."""
    unknown_blocks: tuple[BlockName, ...] = ()
    """Of the missing blocks, those of which the request has measurements, none of which the model knows."""


@dataclass(frozen=True)
class NearestOutcomes(Documented):
    """Outcome of the training patients with the nearest profiles, counted together."""

    outcome: str
    """Outcome that was counted: the model's own, or one of the other side (response, toxicity)."""
    patients: int
    """Of the 25 nearest training patients (Aitchison distance), those whose outcome is known; 20 or more."""
    events: int
    """Of these patients, those who had the outcome."""
    rate: Probability
    """Share of these patients who had the outcome."""
    low: Probability
    """Lower end of the exact 95% interval (Clopper and Pearson)."""
    high: Probability
    """Upper end of the interval."""


@dataclass(frozen=True)
class LandmarkChoice(Documented):
    """Which landmark the model is of, and why: the latest that the patient has reached by the last visit."""

    day: float
    """Landmark of the model: the last day whose measurements it was trained on."""
    served: tuple[float, ...]
    """Landmarks for which models of this outcome are served, in order."""
    last_visit: float | None
    """Day of the patient's last visit, or of the last dated measurement; null where nothing is dated."""
    stool_day: float | None
    """Day of the stool sample that the model reads; null where it is not dated, or the model reads none."""
    reason: str
    """Why the model of this landmark predicts, in a sentence."""


@dataclass(frozen=True)
class Prediction(Documented):
    """Prediction of one outcome for one patient."""

    outcome: str
    """Id of the outcome, such as objective_response or toxicity_3."""
    definition: str
    """Clinical definition of the outcome."""
    probability: Probability | None
    """Calibrated probability of the outcome; null where the model abstains."""
    probability_range: ProbabilityRange | None
    """Range around the probability; null where the model has none, or abstains."""
    unconfirmed_reason: str | None
    """That the probability is not confirmed: held-out patients with a similar one had the outcome more or less often
    than predicted. Null where they had it as often, where there are none, or the model learnt from the patient."""
    explanation: Explanation | None
    """SHAP explanation of the probability; null where the model abstains."""
    model: ModelReference
    """The model that made the prediction."""
    evidence: Evidence
    """What the model was trained and validated on."""
    trust: Trust
    """Whether the model applies to this patient, and why."""
    nearest: tuple[NearestOutcomes, ...]
    """Outcomes of the nearest training patients; empty where the model abstains or has no reference set."""
    simulated: bool
    """Whether the model was trained on simulated patients."""
    landmark: LandmarkChoice
    """The landmark of the model, and why the model of this one predicts."""
    donor_part: str
    """What part the donor has in the probability, or that the model reads nothing of a donor."""
    interpretation: str = PROGNOSTIC
    """What the probability means: prognostic, where no randomised arm stands behind the model."""


def use_of(verdict: Verdict, evidence: Evidence) -> Use:
    """Return what a prediction may be used for.

    Parameters
    ----------
    verdict : Verdict
        Whether the model applies to the patient.
    evidence : Evidence
        Of the model: of simulated patients, it is for demonstration; without discrimination, it works for nobody.
    """
    if verdict == "abstain":
        return verdict
    if evidence.simulated:
        return "demonstration only"
    return "not shown to work" if evidence.beats_chance is False else verdict


def reservations(prediction: Prediction) -> tuple[str, ...]:
    """Return the reasons against "ok" but the evidence and simulated training data, which texts state before them."""
    return domain_reasons(prediction.trust, prediction.evidence)


def domain_reasons(trust: Trust, evidence: Evidence) -> tuple[str, ...]:
    """Return the reasons that concern the patient alone: none where the patient resembles the training patients."""
    model_sentences = {evidence.sentence, f"the model {DEMONSTRATION}"}
    return tuple(reason for reason in trust.reasons if reason not in model_sentences)


def variable_name(contribution: Contribution) -> str:
    """Return what a contribution is a reason of: the clinical field of a level, else the feature itself."""
    if contribution.block != "clinical":
        return contribution.feature
    column = Column.from_name(contribution.block, contribution.feature)
    return column.field if column.level else contribution.feature


def largest_contributions(explanation: Explanation, n: int) -> list[Contribution]:
    """Return the `n` contributions of the largest absolute SHAP values, for texts.

    The levels of a clinical field are one contribution, named by the level that the patient has: a man's `sex=female`
    is no reason beside his `sex=male`.
    """
    contributions: list[Contribution] = []
    levels: defaultdict[str, list[Contribution]] = defaultdict(list)
    for item in explanation.contributions:
        if (name := variable_name(item)) == item.feature:
            contributions.append(item)
        else:
            levels[name].append(item)
    for field, items in levels.items():
        level = next((item for item in items if item.value), None)
        name, value = (field, None) if level is None else (level.feature, level.value)
        contributions.append(Contribution(name, "clinical", value, math.fsum(item.shap for item in items)))
    return sorted(contributions, key=lambda item: -abs(item.shap))[:n]


@dataclass(frozen=True)
class Cell(Documented):
    """Probability of one of the four combinations of response and toxicity."""

    low: Probability | None
    """Lower Fréchet bound, which holds whatever the dependence of the two outcomes."""
    high: Probability | None
    """Upper Fréchet bound."""
    expected: Probability | None
    """Plackett estimate under `odds_ratio`; null where it is not known, or held-out cells contradict it."""


@dataclass(frozen=True)
class JointOutcome(Documented):
    """Response and toxicity of one patient, cross-classified in four cells.

    All cells are null where no model predicts one side, or a model abstains or learnt from the patient.
    """

    outcomes: tuple[str, ...]
    """Ids of the response and of the toxicity."""
    reason: str | None
    """Why there are no probabilities; null where there are."""
    unconfirmed_reason: str | None
    """That a prediction which the cells join is not confirmed, so that no page shows them; else null."""
    response_without_toxicity: Cell
    """Response without toxicity: benefit."""
    response_with_toxicity: Cell
    """Response with toxicity."""
    no_response_no_toxicity: Cell
    """Neither response nor toxicity."""
    toxicity_without_response: Cell
    """Toxicity without response: harm alone."""
    odds_ratio: PooledOddsRatio | None
    """Odds ratio behind the Plackett estimates, of held-out predictions where they allow it, else of counts; null below
    100 patients, for older bundles, and where the model of toxicity counts events by a day and has none of its own."""
    meaning: str | None
    """How to read the Plackett estimates, or why held-out cells forbid them; null without an odds ratio."""


@dataclass(frozen=True)
class BenefitBounds(Documented):
    """Fréchet bounds of the probability of response without toxicity."""

    low: Probability | None
    """Lower bound."""
    high: Probability | None
    """Upper bound."""
    outcomes: tuple[str, ...]
    """Ids of the response and of the toxicity."""
    reason: str | None
    """Why there are no bounds; null where there are."""
    unconfirmed_reason: str | None
    """As that of the cells."""
