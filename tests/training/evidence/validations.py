"""Invented validation records: a model without skill on five held-out cohorts, one that passes, one of one cohort."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.evidence import (
    AnalyteDistribution,
    AuditFinding,
    BaselinePerformance,
    CellRates,
    CentreAuroc,
    CentreCalibration,
    CentreCells,
    CentreDecisionCurve,
    CentrePerformance,
    Distributions,
    Estimate,
    Evidence,
    FeatureAttribution,
    GainOverBaseline,
    Histogram,
    JointCounts,
    JointTable,
    LevelCount,
    LevelDistribution,
    MissingColumn,
    ModelAttribution,
    NullComparison,
    OtherScheme,
    PermutationNull,
    PooledPerformance,
    PriorExperiments,
    ProbabilityGroup,
    RandomEffectsSummary,
    RangeCoverage,
    SampleSize,
    SeedSpread,
    SetCoverage,
    ShapShare,
    Subgroup,
    TaxonDistribution,
    TrainingCohort,
    TrainingPopulation,
    Validation,
    VerdictDifference,
    VerdictPerformance,
    WithoutCohort,
)
from models.rates import event_rate
from training.evidence.card import model_card
from training.evidence.rates import outcome_rates
from training.evidence.scores import HeldOutScores
from training.validation.permutation_null import ModelNull, NullDistributions

POPULATION = TrainingPopulation({"melanoma": 150, "lung_non_small_cell": 30}, {}, {"anti-PD-1": 185})
NOT_ESTIMABLE = Estimate(None, None, None)
RNG = np.random.default_rng(0)
NULL = NullDistributions(
    ModelNull(RNG.normal(0.5, 0.04, 200)),
    RNG.normal(0.56, 0.03, 200),
    12,
    np.random.default_rng(1).normal(0.57, 0.03, 200),
)


def card_of(validation: Validation) -> str:
    """Return the card of a model whose training patients are `POPULATION`."""
    return model_card(validation, POPULATION)


def centre_performance(name: str, patients: int, events: int, auroc: Estimate) -> CentrePerformance:
    prevalence = events / patients
    return CentrePerformance(
        centre=name,
        patients=patients,
        events=events,
        prevalence=prevalence,
        auroc=auroc,
        margin_auroc=auroc,
        auprc=Estimate(prevalence + 0.05, prevalence - 0.1, prevalence + 0.2),
        brier=prevalence * (1 - prevalence) + 0.006,
        prevalence_brier=prevalence * (1 - prevalence),
        brier_skill=-0.025,
        calibration=CentreCalibration(prevalence - 0.43, 0.1, Estimate(0.31, -0.4, 1.02)),
        venn_abers=RangeCoverage(0.38, 0.47, prevalence, 0.38 <= prevalence <= 0.47, 0.09),
        conformal=SetCoverage(0.9, 0.89, 0.12, 0.88, 0.0),
    )


def centre_auroc(row: CentrePerformance) -> CentreAuroc:
    return CentreAuroc(row.centre, row.patients, row.events, row.auroc)


def training_cohort(name: str, **changes: object) -> TrainingCohort:
    cohort = TrainingCohort(
        name=name,
        title=f"{name.title()}, melanoma",
        clock="day_ici",
        index_event="first dose",
        profiler="mpa_vOct22_CHOCOPhlAnSGB_202212",
        citation=f"{name.title()}, Nature Medicine",
        licence="CC-BY-4.0",
        simulated=False,
    )
    return replace(cohort, **changes)


def decision_curve(row: CentrePerformance) -> CentreDecisionCurve:
    thresholds = np.linspace(0.05, 0.8, 16)
    treat_all = row.prevalence - (1 - row.prevalence) * thresholds / (1 - thresholds)
    model = np.maximum(treat_all, 0.02 * (1 - thresholds))
    return CentreDecisionCurve(
        centre=row.centre,
        patients=row.patients,
        events=row.events,
        indicative=row.events < 100,
        thresholds=tuple(thresholds.tolist()),
        model=tuple(model.tolist()),
        low=tuple((model - 0.08).tolist()),
        high=tuple((model + 0.08).tolist()),
        treat_all=tuple(treat_all.tolist()),
    )


def rates(rows: tuple[CentrePerformance, ...]):
    y = np.concatenate([np.arange(row.patients) < row.events for row in rows]).astype(float)
    return outcome_rates(y, np.array([row.centre for row in rows for _ in range(row.patients)], dtype=object))


def cells(*counts: int) -> CellRates:
    return CellRates(sum(counts), *(event_rate(count, sum(counts)) for count in counts))


PER_CENTRE = (
    centre_performance("lee_2022/Leeds", 18, 9, Estimate(0.61, 0.34, 0.84)),
    centre_performance("lee_2022/Manchester", 31, 14, Estimate(0.47, 0.28, 0.67)),
    centre_performance("frankel_2017", 39, 19, Estimate(0.55, 0.37, 0.72)),
    centre_performance("matson_2018", 39, 15, Estimate(0.58, 0.39, 0.75)),
    centre_performance("mitox", 58, 21, Estimate(0.44, 0.29, 0.60)),
)
EVIDENCE = Evidence(
    outcome="objective_response",
    definition="complete or partial response (RECIST)",
    sentence="no evidence of discrimination on held-out cohorts (AUROC of the probability "
    "0.52, 0.44-0.60; 5 centres of 4 cohorts, 185 patients)",
    beats_chance=False,
    simulated=False,
    pooled_labels=False,
    patients=185,
    events=78,
    cohorts=(
        training_cohort("lee_2022", index_event="first dose of anti-PD-1"),
        training_cohort("frankel_2017", profiler=None),
        training_cohort("matson_2018", licence="not stated"),
        training_cohort("mitox"),
    ),
    landmark=30.0,
    window=90.0,
    clocks=("day_ici",),
    scheme="loco",
    held_out_auroc=Estimate(0.52, 0.44, 0.60),
    auroc_of="probability",
    margin_auroc=Estimate(0.56, 0.48, 0.64),
    held_out_brier=0.251,
    prevalence_brier=0.241,
    per_centre=tuple(map(centre_auroc, PER_CENTRE)),
    odds_ratios=(),
    models_compared=12,
    notes=("lee_2022: 60 patients with stool; excluded: 11 with unknown outcome",),
    taxokine_version="0.1.0",
)
DISTRIBUTIONS = Distributions(
    patients=185,
    immune={
        "IL-6": AnalyteDistribution(58, 3, 0, {25: 1.2, 50: 3.25, 75: 9.0}, Histogram((3.25,), (29, 29)), "pg/mL"),
        "IL-8": AnalyteDistribution(12, 0, 0, None, None, "pg/mL"),
    },
    clinical={"sex": LevelDistribution(181, {"female": LevelCount(71, 71 / 181), "male": LevelCount(110, 110 / 181)})},
    taxa={
        "Faecalibacterium_prausnitzii": TaxonDistribution(170, 170 / 185, None),
        "Akkermansia_muciniphila": TaxonDistribution(80, 80 / 185, None),
    },
)
JOINT_COUNTS = JointCounts(
    tables=(
        JointTable(
            response="objective_response",
            toxicity="toxicity_any",
            centres=(
                CentreCells("mitox", cells(9, 12, 23, 14)),
                CentreCells("lee_2022/Manchester", cells(5, 9, 17, 16)),
            ),
            overall=cells(14, 21, 40, 30),
            odds_ratio=Estimate(1.94, 0.84, 4.51),
        ),
        JointTable(
            response="objective_response",
            toxicity="toxicity_3",
            centres=(CentreCells("mitox", cells(21, 0, 37, 0)),),
            overall=cells(21, 0, 37, 0),
            odds_ratio=None,
        ),
    ),
    reason=None,
)
ATTRIBUTION = ModelAttribution(
    blocks=(ShapShare("taxa", 0.84), ShapShare("clinical", 0.16)),
    clades=(ShapShare("Lachnospiraceae", 0.41), ShapShare("Bacteroides", 0.22), ShapShare("not placed", 0.21)),
    features=(
        FeatureAttribution("Faecalibacterium_prausnitzii", "taxa", 0.11, 1, 0.8),
        FeatureAttribution("age", "clinical", 0.07, -1, 1.0),
        FeatureAttribution("Bacteroides_uniformis", "taxa", 0.05, -1, 0.6),
        FeatureAttribution("Candidatus_Cibionibacter_quicibialis", "taxa", 0.02, 0, 0.2),
        FeatureAttribution("GGB9534_SGB14937", "taxa", 0.0, 0, 0.0),
    ),
)
CONFOUNDED = AuditFinding(
    code="confounded-block",
    severity="warning",
    cohort="mitox",
    rows=58,
    description="read length alone reaches AUROC 0.66",
    consequence="a model may learn the sequencer",
    remedy="compare with the technical baseline",
    waived=False,
)
CONTRADICTION = AuditFinding(
    code="outcome-contradiction",
    severity="error",
    cohort="frankel_2017",
    rows=2,
    description="2 patients respond by one column and not by another",
    consequence="one of the columns is wrong",
    remedy="ask the authors",
    waived=True,
)
LOCO = Validation(
    evidence=EVIDENCE,
    family="elastic_net",
    blocks=("taxa", "clinical"),
    hyperparameters={"l1_ratio": 0.5, "lambda_ratio": 0.2371},
    n_features=241,
    preprocessing={
        "taxa": ("taxa detected in 10% to 100% of the training samples", "centred log-ratios"),
        "clinical": ("rarely measured columns dropped, gaps filled with the training mean",),
    },
    missing=(MissingColumn("clinical", "ecog", 0.42, "training median"),),
    per_centre=PER_CENTRE,
    random_effects=RandomEffectsSummary(5, 0.52, 0.44, 0.60, 0.41, 0.63, 0.02, 0.11),
    margin_random_effects=RandomEffectsSummary(5, 0.56, 0.48, 0.64, 0.45, 0.67, 0.02, 0.11),
    within_centres=PooledPerformance(
        Estimate(0.519, 0.44, 0.59), Estimate(0.55, 0.47, 0.62), Estimate(0.47, 0.40, 0.55), 0.251, 0.241, -0.041
    ),
    calibration_slope=Estimate(0.22, -0.19, 0.63),
    seeds=SeedSpread(10, 0.515, 0.012, (0.519, 0.498, 0.531, 0.512, 0.509, 0.525, 0.520, 0.497, 0.516, 0.523)),
    other_scheme=OtherScheme("cv", Estimate(0.56, 0.48, 0.64)),
    permutation=PermutationNull(
        model=NullComparison(200, 0.519, 0.31, 0.50, 0.041, 0.567),
        best_of_all=NullComparison(200, 0.561, 0.42, 0.556, 0.030, 0.611),
        models=12,
        conditional=NullComparison(200, 0.519, 0.94, 0.57, 0.030, 0.621),
    ),
    baselines=(
        BaselinePerformance("clinical", 185, Estimate(0.57, 0.49, 0.65), 0.24),
        BaselinePerformance("technical", 127, Estimate(0.53, 0.43, 0.62), 0.245),
        BaselinePerformance("clinical + technical", 185, Estimate(0.56, 0.48, 0.63), 0.243),
        BaselinePerformance("published signature", 185, Estimate(0.55, 0.47, 0.62), None),
    ),
    gain=GainOverBaseline(
        "clinical + technical",
        Estimate(-0.04, -0.13, 0.05),
        RandomEffectsSummary(5, -0.035, -0.16, 0.09, -0.21, 0.14, 0.004, 0.2),
    ),
    without_cohort=tuple(
        WithoutCohort(
            name, 185 - n, 78 - events, Estimate(0.51, low, 0.61), Estimate(gain, gain - 0.1, gain + 0.1), 0.35
        )
        for name, n, events, low, gain in (
            ("lee_2022", 49, 23, 0.43, -0.05),
            ("frankel_2017", 39, 19, 0.42, -0.04),
            ("matson_2018", 39, 15, 0.41, -0.07),
            ("mitox", 58, 21, 0.45, 0.01),
        )
    ),
    decision_curves=tuple(map(decision_curve, PER_CENTRE)),
    by_verdict=(
        VerdictPerformance("ok", 88, 37, 0.53, 0.248),
        VerdictPerformance("use with care", 91, 39, 0.50, 0.253),
        VerdictPerformance("abstain", 6, 2, None, 0.29),
    ),
    verdict_difference=VerdictDifference(0.005, 0.031),
    outcomes_by_probability=(
        ProbabilityGroup(0.0, 0.41, event_rate(36, 92)),
        ProbabilityGroup(0.41, 1.0, event_rate(42, 93)),
    ),
    subgroups=(
        Subgroup("sex", "female", 71, 29, Estimate(0.50, 0.37, 0.63)),
        Subgroup("sex", "male", 110, 47, Estimate(0.53, 0.43, 0.63)),
        Subgroup("age", "above median", 90, 40, Estimate(0.52, 0.41, 0.63)),
        Subgroup("regimen", "anti-CTLA-4", 3, 0, NOT_ESTIMABLE),
    ),
    rates=rates(PER_CENTRE),
    response_and_toxicity=JOINT_COUNTS,
    distributions=DISTRIBUTIONS,
    attribution=ATTRIBUTION,
    sample_size=SampleSize(185, 241, 3120, 1316, "shrinkage", 14),
    audit_findings=(CONFOUNDED, CONTRADICTION),
    prior_experiments=PriorExperiments(7, 84),
    seed=0,
    software={"python": "3.11.2", "numpy": "2.3.4", "scikit-learn": "1.8.0", "xgboost": "3.2.0"},
)
"""A model without skill on five held-out cohorts."""


def strong() -> Validation:
    """Return a simulated model that passes every gate."""
    better = {
        "auroc": Estimate(0.81, 0.68, 0.91),
        "calibration": CentreCalibration(0.02, 0.1, Estimate(1.1, 0.6, 1.6)),
    }
    test = LOCO.permutation
    return replace(
        LOCO,
        evidence=replace(
            EVIDENCE,
            simulated=True,
            beats_chance=True,
            held_out_auroc=Estimate(0.81, 0.77, 0.85),
            margin_auroc=Estimate(0.81, 0.77, 0.85),
            sentence="simulated data: on held-out cohorts this model performed better than chance (AUROC of the "
            "probability 0.81, 0.77-0.85; 5 centres of 4 cohorts, 185 patients)",
        ),
        per_centre=tuple(replace(row, **better) for row in PER_CENTRE),
        random_effects=RandomEffectsSummary(5, 0.81, 0.77, 0.85, 0.72, 0.88, 0.02, 0.11),
        within_centres=replace(LOCO.within_centres, auroc=Estimate(0.81, 0.75, 0.87), brier=0.178, brier_skill=0.26),
        permutation=replace(
            test,
            model=replace(test.model, observed=0.81, p=0.005),
            best_of_all=replace(test.best_of_all, observed=0.81, p=0.005),
        ),
        calibration_slope=Estimate(1.05, 0.8, 1.3),
        gain=replace(LOCO.gain, difference=Estimate(0.27, 0.19, 0.35)),
        without_cohort=tuple(
            replace(row, auroc=Estimate(0.8, 0.72, 0.86), gain=Estimate(0.25, 0.15, 0.35), permutation_p=0.005)
            for row in LOCO.without_cohort
        ),
        sample_size=replace(LOCO.sample_size, needed=180, parameters=12),
        audit_findings=(CONFOUNDED,),
    )


def single() -> Validation:
    """Return a model without skill on one small cohort."""
    row = replace(
        centre_performance("mine", 24, 11, Estimate(0.61, 0.34, 0.84)),
        brier_skill=None,
        calibration=CentreCalibration(0.0, None, NOT_ESTIMABLE),
        venn_abers=None,
        conformal=None,
    )
    return replace(
        LOCO,
        evidence=replace(
            EVIDENCE,
            scheme="cv",
            patients=24,
            events=11,
            cohorts=(training_cohort("mine", profiler=None),),
            per_centre=(centre_auroc(row),),
            held_out_auroc=Estimate(0.61, 0.34, 0.84),
            margin_auroc=Estimate(0.61, 0.34, 0.84),
            models_compared=1,
            notes=(),
            sentence="no evidence of discrimination on held-out patients of its own cohort "
            "(AUROC of the probability 0.61, 0.34-0.84; 1 cohort, 24 patients)",
        ),
        blocks=("immune",),
        preprocessing={"immune": ("concentrations and counts as log10",)},
        missing=(),
        per_centre=(row,),
        random_effects=RandomEffectsSummary(1, 0.61, None, None, None, None, None, None),
        margin_random_effects=RandomEffectsSummary(1, 0.61, None, None, None, None, None, None),
        within_centres=PooledPerformance(
            *[Estimate(0.61, 0.34, 0.84)] * 2, Estimate(0.55, 0.4, 0.7), 0.25, 0.248, -0.008
        ),
        calibration_slope=NOT_ESTIMABLE,
        seeds=SeedSpread(1, 0.61, None, (0.61,)),
        other_scheme=None,
        permutation=None,
        baselines=(),
        gain=None,
        without_cohort=(),
        decision_curves=(decision_curve(row),),
        by_verdict=(VerdictPerformance("ok", 24, 11, 0.61, 0.25),),
        verdict_difference=None,
        outcomes_by_probability=(),
        subgroups=(),
        rates=rates((row,)),
        response_and_toxicity=JointCounts(
            (), "no cohort reports the toxicity of the patients whose objective_response is known"
        ),
        distributions=Distributions(
            24, {"IL-6": AnalyteDistribution(24, 0, 0, {25: 1.2, 50: 3.25, 75: 9.0}, None, "pg/mL")}, {}, {}
        ),
        attribution=ModelAttribution(
            (ShapShare("immune", 0.0),), (), (FeatureAttribution("IL-6", "immune", 0.0, 0, 0.0),)
        ),
        sample_size=SampleSize(24, 9, 640, 1316, "shrinkage", 0),
        audit_findings=(),
        prior_experiments=PriorExperiments(0, 0),
    )


def held_out_scores(validation: Validation, seed: int = 0) -> HeldOutScores:
    """Return held-out predictions of as many patients and events as each cohort has."""
    rng = np.random.default_rng(seed)
    centres = validation.per_centre
    y = np.concatenate([np.arange(centre.patients) < centre.events for centre in centres]).astype(float)
    names = np.array([centre.centre for centre in centres for _ in range(centre.patients)], dtype=object)
    shift = 1.2 if validation.within_centres.auroc.value > 0.7 else 0.1
    margin = rng.normal(0, 1, len(y)) + shift * (y - 0.5)
    probability = 1 / (1 + np.exp(-(margin * shift - 0.3)))
    folds = np.unique(names.astype(str), return_inverse=True)[1][None]
    return HeldOutScores(np.arange(len(y)), y, names, folds, margin[None], probability[None])
