"""Donors: whose stool a patient was given, how much nearer the patient came to it, and which taxa came over.

What is measured against a recipient's own donor is measured against every other donor too. A score, such as a change
of distance, stands for each recipient and each donor *subject*, (n_recipients, n_donors); `own` says, in the same
shape, who gave to whom. No stool of an own donor's subject is ever among the unrelated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from features.cohort import Cohort
from features.tables.text import read_text_table

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]

DETECTION_LIMIT = 1e-4
"""The proportion from which a taxon counts as found where a profile gives no counts."""
MIN_READS = 1000
"""Counts below which a sample is too shallow to be compared at equal depth."""


def donor_samples_given(cohort: Cohort) -> dict[str, dict[str, list[int]]]:
    """Return whose stool each recipient was given.

    From the samples' `given`, which names a donor's sample by its accession or as the donors' column has it, and from
    the transplants of the trial's course, which name subjects.

    Returns
    -------
    dict
        By patient, then by donor subject: the positions in `cohort.samples` of the very samples given; none where only
        the donor is known.
    """
    said, donors = cohort.manifest.samples, cohort.donors
    stool = dict(zip(donors["sample"], donors.index, strict=True))
    if said.donor is not None:
        names = read_text_table(cohort.paths[said.file]).column(said.donor.column).reindex(donors["line"])
        stool = dict(zip(names, donors.index, strict=True)) | stool
    found: dict[str, dict[str, list[int]]] = {}
    recipients = cohort.samples[~cohort.samples["donor"]]
    for patient, given in dict.fromkeys(zip(recipients["patient"], recipients["donor_sample"], strict=True)):
        if given in stool:
            at = int(stool[given])
            found.setdefault(patient, {}).setdefault(str(donors.at[at, "patient"]), []).append(at)
    transplants = cohort.course.transplants
    for patient, donor in zip(transplants["patient"], transplants["donor"], strict=True):
        if donor:
            found.setdefault(patient, {}).setdefault(donor, [])
    return found


def own_donor_contrast(scores: Matrix, own: Flags) -> Matrix:
    """Return each recipient's score with the own donor minus the mean with unrelated donors, (n_recipients,).

    Parameters
    ----------
    scores : ndarray, (n_recipients, n_donors)
    own : ndarray of bool, (n_recipients, n_donors)
        A recipient of several donors is measured against their mean. Each needs one donor, and one who is not.
    """
    return np.asarray((scores * own_donor_weights(own)).sum(axis=1))


def own_donor_weights(own: Flags) -> Matrix:
    """Return the weights of `own_donor_contrast`, (n_recipients, n_donors); each row sums to 0."""
    return np.asarray(own / own.sum(axis=1, keepdims=True) - ~own / (~own).sum(axis=1, keepdims=True))


def detection_probability(values: Matrix, *, counts: bool) -> Matrix:
    r"""Return the chance that a taxon is found in a sample, at equal depth, (n_samples, n_taxa).

    Of counts, the chance to be among the reads when every sample is rarefied to the depth of the shallowest with at
    least `MIN_READS`; samples below that are NaN. With :math:`N` reads, :math:`c` of them the taxon's, and depth
    :math:`m` it is

    .. math:: 1 - \binom{N - c}{m} \Big/ \binom{N}{m}

    so that no random draw is needed, and row sums are the expected richness. Of proportions, which tell no depth,
    whether a taxon reaches `DETECTION_LIMIT`: 0 or 1.

    References
    ----------
    Hurlbert 1971, Ecology 52:577-586.
    """
    if not counts:
        return (values >= DETECTION_LIMIT).astype(np.float64)
    values = np.rint(values)
    reads = values.sum(axis=1, keepdims=True)
    deep = reads >= MIN_READS
    if not deep.any():
        return np.full(values.shape, np.nan)
    depth, left = reads[deep].min(), reads - values
    with np.errstate(invalid="ignore"):
        missed = np.exp(_log_choose(np.maximum(left, depth), depth) - _log_choose(np.maximum(reads, depth), depth))
    return np.where(deep, 1 - np.where(left < depth, 0.0, missed), np.nan)


def share_gained(before: Matrix, after: Matrix, donors: Matrix) -> Matrix:
    """Return the share of donor-only taxa that a recipient has afterwards, (n_recipients, n_donors).

    Parameters
    ----------
    before, after : ndarray, (n_recipients, n_taxa)
        Detection probabilities; `detection_probability`.
    donors : ndarray, (n_donors, n_taxa)

    Returns
    -------
    ndarray
        Of the taxa found in the donor and not before, how many are found after; NaN where there are none. Compatible
        with engraftment, no proof of it: a species may have been there all along, too rare to be found.
    """
    absent = 1 - before
    return _share((absent * after) @ donors.T, absent @ donors.T)


def share_lost(before: Matrix, after: Matrix, donors: Matrix) -> Matrix:
    """Return the share of recipient-only taxa that are gone afterwards, (n_recipients, n_donors); as `share_gained`."""
    strange = 1 - donors.T
    return _share((before * (1 - after)) @ strange, before @ strange)


def _share(part: Matrix, whole: Matrix) -> Matrix:
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 1e-9)


def _log_choose(n: Matrix, k: float) -> Matrix:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
