"""The donor of each recipient, named from stool alone, so that a swapped label is found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.arrays import Mask, Matrix, Positions, Vector
from features.cohort import Cohort
from features.donors import DETECTION_LIMIT, stool_proportions
from features.errors import InputError
from features.transplants import cohort_transplants

PERMUTATIONS = 199
"""Random exchanges of donors between recipients, beside the recorded one."""
SUSPECT_BELOW = 0.0005
"""Probability of the recorded donor below which a label is suspect, if stool names donors better than chance.

In 30 simulated trials of 24 recipients and six donors with the engraftment of Davar 2021, one trial had a false
suspicion, and 29 of 30 planted swaps were found, in 18 both recipients."""
MIN_RECIPIENTS = 6
"""Fewest recipients of one donor each, of whom stool names the donors; exchanges of fewer allow hardly any small p."""
LEVEL = 0.01
"""Level at which stool must name donors better than chance before any label is suspect."""


@dataclass(frozen=True)
class DonorNaming:
    """The donors named from stool.

    Attributes
    ----------
    recorded, likely : ndarray of int, (n_recipients,)
        Positions of the recorded donor, and of the one that is most probable from stool; -1 where all are alike.
    probability : ndarray, (n_recipients, n_donors)
        Of each donor to be the recipient's own.
    scores : ndarray, (n_recipients, n_donors)
    is_own : ndarray of bool, (n_recipients, n_donors)
    seed : int
        Of the exchanges.
    """

    recorded: Positions
    likely: Positions
    probability: Matrix
    scores: Matrix
    is_own: Mask
    seed: int

    @property
    def n_right(self) -> int:
        """Recipients whose recorded donor is named."""
        return int((self.recorded == self.likely).sum())

    @property
    def by_chance(self) -> float:
        """Recipients expected to be named right if donors were exchanged between recipients."""
        return float(self._exchanged_right.mean())

    @property
    def p(self) -> float:
        """The p-value of so many named right, by exchanging donors between recipients."""
        return float((1 + (self._exchanged_right >= self.n_right).sum()) / (PERMUTATIONS + 1))

    @property
    def suspect(self) -> Positions:
        """Rows of recipients whose recorded donor is improbable, where stool names donors better than chance."""
        recorded = self.probability[np.arange(len(self.recorded)), self.recorded]
        improbable = np.flatnonzero(recorded < SUSPECT_BELOW)
        # The exchanges of a large cohort take seconds, and most cohorts need none.
        return improbable if improbable.size and self.p <= LEVEL else improbable[:0]

    @cached_property
    def _exchanged_right(self) -> Vector:
        """Recipients who are named right in each exchange of donors, (n_permutations,)."""
        rng = np.random.default_rng(self.seed)
        n_right = np.empty(PERMUTATIONS)
        for i in range(PERMUTATIONS):
            exchanged = rng.permutation(len(self.recorded))
            names = _most_probable(_probabilities(self.scores, self.is_own[exchanged]))
            n_right[i] = (names == self.recorded[exchanged]).sum()
        return n_right


@dataclass(frozen=True)
class StoolNaming:
    """The donors of a cohort's recipients as named from stool.

    Attributes
    ----------
    patients : tuple of str
        Recipients of exactly one donor, with a profile before and after.
    donors : tuple of str
        Donor subjects with a recipient among them.
    naming : DonorNaming
    """

    patients: tuple[str, ...]
    donors: tuple[str, ...]
    naming: DonorNaming


def name_donors_from_stool(cohort: Cohort) -> StoolNaming | None:
    """Return the donor of each recipient as named from stool; None where the cohort's stool cannot tell.

    It takes dated stool before and after the transplant of at least six recipients of one donor each, and two donors
    with recipients.
    """
    try:
        transplants = cohort_transplants(cohort)
    except InputError:
        return None
    rows = [i for i, row in enumerate(transplants.rows) if len(row.donors) == 1]
    recorded = [transplants.rows[i].donors[0].removeprefix(f"{cohort.name}/") for i in rows]
    proportions = stool_proportions(cohort)
    samples = {
        donor: proportions[cohort.donor_samples.index[cohort.donor_samples["patient"] == donor]]
        for donor in dict.fromkeys(recorded)
    }
    means = [profiles[~np.isnan(profiles).any(axis=1)].mean(axis=0) for profiles in samples.values()]
    is_own = np.array([[name == donor for donor in samples] for name in recorded], dtype=bool)
    if len(rows) < MIN_RECIPIENTS or len(samples) < 2:
        return None
    scores = change_along_donors(transplants.stool_before[rows], transplants.stool_after[rows], np.array(means))
    patients = tuple(transplants.rows[i].patient for i in rows)
    return StoolNaming(patients, tuple(samples), name_donors(scores, is_own))


def change_along_donors(stool_before: Matrix, stool_after: Matrix, donors: Matrix) -> Matrix:
    """Return minus each recipient's change of log proportions along each donor's deviation from the mean donor.

    A profile that moves towards what sets a donor apart from the other donors has a low score with that donor. In
    simulated trials it names the donor more often than the change of Bray-Curtis or Aitchison distance does.

    Parameters
    ----------
    stool_before, stool_after : ndarray, (n_recipients, n_taxa)
        Proportions.
    donors : ndarray, (n_donors, n_taxa)

    Returns
    -------
    ndarray, (n_recipients, n_donors)
    """
    log_before, log_after, log_donors = (
        np.log(profiles + DETECTION_LIMIT) for profiles in (stool_before, stool_after, donors)
    )
    deviation = log_donors - log_donors.mean(axis=0)
    length = np.linalg.norm(deviation, axis=1)
    return np.asarray(-((log_after - log_before) @ deviation.T) / np.maximum(length, 1e-300), dtype=np.float64)


def name_donors(scores: Matrix, is_own: Mask, *, seed: int = 0) -> DonorNaming:
    r"""Return the donor of each recipient as named from stool, each recipient left out of what names its donor.

    Of the scores of recipient :math:`r` with each donor :math:`j`, what other recipients of other donors show with the
    same donor is subtracted, so that a donor to whom all come near is not named for all. What is left is taken as
    normal with one variance around :math:`-\delta` for the own donor and around 0 for others, both from the other
    recipients: the log-odds of a donor are linear in its score (linear discriminant analysis with equal priors).

    Parameters
    ----------
    scores : ndarray, (n_recipients, n_donors)
        Such as `change_along_donors`; smaller is nearer.
    is_own : ndarray of bool, (n_recipients, n_donors)
        Each recipient has exactly one donor.
    seed : int
        Of the exchanges.

    Notes
    -----
    The exchanges assume that recipients are exchangeable between donors: that nothing else that changes stool goes
    along with the donor, such as the centre or the batch of sequencing.

    References
    ----------
    Fisher 1936, Annals of Eugenics 7:179-188.
    """
    recorded = is_own.argmax(axis=1)
    probability = _probabilities(scores, is_own)
    return DonorNaming(recorded, _most_probable(probability), probability, scores, is_own, seed)


def _probabilities(scores: Matrix, is_own: Mask) -> Matrix:
    """Return the probability of each donor to be each recipient's own, (n_recipients, n_donors)."""
    n, n_donors = scores.shape
    excess = _excess(scores, is_own)
    # Entry (r, k): whether recipient k is among those that name the donor of recipient r.
    is_other = ~np.eye(n, dtype=bool)
    approach = -((excess * is_own).sum(axis=2) * is_other).sum(axis=1) / (n - 1)
    squares = ((excess + is_own * approach[:, None, None]) ** 2).sum(axis=2)
    variance = (squares * is_other).sum(axis=1) / ((n - 1) * n_donors)
    logits = -excess[~is_other] * (np.maximum(approach, 0) / np.maximum(variance, 1e-300))[:, None]
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _excess(scores: Matrix, is_own: Mask) -> Matrix:
    """Return scores minus the mean of other recipients of other donors with the same donor, or of all others.

    Entry (r, k, j) is that of recipient k with donor j where recipient r is left out, (n, n, n_donors).
    """
    unrelated = (~is_own).astype(float)
    count = _sum_without_two(unrelated)
    of_unrelated = _sum_without_two(scores * unrelated) / np.maximum(count, 1)
    of_all = _sum_without_two(scores) / _sum_without_two(np.ones_like(scores))
    return np.asarray(scores - np.where(count > 0.5, of_unrelated, of_all))


def _sum_without_two(values: Matrix) -> Matrix:
    """Return the sums over rows but r and k, (n, n, n_columns)."""
    sums = values.sum(axis=0) - values[:, None] - values
    diagonal = np.arange(len(values))
    sums[diagonal, diagonal] += values
    return np.asarray(sums)


def _most_probable(probability: Matrix) -> Positions:
    """Return the position of the most probable donor, (n_recipients,); -1 where all are alike."""
    best = probability.max(axis=1)
    return np.asarray(np.where(best > probability.min(axis=1) + 1e-12, probability.argmax(axis=1), -1))
