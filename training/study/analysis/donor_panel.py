"""Recipients and donors whose stool can be compared, and scores of each recipient with each donor."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from features.arrays import Mask, Matrix, Positions, Vector
from features.cohort import Cohort
from features.donors import donor_samples_given
from features.trajectories import Window
from training.statistics.donor_convergence import DonorConvergence, donor_specific_convergence
from training.study.analysis.stool import StoolSeries, stool_series
from training.study.codes import donor_codes, patient_codes


@dataclass(frozen=True)
class DonorAbsence:
    """What a cohort lacks for a comparison of recipients with donors."""

    reason: Literal[
        "no donor stool",
        "donors not named",
        "one donor",
        "not dated",
        "no unrelated donor",
        "no recipient before and after",
    ]


@dataclass(frozen=True)
class DonorScores:
    """A score of each recipient with each donor, such as a change of distance.

    Attributes
    ----------
    values : ndarray, (n_recipients, n_donors)
    is_own : ndarray of bool, (n_recipients, n_donors)
        Whose stool each recipient received.
    patients : tuple of str
        The recipients.
    largest : float
        Largest size of a difference of two scores; infinite where they have no bounds.
    """

    values: Matrix
    is_own: Mask
    patients: tuple[str, ...]
    largest: float

    def contrast(self) -> DonorConvergence:
        """Return the score with the own donor minus that with unrelated donors."""
        return donor_specific_convergence(self.values, self.is_own, largest=self.largest)

    def by_relation(self) -> tuple[Vector, Vector]:
        """Return each recipient's mean score with own donors and with unrelated ones, each (n_recipients,)."""
        to_own, to_unrelated = (
            (self.values * side).sum(axis=1) / side.sum(axis=1) for side in (self.is_own, ~self.is_own)
        )
        return to_own, to_unrelated

    def select(self, recipients: Mask) -> DonorScores:
        """Return the scores of some recipients."""
        patients = tuple(np.array(self.patients, dtype=object)[recipients])
        return DonorScores(self.values[recipients], self.is_own[recipients], patients, self.largest)

    def restricted_to(self, patients: Collection[str]) -> DonorScores:
        """Return the scores of recipients by name."""
        return self.select(np.array([name in patients for name in self.patients], dtype=bool))

    def excluding(self, patient: str) -> DonorScores:
        """Return the scores of all recipients but one."""
        return self.select(np.array([name != patient for name in self.patients], dtype=bool))

    def of_donors_with_recipients(self) -> DonorScores:
        """Return the scores with the donors who have a recipient."""
        donors = self.is_own.any(axis=0)
        return DonorScores(self.values[:, donors], self.is_own[:, donors], self.patients, self.largest)


@dataclass(frozen=True)
class DonorPanel:
    """Recipients with stool before treatment, donors with stool, and who received whose.

    Attributes
    ----------
    stool : StoolSeries
    recipients, donors : tuple of str
    is_own : ndarray of bool, (n_recipients, n_donors)
    weights : ndarray, (n_donors, n_samples)
        Weights of the samples in each donor's mean.
    donated : mapping of str to ndarray of int
        Rows of the very samples that each recipient received, where they are known.
    codes : mapping of str to str
        Codes of patients and donors.

    Notes
    -----
    Distances that its methods take are those between all samples, (n_samples, n_samples).
    """

    stool: StoolSeries
    recipients: tuple[str, ...]
    donors: tuple[str, ...]
    is_own: Mask
    weights: Matrix
    donated: Mapping[str, Positions]
    codes: Mapping[str, str]

    def to_donors(self, distances: Matrix) -> Matrix:
        """Return each sample's mean distance to each donor subject's stool, (n_samples, n_donors)."""
        return np.asarray(distances @ self.weights.T)

    def levels(self, distances: Matrix, window: Window) -> DonorScores:
        """Return mean distances, of at most 1, to donors in a window."""
        return self._of_recipients(self.stool.means(self.to_donors(distances), window), largest=1.0)

    def changes(self, distances: Matrix, window: Window, largest_distance: float = 1.0) -> DonorScores:
        """Return changes of distance to donors from the baseline to a window."""
        changes = self.stool.changes(self.to_donors(distances), window)
        return self._of_recipients(changes, largest=2 * largest_distance)

    def changes_to_donated_samples(self, distances: Matrix, window: Window) -> DonorScores:
        """Return changes of distance, to the very sample received in place of the own donor's mean."""
        changes = self.changes(distances, window)
        values = changes.values.copy()
        for row, patient in enumerate(changes.patients):
            if patient in self.donated:
                to_sample = distances[:, self.donated[patient]].mean(axis=1, keepdims=True)
                values[row, changes.is_own[row]] = self.stool.changes(to_sample, window)[0][patient]
        return DonorScores(values, changes.is_own, changes.patients, changes.largest)

    def adjusted_for_baseline(self, distances: Matrix, window: Window) -> DonorScores:
        """Return distances in a window minus what the distances at baseline predict.

        A recipient who begins far from a donor comes nearer by chance. The slope of this regression to the mean is
        estimated from all pairs of recipient and donor, centred within recipients, so that it does not depend on who
        received whose stool.
        """
        changes = self.changes(distances, window)
        baseline = self.levels(distances, self.stool.baseline).restricted_to(changes.patients).values
        x, y = (part - part.mean(axis=1, keepdims=True) for part in (baseline, baseline + changes.values))
        slope = (x * y).sum() / max(float((x**2).sum()), 1e-300)
        return DonorScores(np.asarray(y - slope * x), changes.is_own, changes.patients, math.inf)

    def _of_recipients(self, scores: pd.DataFrame, *, largest: float) -> DonorScores:
        """Return the scores of the recipients who have a row; a column a donor."""
        rows = [row for row, patient in enumerate(self.recipients) if patient in scores.index]
        patients = tuple(self.recipients[row] for row in rows)
        return DonorScores(scores.loc[list(patients)].to_numpy(dtype=float), self.is_own[rows], patients, largest)

    def donor_codes(self, is_own: Mask) -> tuple[str, ...]:
        """Return the codes of the donors that a row of `is_own` marks."""
        return tuple(self.codes[self.donors[index]] for index in np.flatnonzero(is_own))


def donor_panel(cohort: Cohort, windows: Sequence[Window]) -> DonorPanel | DonorAbsence:
    """Return the recipients and donors of a cohort that can be compared, or what the cohort lacks for it.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    stool, received = stool_series(cohort, windows), donor_samples_given(cohort)
    donors = tuple(dict.fromkeys(stool.donors["patient"]))
    if not donors:
        return DonorAbsence("no donor stool")
    if not received:
        return DonorAbsence("donors not named")
    if len(donors) < 2:
        return DonorAbsence("one donor")
    if not stool.dated:
        return DonorAbsence("not dated")
    profiled = {patient: set(received.get(patient, ())) & set(donors) for patient in patient_codes(cohort)}
    baseline = stool.rows_by_patient(stool.baseline)
    recipients = tuple(
        patient for patient, donated_by in profiled.items() if patient in baseline and 0 < len(donated_by) < len(donors)
    )
    if not recipients and all(len(profiled[patient]) == len(donors) for patient in profiled if patient in received):
        return DonorAbsence("no unrelated donor")
    if not any(set(recipients) & set(stool.rows_by_patient(window)) for window in stool.windows[1:]):
        return DonorAbsence("no recipient before and after")
    samples = stool.samples
    member = np.array([samples["donor"] & (samples["patient"] == donor) for donor in donors], dtype=float)
    donated = {
        patient: stool.rows(position for sample in received[patient].values() for position in sample
                            if position in stool.row_of)
        for patient in recipients
    }  # fmt: skip
    return DonorPanel(
        stool=stool,
        recipients=recipients,
        donors=donors,
        is_own=np.array([[donor in received[patient] for donor in donors] for patient in recipients], dtype=bool),
        weights=member / member.sum(axis=1, keepdims=True),
        donated={patient: rows for patient, rows in donated.items() if len(rows)},
        codes=patient_codes(cohort) | donor_codes(cohort),
    )
