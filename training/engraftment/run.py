"""Training and evaluation of the engraftment model, each one tracked run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter
from threadpoolctl import threadpool_limits

from features.arrays import Mask
from features.cohort import read_cohort
from features.errors import InputError
from features.settings import settings
from features.transplants import (
    TransplantProfiles,
    cohort_transplants,
    pool_transplants,
    require_one_profiler,
)
from models.engraftment import EngraftmentBundle, EngraftmentEvidence, EngraftmentModel, EngraftmentValidation
from models.engraftment.bundle import HeldOutTransplants
from models.engraftment.evidence import EngraftmentScheme
from models.engraftment.model import Method
from models.engraftment_registry import find_engraftment, log_engraftment, register_engraftment
from training import tracking
from training.engraftment.accuracy import (
    FEWEST_TO_FIT,
    ModelWithout,
    best_method,
    held_out_accuracy,
    summarise_accuracy,
)
from training.engraftment.fit import fit_engraftment
from training.engraftment.sentences import card, verdict
from training.progress import Progress
from training.statistics.interval_estimate import interval_metrics

EXPERIMENT = "engraftment"
FEWEST_TRANSPLANTS = 5
"""Transplants below which no model is trained."""
RUN_COLUMNS = (
    *("metrics.transplants", "metrics.donors", "metrics.donors_left_out/regression/bray_curtis"),
    *("metrics.donors_left_out/regression/aitchison", "metrics.donors_left_out/regression/presence_auroc"),
    *("tags.cohorts", "tags.simulated"),
)
"""The columns of each run in the MLflow UI."""
_DESCRIPTION = (
    "**engraftment**: a recipient's stool after a transplant, from the stool before and the donor's\n\n"
    "Of held-out transplants, whose donor was left out too: `bray_curtis` and `aitchison`, the mean distance of the "
    "prediction from the stool after, the smaller the better; `presence_auroc`, how well it tells which of two "
    "recipients has a taxon after, 0.5 being chance. Each run's description has the simple expectations beside it."
)


@dataclass(frozen=True)
class EngraftmentResult:
    """A finished training or evaluation.

    Attributes
    ----------
    evidence : EngraftmentEvidence
        Of the model; an evaluation's has the validation on the other trial last.
    method : str
        What predicts.
    verdict : str
    version : str
        In the registry.
    run_id : str
    """

    evidence: EngraftmentEvidence
    method: Method
    verdict: str
    version: str
    run_id: str


def train_engraftment(names: Sequence[str], progress: Progress | None = None) -> EngraftmentResult:
    """Train and validate the engraftment model on the transplants of some cohorts, and register it.

    Parameters
    ----------
    names : sequence of str
        Names or paths of manifests.
    progress : Progress, optional

    Raises
    ------
    InputError
        Profilers differ between the cohorts, or there are fewer than `FEWEST_TRANSPLANTS` transplants.
    """
    cohorts = [read_cohort(name, settings().data) for name in names]
    profiles = pool_transplants([cohort_transplants(cohort) for cohort in cohorts])
    if len(profiles) < FEWEST_TRANSPLANTS:
        raise InputError(
            f"{len(profiles)} recipients have a profile before, of the donor and after; expected at least "
            f"{FEWEST_TRANSPLANTS}. Add cohorts profiled alike. {'; '.join(profiles.notes)}"
        )
    cohort_names = ",".join(cohort.name for cohort in cohorts)
    params = {"cohorts": cohort_names, "transplants": len(profiles)}
    with tracking.experiment_run(
        EXPERIMENT, cohort_names, tracking.cohort_tags(cohorts), params, RUN_COLUMNS, _DESCRIPTION
    ) as run_id:
        bundle = validated_bundle(profiles, tuple(cohort.name for cohort in cohorts), progress or Progress())
        sentence = verdict(bundle.evidence)
        _log_record(run_id, bundle.evidence, bundle.card)
        uri = log_engraftment(bundle)
    tags = {"cohorts": cohort_names, "method": bundle.model.method, "evidence": sentence}
    registered = register_engraftment(uri, run_id, tags)
    return EngraftmentResult(bundle.evidence, bundle.model.method, sentence, registered, run_id)


def evaluate_engraftment(reference: str, name: str) -> EngraftmentResult:
    """Judge a registered model, unchanged, on the transplants of another trial.

    Parameters
    ----------
    reference : str
        As `models.engraftment_registry.find_engraftment` takes it.
    name : str
        Name or path of a manifest.

    Raises
    ------
    InputError
        The trial was profiled otherwise than the model's cohorts, or the model was trained on it.
    ModelMissing
        No such model is registered.
    """
    served, cohort = find_engraftment(reference), read_cohort(name, settings().data)
    bundle, profiles = served.bundle, cohort_transplants(cohort)
    if training_cohorts := {cohort.name, *cohort.manifest.same_patients_as} & set(bundle.evidence.cohorts):
        raise InputError(
            f"the model was trained on {', '.join(training_cohorts)}, so that {cohort.name} does not test it"
        )
    require_one_profiler({"the model": bundle.evidence.profiler, cohort.name: profiles.profiler})
    model = bundle.model.with_taxa(profiles.taxa)
    regression, aligned = model.with_method("regression"), profiles.with_taxa(model.taxa)
    accuracy = held_out_accuracy(aligned, np.eye(len(aligned), dtype=bool), lambda excluded: regression)
    validation = summarise_accuracy(accuracy, aligned.shares_donor, "another trial")
    evidence = replace(bundle.evidence, validations=(*bundle.evidence.validations, validation))
    params = {"cohorts": cohort.name, "transplants": len(profiles), "model": f"engraftment/{served.version}"}
    with tracking.experiment_run(
        EXPERIMENT, f"{cohort.name}, evaluated", tracking.cohort_tags([cohort]), params, RUN_COLUMNS, _DESCRIPTION
    ) as run_id:
        _log_record(run_id, evidence, card(evidence, model.method))
    return EngraftmentResult(evidence, model.method, verdict(evidence), served.version, run_id)


def validated_bundle(profiles: TransplantProfiles, cohorts: tuple[str, ...], progress: Progress) -> EngraftmentBundle:
    """Return the model of some transplants, validated with recipients left out, then with their donors.

    Parameters
    ----------
    profiles : TransplantProfiles
    cohorts : tuple of str
        Names of their cohorts.
    progress : Progress
    """
    n = len(profiles)
    schemes: list[tuple[EngraftmentScheme, Mask]] = [("recipients left out", np.eye(n, dtype=bool))]
    if _can_leave_donors_out(profiles):
        schemes.append(("donors left out", profiles.shares_donor))
    progress.begin("predicting held-out transplants", len(schemes))
    model_without = _fold_models(profiles)
    validations = []
    # The regressions are small: a thread for each row of a product costs more than it saves.
    with threadpool_limits(1, "blas"):
        for scheme, together in schemes:
            accuracy = held_out_accuracy(profiles, together, model_without)
            validations.append(summarise_accuracy(accuracy, together, scheme))
            progress.advance()
        evidence = _evidence(profiles, cohorts, tuple(validations))
        method = best_method(validations[-1])
        together = schemes[-1][1]
        profiles_after = tuple(
            model_without(together[i]).with_method(method).expect(profiles.stool_before[i], profiles.donor[i])
            for i in range(n)
        )
        model = fit_engraftment(profiles, np.arange(n)).with_method(method)
    return EngraftmentBundle(
        model,
        evidence,
        HeldOutTransplants(profiles.stool_after, profiles_after, validations[-1].units),
        card(evidence, method),
    )


def _evidence(
    profiles: TransplantProfiles, cohorts: tuple[str, ...], validations: tuple[EngraftmentValidation, ...]
) -> EngraftmentEvidence:
    days = [row.profile_day for row in profiles.rows]
    return EngraftmentEvidence(
        cohorts=cohorts,
        transplants=len(profiles),
        donors=len(profiles.donor_subjects),
        median_day=float(np.median(days)),
        first_day=min(days),
        last_day=max(days),
        profiler=profiles.profiler,
        rank=profiles.rank,
        simulated=profiles.simulated,
        validations=validations,
        notes=profiles.notes,
    )


def _can_leave_donors_out(profiles: TransplantProfiles) -> bool:
    """Return whether transplants enough remain when those of any donor are left out."""
    remaining = (~profiles.shares_donor).sum(axis=1)
    return bool(remaining.min() >= FEWEST_TO_FIT)


def _fold_models(profiles: TransplantProfiles) -> ModelWithout:
    """Return the function that fits without some transplants, each set once."""
    models: dict[bytes, EngraftmentModel] = {}

    def model_without(excluded: Mask) -> EngraftmentModel:
        key = excluded.tobytes()
        if key not in models:
            models[key] = fit_engraftment(profiles, np.flatnonzero(~excluded))
        return models[key]

    return model_without


def _log_record(run_id: str, evidence: EngraftmentEvidence, text: str) -> None:
    """Log every method's accuracy as metrics, the evidence as JSON, and the card, which describes the run too."""
    metrics: dict[str, float | None] = {"transplants": evidence.transplants, "donors": evidence.donors}
    for validation in evidence.validations:
        scheme = validation.scheme.replace(" ", "_")
        metrics[f"{scheme}/units"] = validation.units
        for accuracy in validation.methods:
            name = f"{scheme}/{accuracy.method.replace(' ', '_')}"
            quantities = ("bray_curtis", "aitchison", "presence_auroc", "bray_curtis_excess", "aitchison_excess")
            metrics |= interval_metrics({f"{name}/{quantity}": getattr(accuracy, quantity) for quantity in quantities})
    tracking.log_metrics(run_id, metrics)
    tracking.log_description(run_id, text)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "card.md").write_text(text, encoding="utf-8")
        record = TypeAdapter(EngraftmentEvidence).dump_json(evidence, indent=1)
        (folder / "evidence.json").write_bytes(record)
        tracking.log_folder(run_id, folder)
