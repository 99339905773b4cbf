"""Net benefit and decision curves: acting on a model, against acting on everyone and on no one."""

from __future__ import annotations

import numpy as np

from features.arrays import Matrix, Names, Vector
from models.evidence import CentreDecisionCurve
from training.statistics.metrics import N_BOOTSTRAP, bootstrap_weights

THRESHOLDS = np.arange(1, 20) / 20
FEW = 100
"""With fewer events, or fewer patients without one, a decision curve is indicative only."""


def net_benefit(y: Vector, probability: Vector, thresholds: Vector, weights: Matrix | None = None) -> Matrix:
    r"""Return the net benefit, per patient, of acting where the probability reaches a threshold.

    .. math:: \frac{TP}{n} - \frac{FP}{n} \cdot \frac{p_t}{1 - p_t}

    To act is to treat a likely responder, or to spare or monitor a patient in whom toxicity is likely. A threshold of
    20% accepts four false positives for one true positive.

    Parameters
    ----------
    y, probability : ndarray, (n_samples,)
    thresholds : ndarray, (n_thresholds,)
        :math:`p_t`, between 0 and 1, both excluded.
    weights : ndarray, (n_draws, n_samples), optional
        How often each patient counts in each draw; without weights, one draw in which each counts once.

    Returns
    -------
    ndarray, (n_draws, n_thresholds)

    References
    ----------
    Vickers and Elkin 2006, Medical Decision Making 26:565-574.
    """
    weights = np.ones((1, len(y))) if weights is None else weights
    benefit = y - (1 - y) * (thresholds / (1 - thresholds))[:, None]
    positive = probability >= thresholds[:, None]
    return np.asarray(weights @ (benefit * positive).T / weights.sum(axis=1, keepdims=True))


def decision_curves(
    y: Vector, probability: Vector, centres: Names, n_bootstrap: int = N_BOOTSTRAP
) -> dict[str, CentreDecisionCurve]:
    """Return each centre's decision curve; its band resamples the centre's patients and holds predictions fixed.

    Parameters
    ----------
    y, probability : ndarray, (n_samples,)
    centres : ndarray of str, (n_samples,)
    n_bootstrap : int
    """
    weights, curves = bootstrap_weights(centres, n_bootstrap), {}
    for name in dict.fromkeys(centres.tolist()):
        mask = centres == name
        n, events = int(mask.sum()), int(y[mask].sum())
        bootstrap_values = net_benefit(y[mask], probability[mask], THRESHOLDS, weights[:, mask])
        low, high = np.quantile(bootstrap_values, [0.025, 0.975], axis=0)
        curves[name] = CentreDecisionCurve(
            centre=name,
            patients=n,
            events=events,
            indicative=min(events, n - events) < FEW,
            thresholds=tuple(THRESHOLDS.tolist()),
            model=tuple(net_benefit(y[mask], probability[mask], THRESHOLDS)[0].tolist()),
            low=tuple(low.tolist()),
            high=tuple(high.tolist()),
            treat_all=tuple(net_benefit(y[mask], np.ones(n), THRESHOLDS)[0].tolist()),
        )
    return curves
