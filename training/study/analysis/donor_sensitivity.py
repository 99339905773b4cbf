"""Sensitivity of donor-specific convergence to the choices of its analysis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.distance import pdist, squareform

from features.arrays import Matrix
from features.audit import similar_pairs
from features.cohort import Cohort
from features.trajectories import Window
from features.transforms import PrevalenceFilter, closure
from training.statistics.distances import aitchison, bray_curtis
from training.statistics.donor_convergence import DonorConvergence
from training.study.analysis.donor_panel import DonorPanel

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


def sensitivity(
    panel: DonorPanel, cohort: Cohort, distances: Matrix, windows: list[Window]
) -> Iterator[SensitivityResult]:
    """Yield the estimate under each variant, each of which changes one thing in the primary analysis, the first.

    Parameters
    ----------
    panel : DonorPanel
    cohort : Cohort
    distances : ndarray, (n_samples, n_samples)
        Bray-Curtis.
    windows : list of Window
        Those after the baseline that have recipients; the primary analysis takes the first.
    """
    window, shares = windows[0], panel.stool.proportions
    primary = panel.changes(distances, window)
    yield SensitivityResult("primary", window.name, primary.contrast())
    yield SensitivityResult("adjusted for baseline", "", panel.adjusted_for_baseline(distances, window).contrast())
    metrics: dict[Variant, tuple[Matrix, float]] = {
        "Aitchison, 10%": (aitchison(shares), math.inf),
        "Aitchison, 30%": (aitchison(shares, 0.3), math.inf),
        "Jaccard": (jaccard(panel.stool.detected), 1.0),
        "Bray-Curtis, 30%": (bray_curtis(closure(PrevalenceFilter(0.3).fit_transform(shares))), 1.0),
    }
    for variant, (matrix, largest_distance) in metrics.items():
        yield SensitivityResult(variant, "", panel.changes(matrix, window, largest_distance).contrast())
    for later in windows[1:]:
        yield SensitivityResult("other window", later.name, panel.changes(distances, later).contrast())
    all_later = Window("", np.nextafter(panel.stool.baseline.end, math.inf), math.inf)
    yield SensitivityResult("all samples", "", panel.changes(distances, all_later).contrast())
    if panel.donated:
        # One sample varies more than a mean of several, so that it cannot be exchanged with other donors' means.
        donated = panel.changes_to_donated_samples(distances, window)
        yield SensitivityResult("donated sample", "", donated.contrast(), exchangeable=False)
    giving = primary.of_donors_with_recipients()
    if not giving.is_own.all(axis=1).any():
        yield SensitivityResult("donors with recipients", "", giving.contrast())
    for patient in _similar_recipients(panel, cohort):
        rest = primary.excluding(patient)
        if rest.patients:
            yield SensitivityResult("without recipient", panel.codes[patient], rest.contrast())


def _similar_recipients(panel: DonorPanel, cohort: Cohort) -> list[str]:
    """Return the recipients whose stool is, by the audit, as similar to another person's as one person's samples."""
    similar = {patient for pair in similar_pairs([cohort]) for _, patient in pair}
    return [patient for patient in panel.recipients if patient in similar]


def jaccard(detected: Matrix) -> Matrix:
    """Return Jaccard distances, (n_samples, n_samples); NaN for samples too shallow to tell which taxa they hold."""
    distances = squareform(pdist(detected >= 0.5, "jaccard"))
    shallow = np.isnan(detected).any(axis=1)
    distances[shallow] = distances[:, shallow] = np.nan
    return np.asarray(distances)
