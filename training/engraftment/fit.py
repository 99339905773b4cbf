"""Fit of the engraftment model."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from features.arrays import Mask, Matrix, Positions, Vector
from features.transplants import TransplantProfiles
from models.engraftment.model import (
    EngraftmentModel,
    LinearScore,
    covariates,
    floored_log,
    is_possible,
    other_recipients,
)

PENALTY = 1.0
"""Ridge penalty of both regressions, on standardised covariates; fixed, since the taxa outnumber the coefficients."""


def fit_engraftment(profiles: TransplantProfiles, train: Positions) -> EngraftmentModel:
    """Fit the regressions of presence and abundance, with one coefficient of each baseline for all taxa.

    A training recipient's *mean of others after* is that of the training recipients of other donors, as it will be for
    a new recipient of a new donor; where all had one donor, that of the others.

    Parameters
    ----------
    profiles : TransplantProfiles
    train : ndarray of int
        Positions of the training transplants; at least two.
    """
    stool_before, donor, stool_after = profiles.stool_before[train], profiles.donor[train], profiles.stool_after[train]
    floor = float(min(stool[stool > 0].min() for stool in (stool_before, donor, stool_after))) / 2
    other_means = other_recipients(stool_after, floor, _comparable_weights(profiles.shares_donor[np.ix_(train, train)]))
    possible = is_possible(stool_before, donor, other_means)
    columns = covariates(stool_before, donor, other_means, floor)[possible]
    is_present, logs = stool_after[possible] > 0, floored_log(stool_after[possible], floor)
    abundance = _ridge(columns[is_present], logs[is_present])
    residuals = logs[is_present] - abundance.of_columns(columns[is_present])
    return EngraftmentModel(
        method="regression",
        taxa=profiles.taxa,
        floor=floor,
        presence=_logistic(columns, is_present),
        abundance=abundance,
        scale=float(residuals.std()),
        other_recipients=other_recipients(stool_after, floor, np.full(len(train), 1 / len(train))),
    )


def _comparable_weights(shares_donor: Mask) -> Matrix:
    """Return the weights of the recipients whose mean stands for each one's others, (n_train, n_train).

    They are those of other donors; where there are none, all but the recipient.
    """
    comparable = ~shares_donor
    comparable[~comparable.any(axis=1)] = ~np.eye(len(shares_donor), dtype=bool)[~comparable.any(axis=1)]
    return np.asarray(comparable / comparable.sum(axis=1, keepdims=True))


def _logistic(columns: Matrix, is_present: Mask) -> LinearScore:
    scaler = StandardScaler().fit(columns)
    fit = LogisticRegression(C=1 / PENALTY, solver="newton-cholesky").fit(scaler.transform(columns), is_present)
    return _on_original_scale(scaler, fit.coef_[0], float(fit.intercept_[0]))


def _ridge(columns: Matrix, logs: Vector) -> LinearScore:
    scaler = StandardScaler().fit(columns)
    fit = Ridge(alpha=PENALTY).fit(scaler.transform(columns), logs)
    return _on_original_scale(scaler, fit.coef_, float(fit.intercept_))


def _on_original_scale(scaler: StandardScaler, coef: Vector, intercept: float) -> LinearScore:
    slopes = coef / scaler.scale_
    return LinearScore(intercept - float(slopes @ scaler.mean_), tuple(slopes.tolist()))
