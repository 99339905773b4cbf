"""Donor-specific convergence: change of distance to the own donor's stool minus the change to unrelated donors'."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.distance import pdist, squareform

from features.audit import similar_profiles
from features.cohort import Cohort
from features.trajectories import Window
from features.transforms import PrevalenceFilter, closure
from training.statistics.arrays import Matrix, Vector
from training.statistics.distances import aitchison, bray_curtis
from training.statistics.donor_convergence import DonorConvergence
from training.study.analysis.donor_panel import DonorPanel, DonorScores

Quantity = Literal["distance", "change"]
Variant = Literal[
    "primary",
    "adjusted for baseline",
    "Aitchison, 10%",
    "Aitchison, 30%",
    "Jaccard",
    "Bray-Curtis, 30%",
    "other window",
    "all samples",
    "donated sample",
    "donors with recipients",
    "without recipient",
]


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
class SensitivityResult:
    """The estimate under one variant of the analysis.

    Attributes
    ----------
    variant : str
    subject : str
        The window, or the code of the recipient, that the variant concerns; "" otherwise.
    difference : DonorConvergence
    exchangeable : bool
        Whether the own donor can be exchanged with others, so that p has a meaning.
    """

    variant: Variant
    subject: str
    difference: DonorConvergence
    exchangeable: bool = True


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
        adjusted=adjusted_for_baseline(panel, distances, windows[0]).contrast(),
        over_time=tuple(_over_time(panel, distances)),
        recipients=tuple(_by_recipient(panel, changes)),
        courses=tuple(_courses(panel, distances)),
        sensitivity=tuple(_sensitivity(panel, cohort, distances, windows)),
        n_donors=len(panel.donors),
    )


def adjusted_for_baseline(panel: DonorPanel, distances: Matrix, window: Window) -> DonorScores:
    """Return distances in a window minus what the distances at baseline predict.

    A recipient who begins far from a donor comes nearer by chance alone. All pairs of recipient and donor, centred
    within recipients, estimate the slope of this regression to the mean, so that it is the same whoever received whose
    stool.
    """
    changes = panel.changes(distances, window)
    baseline = panel.levels(distances, panel.stool.baseline).restricted_to(changes.patients).values
    x, y = (part - part.mean(axis=1, keepdims=True) for part in (baseline, baseline + changes.values))
    slope = (x * y).sum() / max(float((x**2).sum()), 1e-300)
    return DonorScores(np.asarray(y - slope * x), changes.is_own, changes.patients)


def jaccard(detected: Matrix) -> Matrix:
    """Return Jaccard distances, (n_samples, n_samples); NaN for samples too shallow to tell which taxa they hold."""
    distances = squareform(pdist(detected >= 0.5, "jaccard"))
    shallow = np.isnan(detected).any(axis=1)
    distances[shallow] = distances[:, shallow] = np.nan
    return np.asarray(distances)


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


def _sensitivity(
    panel: DonorPanel, cohort: Cohort, distances: Matrix, windows: list[Window]
) -> Iterator[SensitivityResult]:
    """Yield the estimate under each variant; one thing differs from the primary analysis, the first, at a time."""
    window, shares = windows[0], panel.stool.proportions
    primary = panel.changes(distances, window)
    yield SensitivityResult("primary", window.name, primary.contrast())
    yield SensitivityResult("adjusted for baseline", "", adjusted_for_baseline(panel, distances, window).contrast())
    metrics: dict[Variant, Matrix] = {
        "Aitchison, 10%": aitchison(shares),
        "Aitchison, 30%": aitchison(shares, 0.3),
        "Jaccard": jaccard(panel.stool.detected),
        "Bray-Curtis, 30%": bray_curtis(closure(PrevalenceFilter(0.3).fit_transform(shares))),
    }
    for variant, matrix in metrics.items():
        yield SensitivityResult(variant, "", panel.changes(matrix, window).contrast())
    for later in windows[1:]:
        yield SensitivityResult("other window", later.name, panel.changes(distances, later).contrast())
    all_later = Window("", np.nextafter(panel.stool.baseline.last, math.inf), math.inf)
    yield SensitivityResult("all samples", "", panel.changes(distances, all_later).contrast())
    if panel.donated:
        # One sample varies more than a mean of several, so that it cannot be exchanged with other donors' means.
        donated = panel.changes_to_donated_samples(distances, window)
        yield SensitivityResult("donated sample", "", donated.contrast(), exchangeable=False)
    giving = primary.of_donors_with_recipients()
    if not giving.is_own.all(axis=1).any():
        yield SensitivityResult("donors with recipients", "", giving.contrast())
    for patient in _alike_recipients(panel, cohort):
        rest = primary.excluding(patient)
        if rest.patients:
            yield SensitivityResult("without recipient", panel.codes[patient], rest.contrast())


def _alike_recipients(panel: DonorPanel, cohort: Cohort) -> list[str]:
    """Return the recipients whose stool is, by the audit, as like another person's as two samples of one person."""
    alike = {
        name
        for finding in similar_profiles([cohort])
        for row in finding.rows
        for name in re.sub(r" \([\d.]+\)$", "", row).split(" and ")
    }
    return [patient for patient in panel.recipients if patient in alike]
