"""The run of one model: its metrics, figures, predictions, card and bundle."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from models.bundle import Model
from models.calibration import fit_venn_abers
from models.encoder import BlockEncoder
from models.evidence import Validation
from models.reference import fit_reference_set
from models.registry import load_logged_bundle, log_bundle
from training import tracking
from training.evidence.assemble import ExperimentContext, summarise
from training.evidence.attribution import shap_explanation
from training.evidence.card import card_html, model_card
from training.evidence.figures import write_figures
from training.evidence.joint_counts import known_outcomes
from training.evidence.metrics import run_metrics
from training.evidence.population import training_population
from training.evidence.scores import gather_scores, held_out_predictions
from training.evidence.shap_figures import write_shap_figures
from training.run_names import model_run_name
from training.validation.folds import centres
from training.validation.permutation_null import NullDistributions
from training.validation.validated_blocks import ValidatedBlocks

VALIDATION = "validation.json"
"""Artefact of a run with the whole validation record."""
SKILL = {True: "shown", None: "unconfirmed", False: "not shown"}
"""The tag `skill`, which says whether a model discriminates better than chance, by `Evidence.beats_chance`."""


@dataclass(frozen=True)
class TrainedModel:
    """One family on one set of blocks, validated, fitted and logged.

    Attributes
    ----------
    run_id : str
        Its MLflow run.
    validation : Validation
    model : Model or None
        None for a scikit-learn classifier that is compared but not registered.
    model_uri : str
        URI of the logged bundle; empty without a model.
    """

    run_id: str
    validation: Validation
    model: Model | None
    model_uri: str

    @property
    def family(self) -> str:
        """Family of classifiers."""
        return self.validation.family

    @property
    def blocks(self) -> tuple[str, ...]:
        """Blocks of measurements that the model reads."""
        return self.validation.blocks


def log_model(
    validated: ValidatedBlocks, family: str, null: NullDistributions | None, context: ExperimentContext
) -> TrainedModel:
    """Summarise one family on one set of blocks, and log its run."""
    validation = summarise(validated, family, null, context)
    card = model_card(validation, training_population(validated.table))
    name = model_run_name(family, validated.blocks)
    with (
        tracking.child_run(name, _tags(validation, card), _params(validation)) as run_id,
        tempfile.TemporaryDirectory() as scratch,
    ):
        artefacts = Path(scratch)
        tracking.log_table(validated.table, context.outcome, validated.y)
        tracking.log_metrics(run_id, run_metrics(validation))
        page = _write_artefacts(artefacts, validated, validation, null, card)
        tracking.log_folder(run_id, artefacts)
        model = served_model(validated, validation, card, page)
        uri = "" if model is None else log_bundle(model)
    return TrainedModel(run_id, validation, model, uri)


def logged_model(run_id: str) -> TrainedModel:
    """Return the model that a run has logged."""
    logged = load_logged_bundle(run_id)
    if logged is not None and logged.model.validation is not None:
        return TrainedModel(run_id, logged.model.validation, logged.model, logged.uri)
    return TrainedModel(run_id, Validation.from_json(tracking.load_json(run_id, VALIDATION)), None, "")


def _params(validation: Validation) -> dict[str, str | int | float]:
    return {
        "family": validation.family,
        "blocks": "+".join(validation.blocks),
        **validation.hyperparameters,
        "features": validation.n_features,
    }


def _tags(validation: Validation, card: str) -> dict[str, str]:
    evidence = validation.evidence
    registration = "" if validation.attribution is not None else "Compared only, never registered.\n\n"
    return {
        "outcome": evidence.outcome,
        "skill": SKILL[evidence.beats_chance],
        "family": validation.family,
        "blocks": "+".join(validation.blocks),
        "simulated": str(evidence.simulated).lower(),
        "evidence": evidence.sentence,
        "mlflow.note.content": (registration + _card_opening(card))[: tracking.LONGEST_NOTE],
    }


def _card_opening(card: str) -> str:
    """Return the first sections of a card, without the title, which the run's name repeats."""
    return "\n## ".join(card.split("\n## ")[:3]).partition("\n")[2].lstrip()


def _write_artefacts(
    folder: Path, validated: ValidatedBlocks, validation: Validation, null: NullDistributions | None, card: str
) -> str:
    """Write a run's artefacts, and return the card as a page."""
    family, table, y = validation.family, validated.table, validated.y
    held_out = validated.families[family].held_out
    scores = gather_scores(table, y, held_out, validation.evidence.scheme)
    figures = write_figures(folder, validation, scores, null)
    patients = tracking.masked_patients(table)
    explanation = shap_explanation(table, validated.family_fit(family))
    if explanation is not None:
        figures |= write_shap_figures(folder, validation, explanation)
        shap_values = pd.DataFrame(explanation.values, index=patients, columns=explanation.feature_names)
        shap_values.rename_axis("patient").to_parquet(folder / "shap_values.parquet")
    predictions = held_out_predictions(y, held_out)
    predictions.insert(0, "patient", predictions["row"].map(dict(enumerate(patients))))
    predictions.insert(1, "cohort", predictions["row"].map(dict(enumerate(centres(table.rows)))))
    predictions.drop(columns="row").to_parquet(folder / tracking.HELD_OUT, index=False)
    page = card_html(card, figures)
    (folder / "card.md").write_text(card, encoding="utf-8")
    (folder / "card.html").write_text(page, encoding="utf-8")
    (folder / VALIDATION).write_text(json.dumps(validation.to_json(), indent=1), encoding="utf-8")
    return page


def _units(encoder: BlockEncoder, units: Mapping[str, str]) -> dict[str, str]:
    """Return the units of what an encoder reads: of every marker where it reads changes over time."""
    is_serial = "over_time" in encoder.names_
    return {name: units[name] for name in (units if is_serial else encoder.names_.get("immune", ()))}


def served_model(validated: ValidatedBlocks, validation: Validation, card: str, page: str) -> Model | None:
    """Return the model that the server can load; None for a classifier that has no native bundle."""
    fit, table = validated.family_fit(validation.family), validated.table
    if fit.predictor is None:
        return None
    calibration, reference = fit.calibration, None
    if "taxa" in validated.blocks:
        outcomes = known_outcomes(table, validation.evidence.outcome)
        reference = fit_reference_set(table.taxa.values, table.taxa.names, centres(table.rows), outcomes)
    if len(fit.y):
        calibration = replace(calibration, venn_abers=fit_venn_abers(fit.margin, fit.y))
    profilers = [cohort.profiler for cohort in table.cohorts.values() if cohort.profiler]
    return Model(
        outcome=validation.evidence.outcome,
        family=validation.family,
        encoder=fit.encoder,
        predictor=fit.predictor,
        calibration=calibration,
        units=_units(fit.encoder, table.units),
        profilers=tuple(dict.fromkeys(profilers)),
        evidence=validation.evidence,
        card=card,
        reference=reference,
        validation=validation,
        card_html=page,
        population=training_population(table),
    )
