"""The AUROC of one group of patients, its variance, and a confidence interval that holds for few of them."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq
from scipy.stats import rankdata

from features.arrays import Mask, Vector
from models.evidence import Estimate
from models.rates import INTERVAL_ALPHA


def auroc_variance(area: Vector | float, events: Vector | float, non_events: Vector | float) -> Vector:
    r"""Return sampling variances of AUROCs from the AUROC and the two numbers of patients alone.

    .. math:: \frac{A (1 - A)}{m n} \left[ 1 + N^* \frac{1 - A}{2 - A} + N^* \frac{A}{1 + A} \right],
        \qquad N^* = \frac{m + n}{2} - 1

    DeLong's variance, which uses the patients' ranks, is 0 in a centre that is ranked perfectly and unstable with three
    events, so it cannot weight centres.

    Parameters
    ----------
    area : ndarray, (n_centres,), or float
        :math:`A`.
    events, non_events : ndarray, (n_centres,), or float
        :math:`m` and :math:`n`, patients with and without the event.

    References
    ----------
    Newcombe 2006, method 4, Statistics in Medicine 25:559-573; Debray et al. 2019, Statistical Methods in Medical
    Research 28:2768-2786.
    """
    size = (np.asarray(events) + non_events) / 2 - 1
    spread = 1 + size * (1 - area) / (2 - area) + size * area / (1 + area)
    variance: Vector = area * (1 - area) * spread / (np.asarray(events) * non_events)
    return variance


def score_limits(area: float, variance: Callable[[float], float]) -> tuple[float, float]:
    """Return the 95% score limits of an AUROC.

    A limit is the AUROC whose own variance, rather than that at the estimate, makes the estimate just compatible with
    it: a perfect ranking of few patients has no narrow interval.

    Parameters
    ----------
    area : float
    variance : callable
        Sampling variance of the AUROC if it is expected to be its argument; that of an area and of its complement are
        equal.

    References
    ----------
    Newcombe 2006, method 5, Statistics in Medicine 25:559-573.
    """
    z = NormalDist().inv_cdf(1 - INTERVAL_ALPHA / 2)

    def lower_limit(estimate: float) -> float:
        def gap(limit: float) -> float:
            return estimate - limit - z * sqrt(variance(limit))

        # The bracket ends just below the estimate: at 1 the variance is 0, and 1 would be a root.
        return float(brentq(gap, 0, estimate * (1 - 1e-9))) if estimate else 0.0

    return lower_limit(area), 1 - lower_limit(1 - area)


def auroc_estimate(y: Mask, score: Vector) -> Estimate:
    """Return the AUROC and its 95% score interval.

    Parameters
    ----------
    y : ndarray of bool, (n_patients,)
        Whether each patient had the event.
    score : ndarray, (n_patients,)
        Any number that is larger where the event is likelier.

    Returns
    -------
    Estimate
        All None where there are only events, or none.
    """
    events, non_events = int(y.sum()), int((~y).sum())
    if not events or not non_events:
        return Estimate(None, None, None)
    area = float((rankdata(score)[y].sum() - events * (events + 1) / 2) / (events * non_events))
    limits = score_limits(area, lambda limit: float(auroc_variance(limit, events, non_events)))
    return Estimate(area, *limits)
