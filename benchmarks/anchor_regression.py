"""Anchor regression with a ridge penalty: a linear model for new cohorts that differ as the training cohorts do."""

from __future__ import annotations

import numpy as np

from features.arrays import Matrix, Positions, Vector
from features.feature_table import FeatureTable
from models.encoder import BlockEncoder
from training.validation.folds import Fold, centre_codes, inner_splits, loco_groups
from training.validation.held_out import HeldOut
from training.validation.inner_validation import calibrate_average

GAMMA = 5.0
"""Weight of the part of the residuals that the anchors explain; 1 is ordinary ridge regression."""


def anchor_held_out(table: FeatureTable, y: Vector, fold: Fold, blocks: tuple[str, ...]) -> HeldOut:
    """Return a fold's held-out predictions, calibrated on inner held-out margins as an average of Taxokine is.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
        0 or 1.
    fold : Fold
    blocks : tuple of str
        Taxa are encoded as centred log-ratios.
    """
    train = np.sort(fold.train)
    train_table, inner_margin = table.take(train), np.zeros(len(train))
    for inner_train, inner_test in inner_splits(train_table.rows, y[train], n_folds=5, seed=0):
        inner_margin[inner_test] = _margins(train_table, y[train], inner_train, inner_test, blocks)
    inner_validation = calibrate_average(y[train], inner_margin, centre_codes(train_table.rows))
    margin = _margins(table, y, train, fold.test, blocks)
    return HeldOut(fold, margin, inner_validation.calibration.probability(margin), inner_validation)


def anchor_slopes(X: Matrix, y: Vector, anchors: Positions, gamma: float = GAMMA) -> Vector:
    r"""Return the slopes of a ridge-penalised anchor regression, (n_features,).

    Minimises :math:`\lVert (I - \Pi)(y - X\beta)\rVert^2 + \gamma\lVert \Pi(y - X\beta)\rVert^2 +
    p\lVert\beta\rVert^2`, where :math:`\Pi` projects on the anchors' indicators and :math:`p` is the
    number of features.

    Parameters
    ----------
    X : ndarray, (n_samples, n_features)
        Standardised.
    y : ndarray, (n_samples,)
    anchors : ndarray of int, (n_samples,)
        Each sample's cohort, from 0.
    gamma : float

    References
    ----------
    Rothenhäusler et al. 2021, Journal of the Royal Statistical Society B 83:215-246.
    """
    members = np.equal.outer(anchors, np.arange(anchors.max() + 1)).astype(np.float64)
    projection = (members / members.sum(axis=0)) @ members.T
    transform = np.eye(len(y)) + (np.sqrt(gamma) - 1) * projection
    transformed_X, transformed_y = transform @ (X - X.mean(axis=0)), transform @ (y - y.mean())
    # The dual form, since there are more features than samples.
    kernel = transformed_X @ transformed_X.T + X.shape[1] * np.eye(len(y))
    return np.asarray(transformed_X.T @ np.linalg.solve(kernel, transformed_y))


def _margins(table: FeatureTable, y: Vector, train: Positions, test: Positions, blocks: tuple[str, ...]) -> Vector:
    encoder, train_table = BlockEncoder(blocks, "clr"), table.take(train)
    X = encoder.fit_transform(train_table)
    mean, scale = X.mean(axis=0), X.std(axis=0)
    scale = np.where(scale > 0, scale, np.inf)
    anchors = np.unique(loco_groups(train_table.rows).astype(str), return_inverse=True)[1]
    slopes = anchor_slopes((X - mean) / scale, y[train], anchors)
    return np.asarray((encoder.transform(table.take(test)) - mean) / scale @ slopes)
