"""Baselines: held-out predictions of the same patients in the same folds, without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from features.arrays import Vector
from features.feature_table import FeatureTable
from features.settings import settings
from features.tables.text import read_text_table
from features.taxon_names import canonical_name
from models.calibration import Calibration
from training.validation.config import FitConfig
from training.validation.folds import Fold, centre_codes
from training.validation.held_out import HeldOut, validate
from training.validation.inner_validation import InnerValidation
from training.validation.stacking import calibrating_intercept, stacking_weights
from training.workers import Workers

COVARIATE_BLOCKS = {
    "clinical": ("clinical",),
    "technical": ("technical",),
    "clinical + technical": ("clinical", "technical"),
}
"""Blocks of the covariate baselines, over which a model's gain is measured: patients and samples without their taxa."""
PUBLISHED_SIGNATURE = "published signature"


def validate_baselines(
    table: FeatureTable, y: Vector, config: FitConfig, outer: Sequence[Fold], workers: Workers
) -> dict[str, list[HeldOut]]:
    """Return the held-out predictions of each baseline.

    The baselines are an elastic net on each set of covariates of which any row has a measurement, and the TOPOSCORE,
    where its species lists are available. The prevalence is no baseline here: Brier scores are compared with that of
    each centre's own prevalence.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
        0 or 1.
    config : FitConfig
        Of the model; the covariate baselines differ from it in family and blocks.
    outer : sequence of Fold
    workers : Workers
        As `training.validation.held_out.validate` takes them.
    """
    predictions = dict[str, list[HeldOut]]()
    for name, blocks in COVARIATE_BLOCKS.items():
        if all(table.block(block).measured_rows.any() for block in blocks):
            covariates = replace(config, families=("elastic_net",), blocks=blocks)
            predictions[name] = validate(table, y, covariates, outer, workers=workers)["elastic_net"].held_out
    score = signature_score(table)
    if score is not None:
        predictions[PUBLISHED_SIGNATURE] = [_calibrated_score(y, score, table, fold) for fold in outer]
    return predictions


def signature_score(table: FeatureTable) -> Vector | None:
    """Return each row's TOPOSCORE, (n_rows,), from -1 to 1.

    It is the share of the species associated with response that are present, minus the share of those associated with
    resistance. Nothing of it is fitted to the table.

    Returns
    -------
    ndarray or None
        None where the folder of the cohorts has no species lists in `signatures`, or the table no species of a list.

    References
    ----------
    Derosa et al. 2024, Cell 187:3373-3389.
    """
    lists = [settings().data / "signatures" / f"sig{number}.txt" for number in (1, 2)]
    if not all(path.is_file() for path in lists):
        return None
    column = {name: i for i, name in enumerate(table.taxa.names)}
    resistance, response = (
        [column.get(canonical_name(name)) for name in read_text_table(path).column("species_Jan21")] for path in lists
    )
    known_columns = [[i for i in species if i is not None] for species in (response, resistance)]
    if not all(known_columns):
        return None
    present = [
        (table.taxa.values[:, columns] > 0).sum(axis=1) / len(species)
        for columns, species in zip(known_columns, (response, resistance), strict=True)
    ]
    return np.asarray(present[0] - present[1])


def _calibrated_score(y: Vector, score: Vector, table: FeatureTable, fold: Fold) -> HeldOut:
    """Return a score's held-out predictions; only its slope and intercept are fitted, to the training rows."""
    train, strata = fold.train, centre_codes(table.rows)
    weights, shrinkage = stacking_weights(y[train], score[None, train], strata[train])
    slope = shrinkage * float(weights[0])
    calibration = Calibration(slope, calibrating_intercept(y[train], slope * score[train]))
    inner_validation = InnerValidation((0,), weights, calibration, y[train], score[train])
    return HeldOut(fold, score[fold.test], calibration.probability(score[fold.test]), inner_validation)
