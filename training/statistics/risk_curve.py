"""Absolute risk of the event by a day, from log-hazards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from features.survival import CENSORED, DEATH, EVENT
from training.statistics.arrays import Matrix, Positions, Vector
from training.statistics.cox import log_partial_likelihood


@dataclass(frozen=True)
class RiskCurve:
    """The chance of the event by a day, from log-hazards.

    Attributes
    ----------
    slope : float
        What left-out log-hazards are multiplied by; 0 where they have no skill, and every risk is then the average.
    days : ndarray, (n_days,)
        Days on which someone had the event or died.
    hazard, death : ndarray, (n_days,)
        The event's baseline hazard, and that of a death that precludes it.
    until : float
        The last day that anyone was followed.
    """

    slope: float
    days: Vector
    hazard: Vector
    death: Vector
    until: float

    def risk(self, margin: Vector, day: float) -> Vector:
        r"""Return :math:`\sum_{t \le day} S(t-) (1 - e^{-h(t) e^\eta})`, (n_samples,); NaN beyond the last day.

        :math:`\eta` are the log-hazards times the slope, and :math:`S` the chance of neither event nor death.
        """
        if day > self.until:
            return np.full(len(margin), np.nan)
        by = self.days <= day
        step = np.exp(self.slope * margin)[:, None] * self.hazard[by]
        left = step + self.death[by]
        return np.asarray((np.exp(left - np.cumsum(left, axis=1)) * -np.expm1(-step)).sum(axis=1))


def risk_curve(y: Matrix, strata: Positions, margin: Vector) -> RiskCurve:
    """Return the calibration of left-out log-hazards; its slope is never below 0.

    Parameters
    ----------
    y : ndarray, (n_samples, 2)
    strata : ndarray of int, (n_samples,)
        The slope is found within strata; the baseline is that of all, as for a patient of none of them.
    margin : ndarray, (n_samples,)

    References
    ----------
    Breslow 1972, Journal of the Royal Statistical Society B 34:216-217, for the baseline.
    """

    def loss(at: Vector) -> float:
        return float(-log_partial_likelihood(y, strata, at[0] * margin) / len(y))

    slope = float(minimize(loss, np.array([0.5]), bounds=[(0, None)]).x[0]) if np.ptp(margin) > 0 else 0.0
    days = np.unique(y[y[:, 1] != CENSORED, 0])
    at_risk = y[:, 0] >= days[:, None]
    events, deaths = (((y[:, 0] == days[:, None]) & (y[:, 1] == code)).sum(axis=1) for code in (EVENT, DEATH))
    hazard = events / (at_risk @ np.exp(slope * margin))
    return RiskCurve(slope, days, hazard, deaths / at_risk.sum(axis=1), float(y[:, 0].max()))
