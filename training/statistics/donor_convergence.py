"""Donor-specific convergence: change towards the own donor beyond the change towards unrelated donors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from features.arrays import Mask, Matrix, Vector
from features.donors import own_donor_contrast, own_donor_weights
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.permutations import least_permutation_p, permutation_p_value, row_orders


@dataclass(frozen=True)
class DonorConvergence:
    """A score with the own donor minus the mean score with unrelated donors.

    Attributes
    ----------
    by_recipient : ndarray, (n_recipients,)
        Each recipient's contrast.
    recipient_mean : IntervalEstimate
        Mean over recipients.
    recipient_error : float
        Jackknife standard error of the mean over recipients; NaN with one donor.
    donor_mean : IntervalEstimate
        Mean over donors of the mean over each donor's recipients.
    p : float
        Two-sided, by permutation of whole donors.
    least_p : float
        The smallest p that the number of donors can give.
    exchanged_p, least_exchanged_p : float
        Two-sided, by exchanging donors between recipients, and the smallest that this can give.
    n : int
        Recipients.
    n_donors : int
        Donor subjects with recipients.
    """

    by_recipient: Vector
    recipient_mean: IntervalEstimate
    recipient_error: float
    donor_mean: IntervalEstimate
    p: float
    least_p: float
    exchanged_p: float
    least_exchanged_p: float
    n: int
    n_donors: int

    @property
    def has_interval(self) -> bool:
        """Whether there are enough donors for an interval."""
        return not math.isnan(self.recipient_mean.low)

    @property
    def is_p_unlike_interval(self) -> bool:
        """Whether p is below 0.05 and the interval of a mean includes 0, or the other way round."""
        means = [mean for mean in (self.recipient_mean, self.donor_mean) if not math.isnan(mean.low)]
        return any((mean.low * mean.high > 0) != (self.p < 0.05) for mean in means)


def donor_specific_convergence(
    scores: Matrix, is_own_donor: Mask, *, largest: float = math.inf, seed: int = 0
) -> DonorConvergence:
    """Return the contrast of the own donor with unrelated donors, with jackknife intervals and a permutation test.

    Parameters
    ----------
    scores : ndarray, (n_recipients, n_donors)
        Such as the change of a recipient's distance to each donor.
    is_own_donor : ndarray of bool, (n_recipients, n_donors)
        Which donors each recipient received.
    largest : float
        Largest size of a contrast that the scores allow, such as 2 for changes of a distance between 0 and 1.
    seed : int
        Of the permutations, where they are too many to enumerate.

    Notes
    -----
    Recipients of one donor are not independent, and each donor is also an unrelated donor of the others' recipients.
    The intervals are therefore delete-one-donor jackknives: a donor is deleted with its recipients and from the
    unrelated donors of the others. Their quantiles are Student's, with one degree of freedom less than the number of
    donors with recipients; with one such donor the limits are NaN. Of two or three they may lie beyond what the scores
    allow, and then end there, which costs no coverage. The test permutes the donors, recipients of one donor staying
    together, among all donors with a profile: all orders up to seven donors, else random ones.

    With one to three donors that test allows no p below 1 or 1/6. The second test exchanges which recipient received
    which donor, and compares the mean contrast with its mean over all exchanges: that recipients all come near to one
    donor is no evidence. It assumes that recipients are exchangeable between donors: that nothing else that changes
    stool, such as the centre or the batch of sequencing, goes along with the donor.

    References
    ----------
    MacKinnon, Nielsen and Webb 2023, Journal of Econometrics 232:272-299, for jackknives of few clusters.
    """
    contrast, donors = own_donor_contrast(scores, is_own_donor), np.flatnonzero(is_own_donor.any(axis=0))
    n_donors = is_own_donor.shape[1]
    estimate = np.array(_means(scores, is_own_donor))
    replicates = np.array([_means(*_without_donor(scores, is_own_donor, int(donor))) for donor in donors])
    error = _jackknife_error(estimate, replicates)
    half_width = t.ppf(0.975, len(donors) - 1) * error
    low, high = np.maximum(estimate - half_width, -largest), np.minimum(estimate + half_width, largest)
    # Entry (i, j): the contrast of donor i's recipients were donor j theirs, summed.
    exchanged = scores.T @ own_donor_weights(is_own_donor)
    statistics = np.abs(exchanged[np.arange(n_donors), row_orders(n_donors, seed=seed)].sum(axis=1))
    return DonorConvergence(
        contrast,
        IntervalEstimate(float(estimate[0]), float(low[0]), float(high[0])),
        float(error[0]),
        IntervalEstimate(float(estimate[1]), float(low[1]), float(high[1])),
        float(permutation_p_value(statistics)),
        least_permutation_p(statistics),
        *_exchanged_recipients(scores, is_own_donor, seed),
        len(scores),
        len(donors),
    )


def _exchanged_recipients(scores: Matrix, is_own_donor: Mask, seed: int) -> tuple[float, float]:
    """Return p by exchanging donors between recipients, and the least p that this can give."""
    # Entry (k, i): the contrast of recipient k with the donors of recipient i as own donors.
    contrast = scores @ own_donor_weights(is_own_donor).T
    orders = row_orders(len(scores), seed=seed)
    statistics = np.abs(contrast[orders, np.arange(len(scores))].mean(axis=1) - contrast.mean())
    # Where all have the same donors, exchanges differ by rounding alone.
    statistics[statistics < 1e-12 * np.abs(contrast).max()] = 0
    return float(permutation_p_value(statistics)), least_permutation_p(statistics)


def _without_donor(scores: Matrix, is_own_donor: Mask, donor: int) -> tuple[Matrix, Mask]:
    """Return the scores and own donors without a donor and its recipients."""
    unaffected = ~is_own_donor[:, donor]
    return np.delete(scores[unaffected], donor, axis=1), np.delete(is_own_donor[unaffected], donor, axis=1)


def _means(scores: Matrix, is_own_donor: Mask) -> tuple[float, float]:
    """Return the mean contrast over recipients, and over donors; NaN where a recipient has no unrelated donor."""
    if not len(is_own_donor) or is_own_donor.all(axis=1).any():
        return math.nan, math.nan
    contrast = own_donor_contrast(scores, is_own_donor)
    members = is_own_donor[:, is_own_donor.any(axis=0)]
    return float(contrast.mean()), float((contrast @ members / members.sum(axis=0)).mean())


def _jackknife_error(estimate: Vector, replicates: Matrix) -> Vector:
    """Return standard errors of estimates from replicates, (n_donors, n_estimates); NaN of one donor."""
    n = len(replicates)
    if n < 2:
        return np.full_like(estimate, np.nan)
    return np.asarray(np.sqrt((n - 1) / n * ((replicates - estimate) ** 2).sum(axis=0)))
