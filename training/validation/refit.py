"""One family with its selected grid points, fitted to every row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.arrays import Vector
from models.calibration import Calibration
from models.encoder import BlockEncoder, Representations, representation_name
from models.families import LinearPredictor, Predictor
from training.validation.average import fit_average
from training.validation.config import ValidationTask
from training.validation.folds import centre_codes
from training.validation.inner_validation import InnerValidation
from training.validation.sklearn_family import FittedClassifier, find_family


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
        Selected settings, by name, and each blocks's weight.
    y, margin : ndarray, (n_calibration,)
        Outcomes and inner held-out log-odds that the calibration was fitted to, on the predictor's scale.
    """

    encoder: BlockEncoder
    predictor: Predictor | None
    calibration: Calibration
    setting: dict[str, int | float | str]
    y: Vector
    margin: Vector


def refit_on_all_rows(task: ValidationTask, family: str, inner_validation: InnerValidation) -> Fit:
    """Fit the average, or each predictor's selected grid point, to every row, and combine the predictors into one."""
    if task.config.averages:
        return _refit_average(task, family, inner_validation)
    config, strata, setting = task.config, centre_codes(task.table.rows), dict[str, int | float | str]()
    taxa_representation: Representations = config.representations[0]
    predictors, predictor_blocks = list[Predictor | None](), config.predictor_blocks(family)
    for blocks, point, weight in zip(predictor_blocks, inner_validation.points, inner_validation.weights, strict=True):
        representation, point_setting = config.grid(family, blocks)[point]
        if "taxa" in blocks:
            taxa_representation = representation
        prefix = f"{blocks[0]}." if len(predictor_blocks) > 1 else ""
        values = {**point_setting, "weight": round(float(weight), 4)}
        setting |= {f"{prefix}{name}": value for name, value in values.items()}
        X = config.encoder(blocks, representation).fit_transform(task.table)
        predictors.append(find_family(family).fit(X, task.y, strata, point_setting, config.seed))
    if "taxa" in config.blocks:
        setting["representation"] = representation_name(taxa_representation)
    encoder = config.encoder(config.blocks, taxa_representation).fit(task.table)
    linear = [predictor for predictor in predictors if isinstance(predictor, LinearPredictor)]
    if len(linear) == len(predictors):
        predictor = _weighted_sum(linear, inner_validation.weights)
        return Fit(
            encoder, predictor, inner_validation.calibration, setting, inner_validation.y, inner_validation.margin
        )
    # The weight of trees goes into the calibration, since trees cannot be scaled.
    weight = float(inner_validation.weights[0])
    margin = inner_validation.margin / weight if weight > 0 else np.zeros_like(inner_validation.margin)
    calibration = Calibration(weight * inner_validation.calibration.slope, inner_validation.calibration.intercept)
    return Fit(encoder, predictors[0], calibration, setting, inner_validation.y, margin)


def _refit_average(task: ValidationTask, family: str, inner_validation: InnerValidation) -> Fit:
    config = task.config
    encoder, predictor = fit_average(config, family, task.table, task.y, config.seed)
    setting: dict[str, int | float | str] = {"selection": config.selection}
    if "taxa" in config.blocks:
        setting["representation"] = representation_name(config.representations)
    served = None if isinstance(predictor, FittedClassifier) else predictor
    return Fit(encoder, served, inner_validation.calibration, setting, inner_validation.y, inner_validation.margin)


def _weighted_sum(predictors: Sequence[LinearPredictor], weights: Vector) -> LinearPredictor:
    """Return the weighted sum of linear predictors of different features, which is linear too."""
    return LinearPredictor(
        float(sum(weight * predictor.intercept for weight, predictor in zip(weights, predictors, strict=True))),
        np.concatenate([weight * predictor.coef for weight, predictor in zip(weights, predictors, strict=True)]),
        np.concatenate([predictor.mean for predictor in predictors]),
    )
