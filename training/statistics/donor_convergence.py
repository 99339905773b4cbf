"""What is particular to the own donor, by recipient and by donor, where donors are shared."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from features.donors import Flags, own_donor_contrast, own_donor_weights
from training.statistics.arrays import Matrix, Vector
from training.statistics.metrics import Estimate
from training.statistics.permutations import permutation_p_value, row_orders


@dataclass(frozen=True)
class DonorConvergence:
    """What is particular to the own donor: a score with it minus the score with unrelated donors.

    Attributes
    ----------
    by_recipient : ndarray, (n_recipients,)
    recipient_mean : Estimate
        The mean over recipients.
    donor_mean : Estimate
        The mean over donors of the mean over each one's recipients.
    p : float
        Two-sided, of exchanging whole donors.
    least_p : float
        The least that the number of donors allows.
    n, n_donors : int
        Recipients, and donor subjects of theirs.
    """

    by_recipient: Vector
    recipient_mean: Estimate
    donor_mean: Estimate
    p: float
    least_p: float
    n: int
    n_donors: int


def donor_specific_convergence(scores: Matrix, own: Flags, *, seed: int = 0) -> DonorConvergence:
    """Return what is particular to the own donor.

    Parameters
    ----------
    scores : ndarray, (n_recipients, n_donors)
    own : ndarray of bool, (n_recipients, n_donors)

    Notes
    -----
    Recipients of one donor are not independent, and every donor is also a comparator of the others' recipients. The
    intervals are therefore delete-one-donor jackknives: a donor leaves with the recipients and from among the others'
    comparators; quantiles are Student's with as many degrees of freedom as there are donors with recipients, less one.
    An end is NaN with one such donor. The test exchanges donors whole, each keeping the recipients together, among all
    who gave stool: in full up to seven, else at random.

    References
    ----------
    MacKinnon, Nielsen and Webb 2023, Journal of Econometrics 232:272-299, for jackknives of few clusters.
    """
    contrast, gave = own_donor_contrast(scores, own), np.flatnonzero(own.any(axis=0))
    n_donors = own.shape[1]
    left = [_means(scores, own, int(donor)) for donor in gave]
    point = _means(scores, own)
    low, high = _jackknifed(np.array(point), np.array(left))
    exchanged = scores.T @ own_donor_weights(own)
    order = row_orders(n_donors, seed=seed)
    shifted = np.abs(exchanged[np.arange(n_donors), order].sum(axis=1))
    return DonorConvergence(
        contrast,
        Estimate(float(point[0]), float(low[0]), float(high[0])),
        Estimate(float(point[1]), float(low[1]), float(high[1])),
        float(permutation_p_value(shifted)),
        float((shifted >= shifted.max() * (1 - 1e-9)).mean()),
        len(scores),
        len(gave),
    )


def _means(scores: Matrix, own: Flags, without: int | None = None) -> tuple[float, float]:
    """Return the mean over recipients and that over donors, all of one donor left out."""
    if without is not None:
        kept = ~own[:, without]
        scores, own = np.delete(scores[kept], without, axis=1), np.delete(own[kept], without, axis=1)
    if not len(own) or own.all(axis=1).any():
        return math.nan, math.nan
    contrast = own_donor_contrast(scores, own)
    mine = own[:, own.any(axis=0)]
    return float(contrast.mean()), float((contrast @ mine / mine.sum(axis=0)).mean())


def _jackknifed(point: Vector, left: Matrix) -> tuple[Vector, Vector]:
    n = len(left)
    if n < 2:
        return np.full_like(point, np.nan), np.full_like(point, np.nan)
    reach = t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * ((left - point) ** 2).sum(axis=0))
    return point - reach, point + reach
