"""Feature attributions of the model that is fitted in each fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from features.arrays import Vector
from features.feature_table import FeatureTable
from training.validation.config import FitConfig, ValidationTask
from training.validation.held_out import HeldOut
from training.validation.refit import refit_on_all_rows


def fold_attributions(
    table: FeatureTable, y: Vector, config: FitConfig, held_out: Sequence[HeldOut], family: str
) -> Iterator[dict[tuple[str, str], float]]:
    """Yield, for each fold, the mean absolute SHAP value of each feature that its model uses, by block and name."""
    for prediction in held_out:
        train = np.sort(prediction.fold.train)
        train_table = table.take(train)
        fit = refit_on_all_rows(ValidationTask(train_table, y[train], config), family, prediction.inner_validation)
        assert fit.predictor is not None
        shap, _ = fit.predictor.contributions(fit.encoder.transform(train_table))
        features, size = fit.encoder.explained_, np.abs(fit.encoder.sum_by_feature(shap)).mean(axis=0)
        yield {(f.block, f.name): float(value) for f, value in zip(features, size, strict=True) if value > 0}
