"""Models to serve: of each family, fitted to a simulated trial as `taxokine train` does by default, and registered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

if TYPE_CHECKING:
    from features.arrays import Vector
    from features.feature_table import FeatureTable
    from models.bundle import Model

OUTCOME = "objective_response"
PATIENTS, TAXA = 180, 660


@dataclass(frozen=True)
class ServedFamily:
    """One family's model, saved and registered, with the patients that are asked about.

    Attributes
    ----------
    family : str
    model : Model
        As loaded from its bundle.
    bundle, rows : Path
        The bundle, and the encoded training rows as numpy's `.npy`.
    uri, alias : str
        Of the model in MLflow, and of its version in the registry.
    profiles : list of dict of str to float
        Proportions by taxon of each patient.
    encoded : ndarray, (n_patients, n_features)
        The same patients, encoded.
    """

    family: str
    model: Model
    bundle: Path
    rows: Path
    uri: str
    alias: str
    profiles: list[dict[str, float]]
    encoded: np.ndarray[Any, Any]

    def floor(self, i: int) -> float:
        """Return a patient's probability by the work that no server can omit: SHAP values of the encoded row."""
        row = i % len(self.encoded)
        shap, base = self.model.predictor.contributions(self.encoded[row : row + 1])
        return float(self.model.calibration.probability(base + shap.sum()))


@contextmanager
def own_store(folder: Path) -> Iterator[None]:
    """Use an MLflow store and a home of Taxokine in a folder."""
    from features.settings import settings

    names = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "TAXOKINE_HOME": str(folder)}
    former = {name: os.environ.get(name) for name in names}
    os.environ |= names
    settings.cache_clear()
    try:
        yield
    finally:
        for name, value in former.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        settings.cache_clear()


def fit_families(folder: Path) -> list[ServedFamily]:
    """Fit each family to a simulated trial, save it, log it, and register it under an alias of its own."""
    from models.batch import table_candidates
    from models.bundle import load_bundle, save_bundle
    from models.families import FAMILIES
    from models.registry import log_bundle, register
    from training.experiment import Experiment
    from training.tracking import child_run, experiment_run
    from training.validation.average import fit_average

    table, y = simulated_table(folder)
    frame, config = model_frame(table, y), Experiment(("simulated",), OUTCOME).fit_config(("taxa",))
    profiles = [dict(candidate.taxa.values) for candidate in table_candidates(table) if candidate.taxa]
    families, versions = [], []
    with experiment_run(OUTCOME, "benchmark", {}, {}):
        for name in tqdm(FAMILIES, desc="fitting and registering models", leave=False):
            encoder, predictor = fit_average(config, name, table, y, 0)
            model, bundle = replace(frame, family=name, encoder=encoder, predictor=predictor), folder / name
            save_bundle(model, bundle)
            encoded = encoder.transform(table)
            np.save(rows := folder / f"{name}.npy", encoded)
            with child_run(name, {}, {}) as run:
                uri = log_bundle(model)
            versions.append((uri, run, {"blocks": name, "evidence": "benchmark"}))
            families.append(
                ServedFamily(name, load_bundle(bundle), bundle, rows, uri, f"candidate-{name}", profiles, encoded)
            )
    register(OUTCOME, versions)
    return families


def simulated_table(folder: Path) -> tuple[FeatureTable, Vector]:
    from features.cohort import read_cohort
    from features.landmark import landmark_table
    from taxokine.simulation import Trial, simulate_trial
    from training.validation.folds import outcome_vector

    trial = simulate_trial(folder / "trial", Trial(n_patients=PATIENTS, n_taxa=TAXA, visits=(-7,)))
    table = landmark_table(read_cohort(trial, folder))
    return table, outcome_vector(table, OUTCOME)


def model_frame(table: FeatureTable, y: Vector) -> Model:
    """Return an elastic net with the evidence, calibration and reference set that all families share here.

    They have the size of those of a real model.
    """
    from models.bundle import Model
    from models.calibration import Calibration, fit_venn_abers
    from models.evidence import PriorExperiments
    from models.reference import fit_reference_set
    from training.evidence.assemble import ExperimentContext, summarise
    from training.evidence.joint_counts import known_outcomes
    from training.validation.config import FitConfig
    from training.validation.folds import outer_folds
    from training.validation.held_out import validate
    from training.validation.validated_blocks import ValidatedBlocks

    outcomes, centres = known_outcomes(table, OUTCOME), table.rows["centre"].to_numpy()
    reference = fit_reference_set(table.taxa.values, table.taxa.names, centres, outcomes)
    outer = [fold for fold in outer_folds(table, y, 5, 1, 0) if fold.scheme == "loco"]
    config = FitConfig(("elastic_net",), ("taxa",))
    validated = validate(table, y, config, outer, refit=True)["elastic_net"]
    fit = validated.fit
    assert fit is not None
    context = ExperimentContext(OUTCOME, 3, False, table.notes, (), PriorExperiments(0, 0), 0)
    validated_blocks = ValidatedBlocks(config, np.arange(len(y)), table, y, {"elastic_net": validated}, {})
    evidence = summarise(validated_blocks, "elastic_net", None, context).evidence
    calibration = replace(Calibration(0.8, -0.1), venn_abers=fit_venn_abers(fit.margin, fit.y))
    return Model(
        OUTCOME,
        "elastic_net",
        fit.encoder,
        fit.predictor,
        calibration,
        {},
        ("simulated",),
        evidence,
        "benchmark",
        reference,
    )
