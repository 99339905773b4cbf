"""One experiment, from cohorts to registered models; `train` lists its steps in order."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features.cohort import Cohort
from features.feature_table import FeatureTable
from features.outcomes import definition_of, outcome_id
from models.evidence import AuditFinding
from models.registry import register, sweep_registrations
from training import tracking
from training.evidence.assemble import ExperimentContext
from training.evidence.metrics import run_metrics
from training.experiment.counterparts import registered_counterparts
from training.experiment.eligibility import (
    block_sets,
    eligible_rows,
    require_dated_events,
    require_definition,
    require_one_definition,
)
from training.experiment.inputs import (
    audit_findings,
    experiment_tags,
    pooled_table,
    read_cohorts,
    require_known_codes,
    write_inputs,
)
from training.experiment.model_run import SKILL, TrainedModel, log_model, logged_model
from training.experiment.ranking import comparison_table, rank_models, versions_to_register
from training.experiment.spec import Experiment
from training.experiment.unfinished import (
    UnfinishedExperiment,
    resume_experiment,
    specification_digest,
    start_experiment,
)
from training.experiment.validation import model_nulls, validate_block_sets
from training.progress import Progress
from training.run_names import model_run_name, parent_run_name
from training.validation.folds import outcome_vector
from training.validation.sklearn_family import find_family
from training.workers import EVERY_CORE, Workers


@dataclass(frozen=True)
class ExperimentResult:
    """The models of an experiment, best first.

    Attributes
    ----------
    outcome : str
        Id of the outcome, which is also the name of the registered model of day 0.
    run_id : str
        Parent run.
    trained : list of TrainedModel
        Models, the best first.
    aliases : dict of str to str
        Registered versions by alias; empty where no model has a bundle.
    notes : tuple of str
        Remarks on the data.
    patients : set of (cohort, patient)
        Training patients.
    """

    outcome: str
    run_id: str
    trained: list[TrainedModel]
    aliases: dict[str, str]
    notes: tuple[str, ...]
    patients: set[tuple[str, str]]


def train(
    experiment: Experiment,
    progress: Progress | None = None,
    workers: Workers = EVERY_CORE,
    *,
    resume: bool = False,
) -> ExperimentResult:
    """Audit the data; validate, fit, log and register every family on every set of blocks.

    Parameters
    ----------
    experiment : Experiment
    progress : Progress, optional
    workers : Workers
        What fits; the results do not depend on it.
    resume : bool
        Whether to go on with the last interrupted experiment of the same options, data and versions: its permutations
        and models that are finished stay.

    Raises
    ------
    OutcomeError
        A cohort does not define the outcome, labels of different meaning would be pooled, or too few patients are
        eligible.
    AuditError
        The audit found an error that is not waived.
    InputError, DataMissing
        A family or a code to waive is unknown, no such experiment was interrupted, or as `features.cohort.read_cohort`
        raises them.
    """
    progress = progress or Progress()
    outcome = outcome_id(experiment.outcome, experiment.grade)
    require_known_codes(experiment.waive)
    for family in experiment.families:
        find_family(family)
    cohorts = read_cohorts(experiment, progress)
    require_definition(cohorts, outcome)
    require_one_definition(cohorts, outcome, experiment.pool_labels)
    require_dated_events(cohorts, outcome, experiment.by_day)
    progress.begin("joining and auditing", 1)
    table, exclusions = eligible_rows(pooled_table(cohorts, experiment), outcome)
    findings = audit_findings(cohorts, table, outcome, experiment.waive)
    progress.advance()
    sets, skipped = block_sets(table, outcome, experiment.blocks)
    context = ExperimentContext(
        outcome=outcome,
        models_compared=len(sets) * len(experiment.families),
        pooled_labels=experiment.pool_labels,
        notes=(*table.notes, *exclusions, *skipped),
        audit_findings=findings,
        prior_experiments=tracking.prior_experiments(cohort.name for cohort in cohorts),
        seed=experiment.seed,
        counterparts=registered_counterparts(table, outcome, experiment.landmark),
        by_day=experiment.by_day,
    )
    description = (f"**{outcome}**: {definition_of(outcome, experiment.by_day)}", *context.notes)
    digest = specification_digest(experiment, tracking.table_digest(table, outcome_vector(table, outcome)))
    unfinished = resume_experiment(outcome, digest) if resume else start_experiment(digest)
    tags = experiment_tags(experiment, cohorts, outcome, context.models_compared, description)
    tags[tracking.SPECIFICATION] = digest
    name = " + ".join(cohort.name for cohort in cohorts)
    sweep_registrations()
    meaning = f"{description[0]}\n\n{tracking.COLUMN_MEANINGS}"
    with tracking.experiment_run(
        outcome, name, tags, experiment.params(), description=meaning, resumed=unfinished.run_id
    ) as parent:
        tracking.log_table(table, outcome, outcome_vector(table, outcome))
        trained = _train_models(experiment, table, sets, context, progress, workers, unfinished)
        aliases = register(outcome, versions_to_register(trained), experiment.landmark)
        tracking.link_model_cards(model.run_id for model in trained)
        _log_experiment(parent, cohorts, table, context.audit_findings, trained)
    unfinished.delete()
    patients = set(zip(table.rows["cohort"], table.rows["patient"], strict=True))
    return ExperimentResult(outcome, parent, trained, aliases, context.notes, patients)


def _train_models(
    experiment: Experiment,
    table: FeatureTable,
    sets: Sequence[tuple[str, ...]],
    context: ExperimentContext,
    progress: Progress,
    workers: Workers,
    unfinished: UnfinishedExperiment,
) -> list[TrainedModel]:
    """Validate, fit and log every family on every set of blocks; return the models, the best first."""
    outcome = context.outcome
    validated = validate_block_sets(experiment, outcome, table, sets, progress, workers)
    nulls = model_nulls(experiment, outcome, table, validated, progress, workers, unfinished)
    progress.begin("summarising and logging", context.models_compared)
    trained = []
    for blocks in validated:
        for family in experiment.families:
            run_id = unfinished.models.get((family, blocks.blocks))
            if run_id is None:
                trained.append(log_model(blocks, family, nulls.get((family, blocks.blocks)), context))
            else:
                trained.append(logged_model(run_id))
            progress.advance()
    return rank_models(trained)


def _log_experiment(
    run_id: str,
    cohorts: Sequence[Cohort],
    table: FeatureTable,
    findings: Sequence[AuditFinding],
    trained: Sequence[TrainedModel],
) -> None:
    """Log the inputs, the comparison of the models, and the counts of patients and findings."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_inputs(folder, cohorts, findings)
        comparison_table(trained).to_csv(folder / "comparison.csv", index=False)
        tracking.log_folder(run_id, folder)
    best = trained[0]
    severities = [finding.severity for finding in findings]
    best_name = model_run_name(best.family, best.blocks)
    tracking.log_best_model(
        run_id,
        parent_run_name(best_name, len(trained), [cohort.name for cohort in cohorts]),
        best.run_id,
        best_name,
        {
            **run_metrics(best.validation),
            # The best model's patients and events stand beside its scores.
            "eligible_patients": len(table),
            "eligible_events": float(table.rows[best.validation.evidence.outcome].sum()),
            "audit_errors": severities.count("error"),
            "audit_warnings": severities.count("warning"),
        },
        {"skill": SKILL[best.validation.evidence.beats_chance]},
    )
