"""Baselines: what could be said of the same patients, left out in the same folds, without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from features.feature_table import FeatureTable
from features.settings import settings
from features.tables.text import read_text_table
from features.taxon_names import canonical_name
from models.calibration import Calibration
from training.statistics.arrays import Vector
from training.validation.choice import Choice
from training.validation.config import FitConfig
from training.validation.folds import Fold, centre_codes
from training.validation.held_out import HeldOut, validate
from training.validation.stacking import calibrating_intercept, stacking_weights

COVARIATE_BLOCKS = {
    "clinical": ("clinical",),
    "technical": ("technical",),
    "clinical + technical": ("clinical", "technical"),
}
"""Blocks of the baselines whose gain must be beaten: what is known of a patient, or of a sample, without its taxa."""
PUBLISHED_SIGNATURE = "published signature"


def validate_baselines(
    table: FeatureTable, y: Vector, plan: FitConfig, outer: Sequence[Fold], workers: int
) -> dict[str, list[HeldOut]]:
    """Return each baseline's left-out predictions.

    `prevalence` says the training rows'. The covariates are given to an elastic net; what no row measured is left out.
    The published signature is the TOPOSCORE, unfitted but for its level and slope: the share of species tied to
    response that were found, less the share of those tied to resistance. Its lists are read from `signatures` in the
    folder of the cohorts, and it is left out where they are not there.

    References
    ----------
    Derosa et al. 2024, Cell 187:3373-3389.
    """
    found = {"prevalence": [_scored(y, np.zeros(len(y)), table, fold) for fold in outer]}
    for name, blocks in COVARIATE_BLOCKS.items():
        if all(table.block(block).measured_rows.any() for block in blocks):
            given = replace(plan, families=("elastic_net",), blocks=blocks)
            found[name] = validate(table, y, given, outer, workers=workers)["elastic_net"].held_out
    score = signature_score(table)
    if score is not None:
        found[PUBLISHED_SIGNATURE] = [_scored(y, score, table, fold) for fold in outer]
    return found


def signature_score(table: FeatureTable) -> Vector | None:
    """Return each row's TOPOSCORE, (n_rows,), from -1 to 1; None where its species lists are not at hand."""
    lists = [settings().data / "signatures" / f"sig{which}.txt" for which in (1, 2)]
    if not all(path.is_file() for path in lists):
        return None
    position = {name: i for i, name in enumerate(table.taxa.names)}
    resistance, response = (
        [position.get(canonical_name(name)) for name in read_text_table(path).column("species_Jan21")] for path in lists
    )
    shares = [
        (table.taxa.values[:, [at for at in side if at is not None]] > 0).sum(axis=1) / len(side)
        for side in (response, resistance)
    ]
    return np.asarray(shares[0] - shares[1])


def _scored(y: Vector, score: Vector, table: FeatureTable, fold: Fold) -> HeldOut:
    """Return an unfitted score of the rows left out, its level and slope learnt from the training rows."""
    train, own = fold.train, centre_codes(table.rows)
    weights, believed = stacking_weights(y[train], score[None, train], own[train])
    slope = believed * float(weights[0])
    calibration = Calibration(slope, calibrating_intercept(y[train], slope * score[train]))
    choice = Choice((0,), weights, calibration, y[train], score[train])
    return HeldOut(fold, score[fold.test], calibration.probability(score[fold.test]), choice)
