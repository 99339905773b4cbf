"""Recalibration in the large, scored on patients that did not fit it."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from features.arrays import Vector

_STEPS = 50
"""Newton's steps; it converges in fewer than ten from a shift of 0."""


def held_out_shifts(y: Vector, log_odds: Vector) -> Vector:
    r"""Return for each patient the shift of the log-odds that fits the outcomes of all other patients, (n_samples,).

    The shift :math:`a` solves :math:`\sum_j (y_j - \operatorname{expit}(\ell_j + a)) = 0`: the slope stays 1.

    Parameters
    ----------
    y : ndarray, (n_samples,)
        Outcomes, 0 or 1; at least two of each.
    log_odds : ndarray, (n_samples,)

    References
    ----------
    Steyerberg et al. 2004, Statistics in Medicine 23:2567-2586.
    """
    is_other = ~np.eye(len(y), dtype=bool)
    shift = np.zeros(len(y))
    for _ in range(_STEPS):
        probability = expit(log_odds + shift[:, None])
        residual = ((y - probability) * is_other).sum(axis=1)
        information = (probability * (1 - probability) * is_other).sum(axis=1)
        # Far from the solution the information vanishes and the step would overshoot.
        shift = shift + np.clip(residual / np.maximum(information, 1e-12), -1, 1)
    return shift
