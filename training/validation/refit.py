"""One family with its selected grid points, fitted to every row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.arrays import Vector
from models.calibration import Calibration
from models.encoder import BlockEncoder, Representations
from models.families import LinearPredictor, Predictor
from training.validation.average import fit_average
from training.validation.choice import Choice
from training.validation.folds import centre_codes
from training.validation.sklearn_family import FittedClassifier, find_family
from training.validation.task import ValidationTask


@dataclass(frozen=True)
class Fit:
    """One family fitted to every row, tuned and calibrated on inner held-out rows.

    Attributes
    ----------
    encoder : BlockEncoder
    predictor : Predictor or None
        None for a scikit-learn classifier, which is compared but never served.
    calibration : Calibration
    setting : dict
        Selected settings, by name, and each part's weight.
    y, margin : ndarray, (n_calibration,)
        Outcomes and inner held-out log-odds that the calibration was fitted to, on the predictor's scale.
    """

    encoder: BlockEncoder
    predictor: Predictor | None
    calibration: Calibration
    setting: dict[str, Any]
    y: Vector
    margin: Vector


def refit_choice(task: ValidationTask, family: str, choice: Choice) -> Fit:
    """Fit the average, or each part's selected grid point, to every row, and combine the parts into one predictor."""
    if task.config.averages:
        return _refit_average(task, family, choice)
    config, strata, setting = task.config, centre_codes(task.table.rows), dict[str, Any]()
    taxa_representation: Representations = config.representations[0]
    predictors, parts = list[Predictor | None](), config.parts(family)
    for part, point, weight in zip(parts, choice.points, choice.weights, strict=True):
        representation, part_setting = config.grid(family, part)[point]
        if "taxa" in part:
            taxa_representation = representation
        prefix = f"{part[0]}." if len(parts) > 1 else ""
        values = {**part_setting, "weight": round(float(weight), 4)}
        setting |= {f"{prefix}{name}": value for name, value in values.items()}
        X = config.encoder(part, representation).fit_transform(task.table)
        predictors.append(find_family(family).fit(X, task.y, strata, part_setting, config.seed))
    if "taxa" in config.blocks:
        setting["representation"] = taxa_representation
    encoder = config.encoder(config.blocks, taxa_representation).fit(task.table)
    linear = [predictor for predictor in predictors if isinstance(predictor, LinearPredictor)]
    if len(linear) == len(predictors):
        predictor = _weighted_sum(linear, choice.weights)
        return Fit(encoder, predictor, choice.calibration, setting, choice.y, choice.margin)
    # The weight of trees goes into the calibration, since trees cannot be scaled.
    weight = float(choice.weights[0])
    margin = choice.margin / weight if weight > 0 else np.zeros_like(choice.margin)
    calibration = Calibration(weight * choice.calibration.slope, choice.calibration.intercept)
    return Fit(encoder, predictors[0], calibration, setting, choice.y, margin)


def _refit_average(task: ValidationTask, family: str, choice: Choice) -> Fit:
    config = task.config
    encoder, predictor = fit_average(config, family, task.table, task.y, config.seed)
    setting: dict[str, Any] = {"selection": config.selection}
    if "taxa" in config.blocks:
        setting["representation"] = ",".join(config.representations)
    served = None if isinstance(predictor, FittedClassifier) else predictor
    return Fit(encoder, served, choice.calibration, setting, choice.y, choice.margin)


def _weighted_sum(predictors: Sequence[LinearPredictor], weights: Vector) -> LinearPredictor:
    """Return the weighted sum of linear predictors of different features, which is linear too."""
    return LinearPredictor(
        float(sum(weight * predictor.intercept for weight, predictor in zip(weights, predictors, strict=True))),
        np.concatenate([weight * predictor.coef for weight, predictor in zip(weights, predictors, strict=True)]),
        np.concatenate([predictor.mean for predictor in predictors]),
    )
