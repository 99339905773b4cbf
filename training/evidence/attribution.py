"""SHAP attribution of a fitted model: which features, genera and blocks move its predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from features.arrays import Vector
from features.feature_table import FeatureTable
from features.transforms import genus_of
from models.evidence import FeatureAttribution, ModelAttribution, ShapShare
from training.validation.config import FitConfig
from training.validation.fold_attributions import fold_attributions
from training.validation.held_out import HeldOut
from training.validation.refit import Fit

if TYPE_CHECKING:
    from shap import Explanation

N_FEATURES = 50
"""Features kept in the record, those with the largest mean absolute SHAP value."""
N_SHARES = 30
"""Blocks or genera kept in the record."""


def shap_attribution(
    table: FeatureTable, y: Vector, config: FitConfig, family: str, fit: Fit, first_seed: Sequence[HeldOut]
) -> ModelAttribution | None:
    """Return the attribution of a model fitted to a table; None for a model without exact SHAP values.

    Parameters
    ----------
    table : FeatureTable
        Rows that the model was fitted to.
    y : ndarray, (n_rows,)
        Outcomes.
    config : FitConfig
    family : str
    fit : Fit
        Family fitted to all rows.
    first_seed : sequence of HeldOut
        First seed's folds, which tell how stably a feature is selected.
    """
    if fit.predictor is None:
        return None
    X = fit.encoder.transform(table)
    shap, columns = fit.encoder.sum_by_feature(fit.predictor.contributions(X)[0]), fit.encoder.explained_columns(X)
    mean_absolute = np.abs(shap).mean(axis=0)
    fold_features = [set(attributions) for attributions in fold_attributions(table, y, config, first_seed, family)]
    features, blocks, genera = list[FeatureAttribution](), dict[str, float](), dict[str, float]()
    for i, feature in enumerate(fit.encoder.explained_):
        key, size = (feature.block, feature.name), float(mean_absolute[i])
        blocks[feature.block] = blocks.get(feature.block, 0.0) + size
        # Diversity indices belong to no genus.
        if feature.block == "taxa" and config.representations != ("diversity",):
            genus = genus_of(feature.name)
            genera[genus] = genera.get(genus, 0.0) + size
        features.append(
            FeatureAttribution(
                feature=feature.name,
                block=feature.block,
                mean_absolute_shap=size,
                direction=_covariance_sign(columns[:, i], shap[:, i]),
                selected=float(np.mean([key in selected for selected in fold_features])) if fold_features else 0.0,
            )
        )
    features.sort(key=lambda feature: (-feature.mean_absolute_shap, feature.feature))
    return ModelAttribution(_shares(blocks), _shares(genera), tuple(features[:N_FEATURES]))


def shap_explanation(table: FeatureTable, fit: Fit) -> Explanation | None:
    """Return the SHAP values of a table's rows as the shap package takes them; None without exact SHAP values.

    Values are on the log-odds scale, before calibration; `data` are the features as the model reads them,
    in the first of several representations.
    """
    if fit.predictor is None:
        return None
    # Imported here: it takes seconds, and only a run needs it.
    from shap import Explanation

    X = fit.encoder.transform(table)
    shap, base_value = fit.predictor.contributions(X)
    names = [feature.name for feature in fit.encoder.explained_]
    return Explanation(
        values=fit.encoder.sum_by_feature(shap),
        base_values=np.full(len(X), base_value),
        data=fit.encoder.explained_columns(X),
        feature_names=names,
    )


def _covariance_sign(x: Vector, z: Vector) -> Literal[-1, 0, 1]:
    covariance = float(((x - x.mean()) * (z - z.mean())).sum())
    return 1 if covariance > 0 else -1 if covariance < 0 else 0


def _shares(sizes: Mapping[str, float]) -> tuple[ShapShare, ...]:
    total = sum(sizes.values())
    ranked = sorted(((size / total, name) for name, size in sizes.items() if size), reverse=True) if total else []
    return tuple(ShapShare(name, share) for share, name in ranked[:N_SHARES])
