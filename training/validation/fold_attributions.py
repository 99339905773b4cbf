"""Feature attributions of the model fitted in each fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from features.feature_table import FeatureTable
from training.statistics.arrays import Vector
from training.validation.config import FitConfig
from training.validation.held_out import HeldOut
from training.validation.refit import refit_choice


def fold_attributions(
    table: FeatureTable, y: Vector, plan: FitConfig, held_out: Sequence[HeldOut], family: str
) -> Iterator[dict[tuple[str, str], float]]:
    """Yield, for each fold, the mean absolute contribution of each feature that its fit uses, by block and name."""
    for one in held_out:
        train = table.take(np.sort(one.fold.train))
        fit = refit_choice(train, y[np.sort(one.fold.train)], plan, family, one.choice)
        shap, _ = fit.predictor.contributions(fit.encoder.transform(train))
        size = np.abs(shap).mean(axis=0)
        yield {(f.block, f.name): float(s) for f, s in zip(fit.encoder.features_, size, strict=True) if s > 0}
