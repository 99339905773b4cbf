"""What acting on a probability is worth, against acting on everyone and on no one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.statistics.arrays import Matrix, Names, Vector
from training.statistics.metrics import N_BOOTSTRAP, bootstrap_weights

THRESHOLDS = np.arange(1, 20) / 20
FEW = 100
"""With fewer events, or fewer patients without one, a decision curve is indicative only."""


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit in one cohort, per patient, in events acted on.

    Attributes
    ----------
    patients, events : int
    indicative : bool
        Fewer than 100 events, or than 100 patients without one.
    thresholds : list of float
        Probabilities from which on one acts.
    model, low, high : list of float
        Net benefit of acting by the model, with its 95% bootstrap band, threshold by threshold.
    treat_all, treat_none : list of float
    """

    patients: int
    events: int
    indicative: bool
    thresholds: list[float]
    model: list[float]
    low: list[float]
    high: list[float]
    treat_all: list[float]
    treat_none: list[float]


def net_benefit(y: Vector, probability: Vector, thresholds: Vector, weights: Matrix | None = None) -> Matrix:
    """Return the net benefit of acting where the probability reaches a threshold.

    To act is to treat a likely responder, or to spare or watch a patient in whom toxicity is likely. Either way each
    event acted on counts 1, and each other patient acted on costs the odds of the threshold: whoever acts from 20% on
    accepts four in vain for one that is not.

    Parameters
    ----------
    y, probability : ndarray, (n_samples,)
    thresholds : ndarray, (n_thresholds,)
        Between 0 and 1, both excluded.
    weights : ndarray, (n_draws, n_samples), optional
        How often each patient counts in each draw; once when left out.

    Returns
    -------
    ndarray, (n_draws, n_thresholds)

    References
    ----------
    Vickers and Elkin 2006, Medical Decision Making 26:565-574.
    """
    weights = np.ones((1, len(y))) if weights is None else weights
    worth = y - (1 - y) * (thresholds / (1 - thresholds))[:, None]
    acted = probability >= thresholds[:, None]
    return np.asarray(weights @ (worth * acted).T / weights.sum(axis=1, keepdims=True))


def decision_curves(
    y: Vector, probability: Vector, cohorts: Names, n_bootstrap: int = N_BOOTSTRAP
) -> dict[str, DecisionCurve]:
    """Return each cohort's decision curve, its patients drawn with replacement for the band, predictions held fixed."""
    weights, curves = bootstrap_weights(cohorts, n_bootstrap), {}
    for name in dict.fromkeys(cohorts.tolist()):
        mine = cohorts == name
        n, events = int(mine.sum()), int(y[mine].sum())
        drawn = net_benefit(y[mine], probability[mine], THRESHOLDS, weights[:, mine])
        band = np.quantile(drawn, [0.025, 0.975], axis=0)
        curves[name] = DecisionCurve(
            patients=n,
            events=events,
            indicative=min(events, n - events) < FEW,
            thresholds=THRESHOLDS.tolist(),
            model=net_benefit(y[mine], probability[mine], THRESHOLDS)[0].tolist(),
            low=band[0].tolist(),
            high=band[1].tolist(),
            treat_all=net_benefit(y[mine], np.ones(n), THRESHOLDS)[0].tolist(),
            treat_none=[0.0] * len(THRESHOLDS),
        )
    return curves
