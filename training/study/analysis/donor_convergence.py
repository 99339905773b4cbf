"""Donor-specific convergence: change of distance to the own donor's stool minus the change to unrelated donors'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.arrays import Matrix, Vector
from features.cohort import Cohort
from features.trajectories import Window
from training.statistics.distances import bray_curtis
from training.statistics.donor_convergence import DonorConvergence
from training.statistics.mean_difference import MeanDifference, mean_difference
from training.study.analysis.donor_panel import DonorPanel, DonorScores
from training.study.analysis.donor_sensitivity import SensitivityResult, sensitivity
from training.study.analysis.group_tests import response_outcome

Quantity = Literal["distance", "change"]


@dataclass(frozen=True)
class DonorDistance:
    """Distance to the own donor and to unrelated donors in a window, or its change from the baseline.

    Attributes
    ----------
    quantity : str
        "distance" or "change".
    window : str
    to_own, to_unrelated : float
        Means over recipients.
    difference : DonorConvergence
    """

    quantity: Quantity
    window: str
    to_own: float
    to_unrelated: float
    difference: DonorConvergence


@dataclass(frozen=True)
class RecipientChange:
    """Change of one recipient's distance to the own donor and to unrelated donors.

    Attributes
    ----------
    patient : str
    donors : tuple of str
        Codes of the own donors.
    donor_indices : tuple of int
        The same donors by their order in the panel.
    to_own, to_unrelated : float
    """

    patient: str
    donors: tuple[str, ...]
    donor_indices: tuple[int, ...]
    to_own: float
    to_unrelated: float

    @property
    def difference(self) -> float:
        """Below 0 where the recipient comes nearer to the own donor than to others."""
        return self.to_own - self.to_unrelated


@dataclass(frozen=True)
class DistanceCourse:
    """Distance of one recipient's samples to donors over time, each array (n_samples,).

    Attributes
    ----------
    patient : str
    donors : tuple of str
    days : ndarray
    to_own : ndarray
        Mean over own donors.
    to_unrelated, low, high : ndarray
        Mean and range over unrelated donors.
    """

    patient: str
    donors: tuple[str, ...]
    days: Vector
    to_own: Vector
    to_unrelated: Vector
    low: Vector
    high: Vector


@dataclass(frozen=True)
class ConvergenceByResponse:
    """Donor-specific convergence of responders minus that of other recipients.

    Attributes
    ----------
    outcome : str
        By which responders are told from others.
    difference : MeanDifference
        Responders first.
    """

    outcome: str
    difference: MeanDifference


@dataclass(frozen=True)
class ConvergenceResults:
    """Donor-specific convergence by Bray-Curtis distance.

    Attributes
    ----------
    window : str
        The first window with recipients, of which the estimates are.
    change : DonorConvergence
        Change of distance from the baseline.
    at_baseline : DonorConvergence
        Distance at baseline.
    adjusted : DonorConvergence
        Distance in the window, adjusted for the distance at baseline.
    over_time : tuple of DonorDistance
    recipients : tuple of RecipientChange
        In the order of `change.by_recipient`.
    courses : tuple of DistanceCourse
    sensitivity : tuple of SensitivityResult
        The first is the primary analysis.
    n_donors : int
        Donors with stool.
    by_response : ConvergenceByResponse or None
        None where the recipients do not hold both responders and others.
    """

    window: str
    change: DonorConvergence
    at_baseline: DonorConvergence
    adjusted: DonorConvergence
    over_time: tuple[DonorDistance, ...]
    recipients: tuple[RecipientChange, ...]
    courses: tuple[DistanceCourse, ...]
    sensitivity: tuple[SensitivityResult, ...]
    n_donors: int
    by_response: ConvergenceByResponse | None

    @property
    def distance_after(self) -> DonorDistance:
        """Distance in the window of the estimates."""
        return next(row for row in self.over_time if row.quantity == "distance" and row.window == self.window)

    @property
    def is_nearer_after(self) -> bool:
        """Whether recipients are nearer to their own donor than to unrelated donors in that window, by the interval."""
        return self.distance_after.difference.recipient_mean.high < 0

    @property
    def is_moved_nearer(self) -> bool:
        """Whether recipients come nearer to their own donor, relative to unrelated donors, by the interval."""
        return self.change.recipient_mean.high < 0

    @property
    def variants(self) -> tuple[SensitivityResult, ...]:
        """Variants of the primary analysis."""
        return self.sensitivity[1:]

    @property
    def same_sign(self) -> tuple[SensitivityResult, ...]:
        """Variants with an estimate of the same sign as the primary one."""
        sign = np.sign(self.change.recipient_mean.value)
        return tuple(result for result in self.variants if np.sign(result.difference.recipient_mean.value) == sign)

    @property
    def same_sign_excluding_0(self) -> tuple[SensitivityResult, ...]:
        """Variants with an estimate of the same sign, and an interval by recipient that excludes 0."""
        limits = [(result, result.difference.recipient_mean) for result in self.same_sign]
        return tuple(result for result, estimate in limits if estimate.low * estimate.high > 0)

    @property
    def same_sign_excluding_0_by_donor(self) -> tuple[SensitivityResult, ...]:
        """Variants with an estimate of the same sign, and an interval by donor that excludes 0."""
        sign = np.sign(self.change.recipient_mean.value)
        means = [(result, result.difference.donor_mean) for result in self.same_sign]
        return tuple(result for result, mean in means if sign * mean.low > 0 < sign * mean.high)

    @property
    def nearer(self) -> int:
        """Number of recipients who come nearer to the own donor than to unrelated ones."""
        return int((self.change.by_recipient < 0).sum())


def donor_convergence(panel: DonorPanel, cohort: Cohort) -> ConvergenceResults:
    """Return the donor-specific convergence of a panel, and how it depends on the analysis."""
    distances = bray_curtis(panel.stool.proportions)
    windows = [window for window in panel.stool.windows[1:] if panel.changes(distances, window).patients]
    changes = panel.changes(distances, windows[0])
    at_baseline = panel.levels(distances, panel.stool.baseline).restricted_to(changes.patients)
    return ConvergenceResults(
        window=windows[0].name,
        change=changes.contrast(),
        at_baseline=at_baseline.contrast(),
        adjusted=panel.adjusted_for_baseline(distances, windows[0]).contrast(),
        over_time=tuple(_over_time(panel, distances)),
        recipients=tuple(_by_recipient(panel, changes)),
        courses=tuple(_courses(panel, distances)),
        sensitivity=tuple(sensitivity(panel, cohort, distances, windows)),
        n_donors=len(panel.donors),
        by_response=_by_response(cohort, changes),
    )


def _by_response(cohort: Cohort, changes: DonorScores) -> ConvergenceByResponse | None:
    outcome = response_outcome(cohort)
    if outcome is None:
        return None
    flags = cohort.labels.label_by_outcome[outcome].dropna()
    response = np.array([flags.get(patient, np.nan) for patient in changes.patients], dtype=float)
    is_known = ~np.isnan(response)
    if len(set(response[is_known])) < 2:
        return None
    contrast = changes.contrast().by_recipient
    return ConvergenceByResponse(outcome, mean_difference(contrast[is_known], response[is_known] == 1))


def _over_time(panel: DonorPanel, distances: Matrix) -> Iterator[DonorDistance]:
    for window in panel.stool.windows:
        yield from _distance("distance", window, panel.levels(distances, window))
    for window in panel.stool.windows[1:]:
        yield from _distance("change", window, panel.changes(distances, window))


def _distance(quantity: Quantity, window: Window, scores: DonorScores) -> Iterator[DonorDistance]:
    """Yield the mean distance of a window with recipients."""
    if scores.patients:
        to_own, to_unrelated = (float(side.mean()) for side in scores.by_relation())
        yield DonorDistance(quantity, window.name, to_own, to_unrelated, scores.contrast())


def _by_recipient(panel: DonorPanel, changes: DonorScores) -> Iterator[RecipientChange]:
    for patient, donors, to_own, to_unrelated in zip(
        changes.patients, changes.is_own, *changes.by_relation(), strict=True
    ):
        indices = tuple(np.flatnonzero(donors).tolist())
        yield RecipientChange(
            panel.codes[patient], panel.donor_codes(donors), indices, float(to_own), float(to_unrelated)
        )


def _courses(panel: DonorPanel, distances: Matrix) -> Iterator[DistanceCourse]:
    to_donors, samples = panel.to_donors(distances), panel.stool.recipients
    for patient, is_own in zip(panel.recipients, panel.is_own, strict=True):
        course = samples[samples["patient"] == patient]
        scores = to_donors[panel.stool.rows(course.index)]
        to_unrelated = scores[:, ~is_own]
        yield DistanceCourse(
            patient=panel.codes[patient],
            donors=panel.donor_codes(is_own),
            days=course["time"].to_numpy(),
            to_own=scores[:, is_own].mean(axis=1),
            to_unrelated=to_unrelated.mean(axis=1),
            low=to_unrelated.min(axis=1),
            high=to_unrelated.max(axis=1),
        )
