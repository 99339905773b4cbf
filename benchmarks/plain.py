"""The training experiment in plain scikit-learn, against which ours is timed.

Features, splits and grids are the same; pipelines, `GridSearchCV` and `CalibratedClassifierCV` do the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from features.arrays import Vector
from features.feature_table import FeatureTable
from features.transforms import CLR, MedianFill, PrevalenceFilter, ZeroReplacement
from models.families import FAMILIES
from training.validation.folds import Fold, inner_splits


def held_out_probability(
    table: FeatureTable,
    y: Vector,
    blocks: Sequence[str],
    family: str,
    fold: Fold,
    *,
    n_folds: int,
    seed: int,
    calibrate: bool = True,
) -> Vector:
    """Tune, fit and calibrate on a fold's training rows; return the probability of its held-out rows, (n_test,)."""
    X = np.hstack([table.block(block).values for block in blocks])
    train, rows = fold.train, table.rows.iloc[fold.train]
    splits = inner_splits(rows, y[train], n_folds, seed + fold.repeat)
    model, grid = _model_and_grid(table, blocks, family, X[train], y[train], seed)
    if grid:
        search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=splits, n_jobs=-1, refit=False)
        model.set_params(**search.fit(X[train], y[train]).best_params_)
    if calibrate:
        model = CalibratedClassifierCV(model, cv=splits, ensemble=False, n_jobs=-1)
    return np.asarray(model.fit(X[train], y[train]).predict_proba(X[fold.test])[:, 1])


def _model_and_grid(
    table: FeatureTable, blocks: Sequence[str], family: str, X: NDArray[np.float64], y: Vector, seed: int
) -> tuple[Pipeline, list[dict[str, Any]]]:
    encoder = _encoder(table, blocks)
    settings = FAMILIES[family].settings
    if family == "elastic_net":
        scaled = StandardScaler().fit_transform(encoder.fit_transform(X))
        # Times the number of rows, the penalty at which every slope is zero is this over l1_ratio.
        largest = np.abs(scaled.T @ (y - y.mean())).max()
        grid = [
            {"model__l1_ratio": [s["l1_ratio"]], "model__C": [s["l1_ratio"] / (largest * s["lambda_ratio"])]}
            for s in settings
        ]
        linear = LogisticRegression(solver="saga", l1_ratio=0.5, max_iter=1000, random_state=seed)
        return Pipeline([("encoder", encoder), ("scaler", StandardScaler()), ("model", linear)]), grid
    params: dict[str, Any] = FAMILIES[family].params  # type: ignore[attr-defined]
    if family == "xgboost_forest":
        forest = RandomForestClassifier(params["num_parallel_tree"], random_state=seed)
        return Pipeline([("encoder", encoder), ("model", forest)]), []
    boosted = XGBClassifier(**params, n_jobs=1, random_state=seed)
    grid = [{"model__max_depth": [s["max_depth"]], "model__n_estimators": [s["rounds"]]} for s in settings]
    return Pipeline([("encoder", encoder), ("model", boosted)]), grid


def _encoder(table: FeatureTable, blocks: Sequence[str]) -> ColumnTransformer:
    steps = {"taxa": make_pipeline(PrevalenceFilter(), ZeroReplacement(), CLR()), "clinical": MedianFill()}
    ends = np.cumsum([0, *(len(table.block(block).names) for block in blocks)])
    return ColumnTransformer([(block, steps[block], slice(*ends[i : i + 2])) for i, block in enumerate(blocks)])
