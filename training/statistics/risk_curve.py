"""Absolute risks of the event by a day, from held-out log-hazards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from features.arrays import Matrix, Positions, Vector
from features.survival import CENSORED, DEATH, EVENT
from training.statistics.cox import log_partial_likelihood


@dataclass(frozen=True)
class RiskCurve:
    """Calibrated baseline hazards, which turn log-hazards into risks.

    Attributes
    ----------
    slope : float
        Factor of the log-hazards; 0 where they have no skill, so that every risk is the average.
    days : ndarray, (n_days,)
        Days with an event or a death.
    event_hazard, death_hazard : ndarray, (n_days,)
        Baseline hazards of the event, and of death before it.
    last_day : float
        The last day of follow-up.
    """

    slope: float
    days: Vector
    event_hazard: Vector
    death_hazard: Vector
    last_day: float

    def risk(self, margin: Vector, day: float) -> Vector:
        r"""Return each patient's risk of the event by a day, (n_samples,); NaN beyond the last day of follow-up.

        .. math:: \sum_{t \le day} S(t-) \left( 1 - e^{-h(t) e^\eta} \right)

        with :math:`\eta` the log-hazard times the slope, :math:`h` the baseline hazard, and :math:`S` the probability
        of neither event nor death.
        """
        if day > self.last_day:
            return np.full(len(margin), np.nan)
        up_to = self.days <= day
        event = np.exp(self.slope * margin)[:, None] * self.event_hazard[up_to]
        either = event + self.death_hazard[up_to]
        return np.asarray((np.exp(either - np.cumsum(either, axis=1)) * -np.expm1(-event)).sum(axis=1))


def risk_curve(y: Matrix, strata: Positions, margin: Vector) -> RiskCurve:
    """Return the calibration of held-out log-hazards: a slope of at least 0, and Breslow's baseline hazard.

    Parameters
    ----------
    y : ndarray, (n_samples, 2)
        Days, and how they end, as in `features.survival`.
    strata : ndarray of int, (n_samples,)
        The slope is estimated within strata. The baseline is that of all samples together, which suits a patient of
        none of the strata.
    margin : ndarray, (n_samples,)

    References
    ----------
    Breslow 1972, Journal of the Royal Statistical Society B 34:216-217, for the baseline.
    """

    def loss(slope: Vector) -> float:
        return float(-log_partial_likelihood(y, strata, slope[0] * margin) / len(y))

    slope = float(minimize(loss, np.array([0.5]), bounds=[(0, None)]).x[0]) if np.ptp(margin) > 0 else 0.0
    days = np.unique(y[y[:, 1] != CENSORED, 0])
    at_risk = y[:, 0] >= days[:, None]
    events, deaths = (((y[:, 0] == days[:, None]) & (y[:, 1] == code)).sum(axis=1) for code in (EVENT, DEATH))
    event_hazard = events / (at_risk @ np.exp(slope * margin))
    return RiskCurve(slope, days, event_hazard, deaths / at_risk.sum(axis=1), float(y[:, 0].max()))
