"""Conformal prediction sets of the two labels, and their coverage in each centre."""

from __future__ import annotations

import numpy as np

from features.arrays import Names, Vector
from models.evidence import SetCoverage

LEVEL = 0.9
"""Share of patients whose conformal set should contain their outcome."""


def conformal_p(calibration_y: Vector, calibration_margin: Vector, margin: Vector) -> tuple[Vector, Vector]:
    """Return label-conditional conformal p-values of having the event, and of not having it.

    Parameters
    ----------
    calibration_y, calibration_margin : ndarray, (n_calibration,)
        Outcomes and held-out log-odds of patients who are exchangeable with the new ones.
    margin : ndarray, (n_samples,)
        Log-odds of the new patients.

    Returns
    -------
    p_event, p_no_event : ndarray, (n_samples,)
        Share of the patients with the label, the new one included, that conform to it no better than the new one.

    References
    ----------
    Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World, section 4.5 (Mondrian predictors).
    """
    events = np.sort(calibration_margin[calibration_y == 1])
    non_events = np.sort(calibration_margin[calibration_y == 0])
    lower = np.searchsorted(events, margin, side="right")
    higher = len(non_events) - np.searchsorted(non_events, margin, side="left")
    return (lower + 1) / (len(events) + 1), (higher + 1) / (len(non_events) + 1)


def conformal_coverage(
    y: Vector, p_event: Vector, p_no_event: Vector, centres: Names, level: float = LEVEL
) -> dict[str, SetCoverage]:
    """Return each centre's coverage by the sets of labels whose p-value is above 1 - `level`.

    Parameters
    ----------
    y, p_event, p_no_event : ndarray, (n_samples,)
    centres : ndarray of str, (n_samples,)
    level : float
        Share of patients whose set should contain their outcome.
    """
    included = np.stack([p_no_event, p_event]) > 1 - level
    hit, n_labels = np.where(y == 1, included[1], included[0]), included.sum(axis=0)
    coverage = {}
    for name in dict.fromkeys(centres.tolist()):
        mask = centres == name
        coverage[name] = SetCoverage(
            level=level,
            coverage=float(hit[mask].mean()),
            one_label=float((n_labels[mask] == 1).mean()),
            two_labels=float((n_labels[mask] == 2).mean()),
            no_label=float((n_labels[mask] == 0).mean()),
        )
    return coverage
