"""Donors: who gave stool to whom, donor-specific scores, and the taxa that a recipient gained and lost.

A score, such as a change of distance, is computed for every pair of a recipient and a donor, (n_recipients, n_donors).
The mask `is_own`, in the same shape, marks the donors who gave stool to the recipient; the others are the unrelated
donors with whom the recipient's own donor is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from features.arrays import Mask, Matrix, Vector
from features.cohort import Cohort
from features.errors import FileError

DETECTION_LIMIT = 1e-4
"""Proportion from which a taxon counts as detected in a profile without counts."""
MIN_READS = 1000
"""Reads below which a sample is too shallow to be compared at equal depth."""


def donor_samples_given(cohort: Cohort) -> dict[str, dict[str, list[int]]]:
    """Return the donors of each recipient, and the donor samples that the recipient received.

    The samples' column `donor_sample` names donors' samples by their accession or as the donors' column writes it, or
    donors; the transplants of the trial's course name donors.

    Returns
    -------
    dict
        By patient, then by donor: the positions in `cohort.samples` of the samples received; empty where only the donor
        is known.
    """
    columns, donors = cohort.manifest.samples, cohort.donor_samples
    position = {str(donor): int(rows[0]) for donor, rows in donors.groupby("patient").groups.items() if len(rows) == 1}
    if columns.donor is not None:
        names = cohort.samples_table.column(columns.donor.column).reindex(donors["line"])
        position |= dict(zip(names, donors.index, strict=True))
    position |= dict(zip(donors["sample"], donors.index, strict=True))
    received: dict[str, dict[str, list[int]]] = {}
    recipients = cohort.samples[~cohort.samples["donor"]]
    for patient, cell in dict.fromkeys(zip(recipients["patient"], recipients["donor_sample"], strict=True)):
        for name in cell.splitlines():
            if name in position:
                donor = str(donors.at[position[name], "patient"])
                samples = received.setdefault(patient, {}).setdefault(donor, [])
                samples += [int(position[name])] if position[name] not in samples else []
            elif name in set(donors["patient"]):
                received.setdefault(patient, {}).setdefault(name, [])
    transplants = cohort.course.transplants
    for patient, donor in zip(transplants["patient"], transplants["donor"], strict=True):
        if donor:
            received.setdefault(patient, {}).setdefault(donor, [])
    return received


def donor_rows(cohort: Cohort, donor_samples: Mapping[str, list[int]]) -> list[int]:
    """Return the rows of a recipient's donors; of a donor whose received sample is not known, all samples.

    Parameters
    ----------
    cohort : Cohort
    donor_samples : mapping of str to list of int
        By donor, as `donor_samples_given` returns them of one recipient.
    """
    donors = cohort.donor_samples["patient"]
    return [row for donor, rows in donor_samples.items() for row in rows or donors.index[donors == donor].tolist()]


@dataclass(frozen=True)
class ScreenedDonor:
    """A donor of a cohort.

    Attributes
    ----------
    name : str
    samples : tuple of int
        Positions in `cohort.samples` of the donor's stool.
    exclusion : str or None
        Why the donor may not be compared with others; None for a donor who was cleared by screening.
    """

    name: str
    samples: tuple[int, ...]
    exclusion: str | None


def screened_donors(cohort: Cohort) -> tuple[ScreenedDonor, ...]:
    """Return a cohort's donors, each with the result of screening.

    Where the manifest names no `samples.donor_cleared`, every donor who gave stool to a recipient counts as cleared,
    and every other donor does not.

    Raises
    ------
    FileError
        A cell of `samples.donor_cleared` has no meaning, or two rows of a donor contradict each other.
    """
    giving_donors = {donor for donors in donor_samples_given(cohort).values() for donor in donors}
    record = _screening_record(cohort)
    screened = []
    for name, rows in cohort.donor_samples.groupby("patient").groups.items():
        if record is None:
            exclusion = None if name in giving_donors else "no record of screening, and gave stool to no recipient"
        else:
            exclusion = {"yes": None, "no": "not cleared by screening"}.get(
                record[str(name)], "the result of screening is not known"
            )
        screened.append(ScreenedDonor(str(name), tuple(map(int, rows)), exclusion))
    return tuple(screened)


def _screening_record(cohort: Cohort) -> dict[str, str] | None:
    """Return "yes", "no" or "unknown" by donor."""
    rule, donors = cohort.manifest.samples.donor_cleared, cohort.donor_samples
    if rule is None:
        return None
    table, meanings = cohort.samples_table, rule.meanings
    record: dict[str, str] = {}
    cells = table.column(rule.column).reindex(donors["line"])
    for donor, line, cell in zip(donors["patient"], donors["line"], cells, strict=True):
        problem = None
        if cell not in meanings:
            problem = f"{cell!r} is not listed under samples.donor_cleared; list it under yes, no or unknown"
        elif record.setdefault(donor, meanings[cell]) != meanings[cell]:
            problem = f"donor {donor!r} is {record[donor]!r} in another row, and {meanings[cell]!r} here; correct one"
        if problem:
            raise FileError(problem, file=table.path, column=rule.column, row=int(line))
    return record


def stool_proportions(cohort: Cohort) -> Matrix:
    """Return the proportions of a cohort's samples, (n_samples, n_taxa); NaN for a sample without any of the taxa.

    `TaxaTable.proportions` refuses such a sample, and with it the comparison of all the others.
    """
    values = cohort.taxa.values.astype(np.float64)
    sums = values.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(values, sums, out=np.full_like(values, np.nan), where=sums > 0))


def own_donor_contrast(scores: Matrix, is_own: Mask) -> Vector:
    """Return each recipient's score with the own donor minus the mean with unrelated donors, (n_recipients,).

    Parameters
    ----------
    scores : ndarray, (n_recipients, n_donors)
    is_own : ndarray of bool, (n_recipients, n_donors)
        The scores of several own donors are averaged. Each recipient needs an own donor and an unrelated one.
    """
    return np.asarray((scores * own_donor_weights(is_own)).sum(axis=1))


def own_donor_weights(is_own: Mask) -> Matrix:
    """Return the weights of `own_donor_contrast`, (n_recipients, n_donors); each row sums to 0."""
    return np.asarray(is_own / is_own.sum(axis=1, keepdims=True) - ~is_own / (~is_own).sum(axis=1, keepdims=True))


def detection_probability(values: Matrix, *, counts: bool) -> Matrix:
    r"""Return the probability to detect each taxon in each sample at equal depth, (n_samples, n_taxa).

    For counts, it is the probability that the taxon is among the reads when every sample is rarefied to the depth of
    the shallowest sample with at least `MIN_READS`; samples with fewer reads are NaN. With :math:`N` reads, of which
    :math:`c` are the taxon's, and depth :math:`m` it is

    .. math:: 1 - \binom{N - c}{m} \Big/ \binom{N}{m}

    so that no random draw is needed, and row sums are the expected richness. For proportions, whose depth is unknown,
    it is 1 if the taxon reaches `DETECTION_LIMIT`, else 0.

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
    depth, other_reads = reads[deep].min(), reads - values
    with np.errstate(invalid="ignore"):
        missed = np.exp(
            _log_choose(np.maximum(other_reads, depth), depth) - _log_choose(np.maximum(reads, depth), depth)
        )
    return np.where(deep, 1 - np.where(other_reads < depth, 0.0, missed), np.nan)


def share_gained(detected_before: Matrix, detected_after: Matrix, detected_in_donor: Matrix) -> Matrix:
    """Return the share of donor-only taxa that a recipient has after the transplant, (n_recipients, n_donors).

    Parameters
    ----------
    detected_before, detected_after : ndarray, (n_recipients, n_taxa)
        Probability that each taxon is detected in a recipient's stool; `detection_probability`.
    detected_in_donor : ndarray, (n_donors, n_taxa)
        The same in each donor's stool.

    Returns
    -------
    ndarray
        Of the taxa detected in the donor and not in the recipient before, the share detected after; NaN where there are
        none. It is compatible with engraftment, and no proof of it: a species may have been present before, below the
        detection limit.
    """
    absent_before = 1 - detected_before
    return _ratio((absent_before * detected_after) @ detected_in_donor.T, absent_before @ detected_in_donor.T)


def share_lost(detected_before: Matrix, detected_after: Matrix, detected_in_donor: Matrix) -> Matrix:
    """Return the share of recipient-only taxa that are lost after the transplant; arrays as of `share_gained`."""
    absent_in_donor = 1 - detected_in_donor.T
    lost = detected_before * (1 - detected_after)
    return _ratio(lost @ absent_in_donor, detected_before @ absent_in_donor)


def _ratio(part: Matrix, total: Matrix) -> Matrix:
    return np.divide(part, total, out=np.full_like(total, np.nan), where=total > 1e-9)


def _log_choose(n: Matrix, k: float) -> Matrix:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
