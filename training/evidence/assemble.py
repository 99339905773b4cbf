"""Assemble the validation record of one model from its held-out predictions."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version

from features.arrays import Vector
from features.feature_table import CohortContext, FeatureTable
from features.outcomes import definition_of
from models.evidence import (
    AuditFinding,
    CentreAuroc,
    CentrePerformance,
    Estimate,
    Evidence,
    PermutationNull,
    PooledOddsRatio,
    PooledPerformance,
    PriorExperiments,
    SampleSize,
    Scheme,
    TrainingCohort,
    Validation,
)
from training.evidence.attribution import shap_attribution
from training.evidence.distributions import training_distributions
from training.evidence.joint_cells import Counterpart, held_out_odds_ratio
from training.evidence.joint_counts import count_response_and_toxicity, transferable_odds_ratios
from training.evidence.performance import (
    baseline_performance,
    centre_performance,
    gain_over,
    headline,
    other_scheme_performance,
    performance_without_blocks,
    permutation_test,
    pooled_performance,
    seed_spread,
    strongest_covariates,
)
from training.evidence.preprocessing import missing_columns, preprocessing_steps
from training.evidence.rates import outcome_rates, outcomes_by_probability
from training.evidence.scores import HeldOutScores, first_seed_folds, gather_scores, main_scheme, reported
from training.evidence.sentence import evidence_sentence
from training.evidence.subgroups import subgroup_performance
from training.evidence.verdicts import held_out_verdicts, performance_by_verdict, verdict_difference
from training.evidence.without_cohort import performance_without_cohorts
from training.statistics.auroc_meta_analysis import auroc_random_effects
from training.statistics.calibration import calibration_slope
from training.statistics.decision import decision_curves
from training.statistics.sample_size import development_size, r2_of_auroc
from training.statistics.significance import ALPHA
from training.validation.folds import centres
from training.validation.permutation_null import NullDistributions
from training.validation.validated_blocks import ValidatedBlocks


@dataclass(frozen=True)
class ExperimentContext:
    """What an experiment knows of all its models.

    Attributes
    ----------
    outcome : str
    models_compared : int
        Models that the experiment trains, of which the best is chosen.
    pooled_labels : bool
        Whether published labels of different meaning are pooled.
    notes : tuple of str
        Remarks on the data.
    audit_findings : tuple of AuditFinding
    prior_experiments : PriorExperiments
    seed : int
    counterparts : tuple of Counterpart
        Held-out predictions of the registered models of the other side (response, toxicity).
    by_day : float, optional
        Last day on which an adverse event counts.
    """

    outcome: str
    models_compared: int
    pooled_labels: bool
    notes: tuple[str, ...]
    audit_findings: tuple[AuditFinding, ...]
    prior_experiments: PriorExperiments
    seed: int
    counterparts: tuple[Counterpart, ...] = ()
    by_day: float | None = None


def summarise(
    validated: ValidatedBlocks, family: str, null: NullDistributions | None, context: ExperimentContext
) -> Validation:
    """Return the validation record of one family on one set of blocks.

    Parameters
    ----------
    validated : ValidatedBlocks
        Rows, held-out predictions of every family and of the baselines, in the same folds.
    family : str
    null : NullDistributions or None
        AUROCs of the pipeline refitted to permuted outcomes; None where not computed.
    context : ExperimentContext
    """
    table, y, config = validated.table, validated.y, validated.config
    held_out, fit = validated.families[family].held_out, validated.family_fit(family)
    scheme = main_scheme([prediction.fold for prediction in held_out])
    scores = gather_scores(table, y, held_out, scheme)
    baselines = {
        name: gather_scores(table, y, predictions, scheme) for name, predictions in validated.baselines.items()
    }
    served, margin = (
        auroc_random_effects(scores.ranked_centres(score)) for score in (scores.probability, scores.margin)
    )
    covariates = strongest_covariates(scores, baselines)
    pooled, per_centre = pooled_performance(scores), centre_performance(scores, held_out, scheme)
    permutation = None if null is None else permutation_test(null, scores.mean_auroc(scores.probability))
    joint_counts = count_response_and_toxicity(table, context.outcome)
    verdicts = held_out_verdicts(table, scores, held_out, scheme) if "taxa" in config.blocks else None
    odds_ratios = (*_held_out_odds_ratios(table, scores, context), *transferable_odds_ratios(joint_counts))
    evidence = replace(_training_evidence(table, y, context), scheme=scheme, odds_ratios=odds_ratios)
    evidence = _concluded(_with_performance(evidence, scores, pooled, per_centre), permutation, context)
    return Validation(
        evidence=evidence,
        family=family,
        blocks=config.blocks,
        hyperparameters=fit.setting,
        n_features=len(fit.encoder.features_),
        preprocessing=preprocessing_steps(fit.encoder),
        missing=missing_columns(table, fit.encoder),
        per_centre=per_centre,
        random_effects=served,
        margin_random_effects=margin,
        within_centres=pooled,
        calibration_slope=reported(calibration_slope(scores.y, scores.probability[0], scores.centres)),
        seeds=seed_spread(scores),
        other_scheme=other_scheme_performance(table, y, held_out, scheme),
        permutation=permutation,
        baselines=baseline_performance(baselines),
        gain=None if covariates is None else gain_over(scores, covariates, baselines[covariates]),
        without_cohort=performance_without_cohorts(
            table, scores, baselines.get(covariates or ""), None if null is None else null.model
        ),
        decision_curves=tuple(decision_curves(scores.y, scores.probability[0], scores.centres).values()),
        by_verdict=() if verdicts is None else performance_by_verdict(scores, verdicts),
        verdict_difference=None if verdicts is None else verdict_difference(scores, verdicts),
        outcomes_by_probability=outcomes_by_probability(scores.y, scores.probability[0]),
        subgroups=subgroup_performance(table, scores),
        rates=outcome_rates(y, centres(table.rows)),
        response_and_toxicity=joint_counts,
        distributions=training_distributions(table, fit.encoder),
        attribution=shap_attribution(table, y, config, family, fit, first_seed_folds(held_out, scheme)),
        sample_size=_sample_size(y, len(fit.encoder.features_), evidence.held_out_auroc),
        audit_findings=context.audit_findings,
        prior_experiments=context.prior_experiments,
        seed=context.seed,
        software=_software(),
        without_block=performance_without_blocks(scores, _scores_without_blocks(validated, family, scheme)),
        incomplete_cohorts=validated.incomplete_cohorts,
    )


def _held_out_odds_ratios(
    table: FeatureTable, scores: HeldOutScores, context: ExperimentContext
) -> Iterator[PooledOddsRatio]:
    for counterpart in context.counterparts:
        odds_ratio = held_out_odds_ratio(table, context.outcome, scores, counterpart)
        if odds_ratio is not None:
            yield odds_ratio


def _scores_without_blocks(validated: ValidatedBlocks, family: str, scheme: Scheme) -> dict[str, HeldOutScores]:
    """Return one family's held-out predictions for the same rows without each block, by block."""
    return {
        block: gather_scores(validated.table, validated.y, families[family], scheme)
        for block, families in validated.without_block.items()
    }


def _with_performance(
    evidence: Evidence, scores: HeldOutScores, pooled: PooledPerformance, per_centre: tuple[CentrePerformance, ...]
) -> Evidence:
    return replace(
        evidence,
        held_out_auroc=headline(scores, scores.probability),
        margin_auroc=headline(scores, scores.margin),
        held_out_brier=pooled.brier,
        prevalence_brier=pooled.prevalence_brier,
        per_centre=tuple(CentreAuroc(row.centre, row.patients, row.events, row.auroc) for row in per_centre),
    )


def _training_evidence(table: FeatureTable, y: Vector, context: ExperimentContext) -> Evidence:
    """Return the evidence as far as the training patients determine it; nothing is known yet of performance."""
    cohorts = table.cohorts
    return Evidence(
        outcome=context.outcome,
        definition=definition_of(context.outcome, context.by_day),
        sentence="",
        beats_chance=None,
        simulated=table.simulated,
        pooled_labels=context.pooled_labels,
        patients=len(table),
        events=int(y.sum()),
        cohorts=tuple(_training_cohort(name, cohort) for name, cohort in cohorts.items()),
        landmark=max(cohort.landmark for cohort in cohorts.values()),
        window=max(cohort.window for cohort in cohorts.values()),
        clocks=tuple(sorted({cohort.clock for cohort in cohorts.values()})),
        scheme="cv",
        held_out_auroc=Estimate(None, None, None),
        auroc_of="probability",
        margin_auroc=Estimate(None, None, None),
        held_out_brier=None,
        prevalence_brier=None,
        per_centre=(),
        odds_ratios=(),
        models_compared=context.models_compared,
        notes=context.notes,
        taxokine_version=version("taxokine"),
        by_day="any" if context.by_day is None else float(context.by_day),
    )


def _training_cohort(name: str, cohort: CohortContext) -> TrainingCohort:
    return TrainingCohort(
        name=name,
        title=cohort.title,
        clock=cohort.clock,
        index_event=cohort.index_event,
        profiler=cohort.profiler,
        citation=cohort.citation,
        licence=cohort.licence,
        simulated=cohort.simulated,
    )


def _concluded(evidence: Evidence, permutation: PermutationNull | None, context: ExperimentContext) -> Evidence:
    """Return the evidence with its verdict and sentence."""
    evidence = replace(evidence, beats_chance=_beats_chance(evidence.held_out_auroc, permutation))
    sentence = evidence_sentence(evidence, permutation, context.prior_experiments.experiments)
    return replace(evidence, sentence=sentence)


def _beats_chance(auroc: Estimate, permutation: PermutationNull | None) -> bool | None:
    """Return whether interval and permutation null both exclude chance; None where that null was not computed."""
    if auroc.low is None or not auroc.low > 0.5:
        return False
    return None if permutation is None else permutation.best_of_all.p < ALPHA


def _sample_size(y: Vector, parameters: int, auroc: Estimate) -> SampleSize:
    """Return Riley's criteria, with the held-out AUROC as the performance to expect of a well-fitted model."""
    r2 = 0.0 if auroc.value is None else r2_of_auroc(auroc.value, y.mean())
    return development_size(len(y), int(y.sum()), max(1, parameters), r2)


def _software() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "scikit-learn", "scipy")},
        "xgboost": version("xgboost-cpu"),
    }
