"""The AUROC of one group of patients, with a confidence interval that holds for few of them."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import rankdata

from models.evidence import Estimate
from models.rates import INTERVAL_ALPHA


def auroc_estimate(y: NDArray[np.bool_], score: NDArray[np.float64]) -> Estimate:
    r"""Return the AUROC and its 95% interval: the areas that are less than 1.96 of their own standard errors away.

    The squared standard error of an area :math:`A`, with :math:`m` events and :math:`n` patients without, is

    .. math:: \frac{A (1 - A)}{m n} \left[ 1 + N^* \frac{1 - A}{2 - A} + N^* \frac{A}{1 + A} \right],
        \qquad N^* = \frac{m + n}{2} - 1

    As it is that of the interval's own ends, an area of 1 has an interval too.

    Parameters
    ----------
    y : ndarray of bool, (n_patients,)
        Whether each patient had the event.
    score : ndarray of float64, (n_patients,)
        Any number that is larger where the event is likelier.

    Returns
    -------
    Estimate
        All None where there are only events, or none.

    References
    ----------
    Newcombe 2006, method 5, Statistics in Medicine 25:559-573.
    """
    events, non_events = int(y.sum()), int((~y).sum())
    if not events or not non_events:
        return Estimate(None, None, None)
    area = float((rankdata(score)[y].sum() - events * (events + 1) / 2) / (events * non_events))
    z = NormalDist().inv_cdf(1 - INTERVAL_ALPHA / 2)

    def distance(limit: float) -> float:
        return abs(area - limit) - z * _standard_error(limit, events, non_events)

    # At 0 and 1 themselves the standard error is 0.
    low = brentq(distance, 0.0, min(area, 1 - 1e-9)) if area > 0 else 0.0
    high = brentq(distance, max(area, 1e-9), 1.0) if area < 1 else 1.0
    return Estimate(area, float(low), float(high))


def _standard_error(area: float, events: int, non_events: int) -> float:
    size = (events + non_events) / 2 - 1
    spread = 1 + size * (1 - area) / (2 - area) + size * area / (1 + area)
    return sqrt(area * (1 - area) * spread / (events * non_events))
