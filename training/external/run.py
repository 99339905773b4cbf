"""The validation of a registered model on a cohort that it has not seen; `validate_elsewhere` lists its steps."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from features.arrays import Mask, Vector
from features.cohort import Cohort, read_cohort
from features.settings import settings
from models import registry
from models.evidence import AbstentionReason, ExternalValidation
from models.predict import ServedModel
from training import tracking
from training.evidence.card import card_html
from training.experiment.inputs import audit_findings, require_known_codes
from training.external.demotion import contradictions
from training.external.figures import write_external_figures
from training.external.metrics import external_metrics
from training.external.patients import LabelledPatients, labelled_table, predict_unseen
from training.external.performance import external_performance, recalibrated_performance
from training.external.report import validation_report, validation_sentence
from training.progress import Progress
from training.validation.folds import centres, outcome_vector


@dataclass(frozen=True)
class ExternalRun:
    """A validation, its run, and what became of the model.

    Attributes
    ----------
    model : str
        `name/version`, or a folder's name.
    alias : str
        Alias under which the model was loaded.
    validation : ExternalValidation
    run_id : str
        MLflow run.
    demoted : bool
        Whether the model was the champion and is no longer.
    """

    model: str
    alias: str
    validation: ExternalValidation
    run_id: str
    demoted: bool


def validate_elsewhere(
    model: str,
    cohort: str,
    progress: Progress | None = None,
    *,
    waive: tuple[str, ...] = (),
    recalibrate: bool = False,
    demote: bool = False,
) -> ExternalRun:
    """Validate a registered model on the labelled patients of a cohort, and log the validation.

    Parameters
    ----------
    model : str
        As `models.registry.find_model` takes it.
    cohort : str
        A manifest, by name or path.
    progress : Progress, optional
    waive : tuple of str
        Codes of audit errors in spite of which to validate.
    recalibrate : bool
        Whether to report the performance after recalibration in the large too.
    demote : bool
        Whether a champion that the validation contradicts loses its alias.

    Raises
    ------
    InputError, OutcomeError, AuditError, DataMissing, ModelMissing, BundleError
    """
    progress = progress or Progress()
    require_known_codes(waive)
    served = registry.find_model(model)
    progress.begin("reading the cohort and auditing it", 1)
    source = read_cohort(cohort, settings().data)
    table, notes = labelled_table(served, source)
    audit_findings([source], table, served.model.outcome, waive)
    progress.advance()
    patients = predict_unseen(served, table, notes, progress)
    validation = summarise_validation(served, source, patients, recalibrate=recalibrate)
    name = f"{served.name}/{served.version}" if served.version else served.name
    run_id = _log_run(name, served, validation, patients)
    demoted = False
    if served.version:
        registry.record_external_validation(served.name, served.version, validation.cohort, run_id)
        if demote and validation.contradictions:
            demoted = registry.demote(served.name, served.version, f"{source.name}: {validation.contradictions[0]}")
    return ExternalRun(name, served.alias, validation, run_id, demoted)


def summarise_validation(
    served: ServedModel, cohort: Cohort, patients: LabelledPatients, *, recalibrate: bool
) -> ExternalValidation:
    """Return the record of a validation from the predictions of its patients."""
    manifest, predictions = cohort.manifest, patients.predictions
    mask = _predicted(patients)
    y, probability = _scored(patients, served.model.outcome)
    is_any = bool(mask.any())
    performance = (
        external_performance(y, probability, cohort.name, centres(patients.table.rows)[mask]) if is_any else None
    )
    abstentions = Counter(
        rule for prediction in predictions if prediction.probability is None for rule in prediction.trust.decisive
    )
    n_abstained = int((~mask).sum())
    simulated = manifest.simulated or served.model.simulated
    return ExternalValidation(
        cohort=cohort.name,
        title=manifest.title,
        outcome=served.model.outcome,
        simulated=simulated,
        labelled=len(predictions) + patients.excluded,
        training_patients=patients.excluded,
        predicted=int(mask.sum()),
        with_care=sum(prediction.trust.verdict == "use with care" for prediction in predictions),
        abstained=n_abstained,
        abstentions=tuple(AbstentionReason(rule, count) for rule, count in abstentions.most_common()),
        performance=performance,
        recalibration=recalibrated_performance(y, probability, cohort.name) if recalibrate and is_any else None,
        contradictions=contradictions(performance),
        sentence=validation_sentence(cohort.name, performance, abstained=n_abstained, simulated=simulated),
        notes=patients.notes,
        taxokine_version=version("taxokine"),
    )


def _predicted(patients: LabelledPatients) -> Mask:
    return np.array([prediction.probability is not None for prediction in patients.predictions], dtype=bool)


def _scored(patients: LabelledPatients, outcome: str) -> tuple[Vector, Vector]:
    """Return outcomes and served probabilities of the predicted patients, both (n_predicted,)."""
    y = outcome_vector(patients.table, outcome)[_predicted(patients)]
    served = (prediction.probability for prediction in patients.predictions)
    return y, np.array([value for value in served if value is not None], dtype=np.float64)


def _log_run(name: str, served: ServedModel, validation: ExternalValidation, patients: LabelledPatients) -> str:
    """Log the validation as a run of the outcome's experiment, linked to the model, and return the run's id."""
    outcome = validation.outcome
    tags = {
        "kind": "external validation",
        "outcome": outcome,
        "model": name,
        "cohort": validation.cohort,
        "simulated": str(validation.simulated).lower(),
        "evidence": validation.sentence,
        "taxokine.version": validation.taxokine_version,
        "mlflow.note.content": f"**{name} validated on {validation.cohort}**: {validation.sentence}.",
    }
    params = {"model": name, "cohort": validation.cohort}
    with (
        tracking.experiment_run(outcome, f"on {validation.cohort}: {name}", tags, params) as run_id,
        tempfile.TemporaryDirectory() as scratch,
    ):
        folder = Path(scratch)
        tracking.log_table(patients.table, outcome, outcome_vector(patients.table, outcome), context="validation")
        tracking.log_metrics(run_id, external_metrics(validation))
        report = validation_report(name, validation)
        figures = write_external_figures(folder, validation, *_scored(patients, outcome))
        (folder / "external_validation.md").write_text(report, encoding="utf-8")
        (folder / "external_validation.html").write_text(card_html(report, figures), encoding="utf-8")
        (folder / registry.EXTERNAL_VALIDATION).write_text(json.dumps(validation.to_json(), indent=1), encoding="utf-8")
        _predictions_table(patients, outcome).to_parquet(folder / "predictions.parquet", index=False)
        tracking.log_folder(run_id, folder)
        if served.version:
            tracking.link_model(run_id, served.name, served.version)
    return run_id


def _predictions_table(patients: LabelledPatients, outcome: str) -> pd.DataFrame:
    """Return every prediction, with keyed hashes in place of patient identifiers."""
    table, predictions = patients.table, patients.predictions
    return pd.DataFrame(
        {
            "patient": tracking.masked_patients(table),
            "centre": centres(table.rows),
            "outcome": outcome_vector(table, outcome),
            "probability": [prediction.probability for prediction in predictions],
            "verdict": [prediction.trust.verdict for prediction in predictions],
            "decisive": ["; ".join(prediction.trust.decisive) for prediction in predictions],
        }
    )
