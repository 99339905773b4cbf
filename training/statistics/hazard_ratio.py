"""Hazard ratio of two arms."""

from __future__ import annotations

import numpy as np

from features.arrays import Labels, Mask, Vector
from training.statistics.interval_estimate import IntervalEstimate, Z


def hazard_ratio(time: Vector, event: Mask, group: Mask, strata: Labels | None = None) -> IntervalEstimate:
    """Return the hazard of a group over that of the others, by Cox regression with Efron's ties and Wald's interval.

    It is NaN where an arm has no event, since the likelihood then has no maximum. A single ratio describes the arms
    only where their hazards are proportional.

    Parameters
    ----------
    time : ndarray, (n_patients,)
        Days.
    event, group : ndarray of bool, (n_patients,)
    strata : ndarray, (n_patients,), optional
        Each with a baseline hazard of its own.

    References
    ----------
    Cox 1972, Journal of the Royal Statistical Society B 34:187-220; Efron 1977, Journal of the American Statistical
    Association 72:557-565.
    """
    if not event[group].any() or not event[~group].any():
        return IntervalEstimate(np.nan, np.nan, np.nan)
    # Imported here: statsmodels takes about a second to import.
    from statsmodels.duration.hazard_regression import PHReg

    fit = PHReg(time, group[:, None].astype(float), status=event.astype(int), strata=strata, ties="efron").fit()
    value, half_width = float(fit.params[0]), Z * float(fit.bse[0])
    return IntervalEstimate(float(np.exp(value)), float(np.exp(value - half_width)), float(np.exp(value + half_width)))
