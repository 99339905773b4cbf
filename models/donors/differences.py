"""Differences between the probabilities after transplants from two donors, for one recipient and one outcome.

The intervals of two donors are no test of their difference. The estimate of the difference is paired: both donors'
profiles after are drawn with the same random numbers. The errors of the two log-odds are taken as independent, as those
of two training transplants, so that the interval of their difference is sqrt(2) times as wide as that of one; it is too
wide where both share what was misjudged of the recipient. The intervals of all pairs hold together (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t

from models.donors.records import DonorDifference

ALPHA = 0.05
"""One minus the level at which the intervals of all pairs of donors hold together."""


def donor_differences(
    outcome: str, probabilities: Sequence[tuple[str, float]], error: float, units: int
) -> dict[str, list[DonorDifference]]:
    """Return the differences of each donor from every other one, by donor.

    Parameters
    ----------
    outcome : str
    probabilities : sequence of (str, float)
        Donors with their calibrated probability after.
    error : float
        Root mean square of the errors of the held-out training transplants, in log-odds of the probability.
    units : int
        Degrees of freedom of `error`: donors that were left out in turn.
    """
    differences: dict[str, list[DonorDifference]] = {donor: [] for donor, _ in probabilities}
    pairs = list(combinations(probabilities, 2))
    quantile = float(t.ppf(1 - ALPHA / (2 * max(len(pairs), 1)), units))
    half_width = quantile * math.sqrt(2) * error
    for (donor, probability), (other_donor, other_probability) in pairs:
        value = probability - other_probability
        low, high = _interval(probability, other_probability, half_width)
        differences[donor].append(DonorDifference(other_donor, outcome, value, low, high))
        differences[other_donor].append(DonorDifference(donor, outcome, -value, -high, -low))
    return differences


def _interval(probability: float, other_probability: float, half_width: float) -> tuple[float, float]:
    """Return the interval of the difference of two probabilities, the mean of whose log-odds stays."""
    log_odds = logit(np.array([probability, other_probability]))
    middle, difference = log_odds.mean(), log_odds[0] - log_odds[1]
    ends = difference + np.array([-half_width, half_width])
    low, high = expit(middle + ends / 2) - expit(middle - ends / 2)
    return float(low), float(high)
