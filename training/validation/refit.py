"""One family, tuned and calibrated by inner validation, fitted to every row of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from features.feature_table import FeatureTable
from models.calibration import Calibration
from models.encoder import BlockEncoder
from models.families import FAMILIES, LinearPredictor, Predictor
from training.statistics.arrays import Vector
from training.validation.choice import Choice
from training.validation.config import FitConfig
from training.validation.folds import (
    centre_codes,
)


@dataclass(frozen=True)
class Fit:
    """One family fitted to all rows given, tuned and calibrated on inner left-out rows.

    Attributes
    ----------
    encoder : BlockEncoder
    predictor : Predictor
    calibration : Calibration
    setting : dict
        What inner validation chose, and each part's weight.
    y, margin : ndarray, (n_calibration,)
        Outcomes and inner left-out log-odds that the calibration was learnt on, on the predictor's scale.
    """

    encoder: BlockEncoder
    predictor: Predictor
    calibration: Calibration
    setting: dict[str, Any]
    y: Vector
    margin: Vector


def refit_choice(table: FeatureTable, y: Vector, plan: FitConfig, family: str, choice: Choice) -> Fit:
    """Fit each part's chosen candidate to all rows, and make one predictor of them."""
    groups, setting = centre_codes(table.rows), dict[str, Any]()
    shape, predictors = plan.representations[0], list[Predictor]()
    for part, candidate, weight in zip(plan.parts(family), choice.candidates, choice.weights, strict=True):
        chosen, one = plan.candidates(family, part)[candidate]
        shape = chosen if "taxa" in part else shape
        prefix = f"{part[0]}." if len(plan.parts(family)) > 1 else ""
        named = {**one, "weight": round(float(weight), 4)}
        setting |= {f"{prefix}{name}": value for name, value in named.items()}
        X = plan.encoder(part, chosen).fit_transform(table)
        predictors.append(FAMILIES[family].fit(X, y, groups, one, plan.seed))
    if "taxa" in plan.blocks:
        setting["representation"] = shape
    encoder = plan.encoder(plan.blocks, shape).fit(table)
    linear = [one for one in predictors if isinstance(one, LinearPredictor)]
    if len(linear) == len(predictors):
        # Weighted and added up, linear fits are one linear fit.
        predictor = LinearPredictor(
            float(sum(weight * one.intercept for weight, one in zip(choice.weights, linear, strict=True))),
            np.concatenate([weight * one.coef for weight, one in zip(choice.weights, linear, strict=True)]),
            np.concatenate([one.mean for one in linear]),
        )
        return Fit(encoder, predictor, choice.calibration, setting, choice.y, choice.margin)
    # Trees cannot be weighted; the calibration is.
    weight = float(choice.weights[0])
    margin = choice.margin / weight if weight > 0 else np.zeros_like(choice.margin)
    calibration = Calibration(weight * choice.calibration.slope, choice.calibration.intercept)
    return Fit(encoder, predictors[0], calibration, setting, choice.y, margin)
