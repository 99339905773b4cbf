"""One time-to-event experiment; `train_survival` lists its steps in order.

Its models are compared and reported, never registered: the service predicts probabilities, not times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.cohort import Cohort
from features.survival import EVENT, survival_definition, survival_id
from models.encoder import BlockEncoder
from training import tracking
from training.experiment import Experiment
from training.experiment.eligibility import COMPARABLE_SHARE, complete_rows
from training.experiment.inputs import (
    audit_findings,
    experiment_tags,
    pooled_table,
    read_cohorts,
    require_known_codes,
    write_inputs,
)
from training.progress import Progress
from training.run_names import model_run_name, parent_run_name
from training.statistics.interval_estimate import interval_metrics
from training.statistics.survival_families import SURVIVAL_FAMILIES
from training.survival.eligibility import (
    UNUSED_OPTIONS,
    refuse_unused_options,
    require_dates,
    rows_at_risk,
    survival_block_sets,
)
from training.survival.figures import write_incidence_figure
from training.survival.incidence import incidence_curves, incidence_table
from training.survival.model_run import SurvivalModel, SurvivalRows, log_survival_model
from training.validation.folds import outer_folds
from training.validation.held_out_times import SurvivalFitConfig, early_events, validate_survival
from training.workers import EVERY_CORE, Workers

RUN_COLUMNS = (
    *(f"metrics.c{end}" for end in ("", "_lower", "_upper")),
    *("metrics.patients", "metrics.events", "tags.family", "tags.blocks", "tags.simulated"),
)
"""Columns of each model in the MLflow UI: Harrell's C, by which it sorts them, first."""


@dataclass(frozen=True)
class SurvivalResult:
    """Result of a time-to-event experiment.

    Attributes
    ----------
    outcome : str
        As `features.survival.survival_id` returns it.
    run_id : str
        Parent run.
    trained : list of SurvivalModel
        Models, the best first.
    incidence : pandas.DataFrame
        Cumulative incidence by each of `HORIZONS`, with its interval; for toxicity also with censoring at progression
        and at the end of treatment.
    notes : tuple of str
        Remarks on the data.
    """

    outcome: str
    run_id: str
    trained: list[SurvivalModel]
    incidence: pd.DataFrame
    notes: tuple[str, ...]


def train_survival(experiment: Experiment, progress: Progress, workers: Workers = EVERY_CORE) -> SurvivalResult:
    """Validate and log every time-to-event family on every set of blocks.

    Parameters
    ----------
    experiment : Experiment
    progress : Progress
    workers : Workers
        What fits; the results do not depend on it.

    Raises
    ------
    OutcomeError
        A cohort does not date the outcome, or too few patients have it.
    AuditError
        The audit found an error that is not waived.
    InputError, DataMissing
        An option changes nothing here, or as `features.cohort.read_cohort` raises them.
    """
    outcome = survival_id(experiment.outcome, experiment.grade)
    refuse_unused_options(experiment)
    require_known_codes(experiment.waive)
    cohorts = read_cohorts(experiment, progress)
    require_dates(cohorts, outcome)
    progress.begin("joining and auditing", 1)
    pooled = pooled_table(cohorts, experiment)
    table, y, exclusions = rows_at_risk(cohorts, pooled, outcome)
    findings = audit_findings(cohorts, table, outcome, experiment.waive)
    progress.advance()
    sets, skipped = survival_block_sets(table, y, outcome, experiment.blocks)
    models_compared = len(sets) * len(SURVIVAL_FAMILIES)
    notes = (*table.notes, *exclusions, *skipped, "compared, not registered: the service predicts probabilities")
    description = (f"**{outcome}**: {survival_definition(outcome)}", *notes)
    tags = experiment_tags(experiment, cohorts, outcome, models_compared, description)
    name = " + ".join(cohort.name for cohort in cohorts)
    with (
        tracking.experiment_run(
            outcome, name, tags, _params(experiment, outcome), RUN_COLUMNS, description=description[0]
        ) as parent,
        tempfile.TemporaryDirectory() as scratch,
    ):
        folder = Path(scratch)
        tracking.log_table(table, outcome, y)
        trained: list[SurvivalModel] = []
        for blocks in sets:
            complete = complete_rows(table, blocks)
            rows = SurvivalRows(outcome, blocks, table.take(complete), y[complete], models_compared)
            trained += _train_blocks(experiment, rows, progress, workers)
        trained = _rank_models(trained)
        curves = incidence_curves(cohorts, pooled, outcome)
        incidence = incidence_table(curves)
        write_inputs(folder, cohorts, findings)
        comparison_table(trained).to_csv(folder / "comparison.csv", index=False)
        incidence.to_csv(folder / "cumulative_incidence.csv", index=False)
        title = f"{outcome}{' (simulated)' if table.simulated else ''}, {len(table)} patients at risk at the landmark"
        times = {label: times for label, (_, times) in curves.items()}
        write_incidence_figure(folder, "cumulative_incidence", title, times)
        tracking.log_folder(parent, folder)
        _log_best_model(parent, cohorts, trained, len(table), float((y[:, 1] == EVENT).sum()))
    return SurvivalResult(outcome, parent, trained, incidence, notes)


def _log_best_model(
    run_id: str, cohorts: Sequence[Cohort], trained: Sequence[SurvivalModel], patients: int, events: float
) -> None:
    """Log the scores of the best model on the parent run, beside the counts of all eligible patients and events."""
    best = trained[0]
    best_name = model_run_name(best.family, best.blocks)
    name = parent_run_name(best_name, len(trained), [cohort.name for cohort in cohorts])
    scores = {
        **interval_metrics({**best.metrics, "c": best.concordance}),
        "patients": best.patients,
        "events": best.events,
    }
    counts = {"eligible_patients": patients, "eligible_events": events}
    tracking.log_best_model(run_id, name, best.run_id, best_name, {**scores, **counts}, {})


def comparison_table(trained: Sequence[SurvivalModel]) -> pd.DataFrame:
    """Return the models as a table, in their order: every metric with its interval."""
    return pd.DataFrame(
        [
            {
                "family": model.family,
                "blocks": "+".join(model.blocks),
                "patients": model.patients,
                "events": model.events,
                **interval_metrics(model.metrics),
                "run_id": model.run_id,
            }
            for model in trained
        ]
    )


def _params(experiment: Experiment, outcome: str) -> dict[str, str]:
    params = {name: value for name, value in experiment.params().items() if name not in UNUSED_OPTIONS}
    return {**params, "outcome": outcome, "families": ",".join(SURVIVAL_FAMILIES)}


def _rank_models(trained: Sequence[SurvivalModel]) -> list[SurvivalModel]:
    """Return the models, the best first: comparable ones (`COMPARABLE_SHARE`) before others, then by C."""
    largest = max(model.patients for model in trained)
    return sorted(
        trained,
        key=lambda model: (model.patients >= COMPARABLE_SHARE * largest, model.concordance.value),
        reverse=True,
    )


def _train_blocks(
    experiment: Experiment, rows: SurvivalRows, progress: Progress, workers: Workers
) -> list[SurvivalModel]:
    """Validate and log every family on one set of blocks, one child run each."""
    table, y = rows.table, rows.y
    outer = outer_folds(table, early_events(y), experiment.n_folds, experiment.repeats, experiment.seed)
    progress.begin(f"{'+'.join(rows.blocks)}: validating on {len(table)} patients", len(outer))
    (representation,) = experiment.representation or ("clr",)
    encoder = BlockEncoder(rows.blocks, representation, experiment.min_prevalence, experiment.censored)
    config = SurvivalFitConfig(encoder, experiment.n_folds, experiment.seed)
    held_out = validate_survival(table, y, config, outer, workers=workers, on_step=progress.advance)
    return [log_survival_model(rows, family, predictions) for family, predictions in held_out.items()]
