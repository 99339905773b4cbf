"""Whether sets and ranges of probabilities keep their promise on cohorts they were not calibrated on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.statistics.arrays import Names, Vector


@dataclass(frozen=True)
class Coverage:
    """How often one cohort's conformal sets hold the outcome, and how much they say.

    Attributes
    ----------
    coverage : float
        Share of patients whose set holds their outcome.
    one, both, none : float
        Share of sets with one label, with both, with none.
    """

    coverage: float
    one: float
    both: float
    none: float


def conformal_p(calibration_y: Vector, calibration_margin: Vector, margin: Vector) -> tuple[Vector, Vector]:
    """Return p-values of having the event and of not having it, each from the calibration patients of that label.

    Parameters
    ----------
    calibration_y, calibration_margin : ndarray, (n_calibration,)
        Outcomes and left-out log-odds of patients that are exchangeable with those asked about.
    margin : ndarray, (n_samples,)

    Returns
    -------
    p_event, p_other : ndarray, (n_samples,)
        Share of that label's patients, the one asked about among them, at least as strange to it.

    References
    ----------
    Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World, section 4.5 (Mondrian predictors).
    """
    events, others = np.sort(calibration_margin[calibration_y == 1]), np.sort(calibration_margin[calibration_y == 0])
    lower = np.searchsorted(events, margin, side="right")
    higher = len(others) - np.searchsorted(others, margin, side="left")
    return (lower + 1) / (len(events) + 1), (higher + 1) / (len(others) + 1)


def conformal_coverage(
    y: Vector, p_event: Vector, p_other: Vector, cohorts: Names, level: float = 0.9
) -> dict[str, Coverage]:
    """Return each cohort's coverage by the sets of labels whose p-value is above 1 - `level`.

    Parameters
    ----------
    y, p_event, p_other : ndarray, (n_samples,)
    cohorts : ndarray of str, (n_samples,)
    level : float
        Share of patients whose set should hold their outcome.
    """
    held = np.stack([p_other, p_event]) > 1 - level
    hit, labels = np.where(y == 1, held[1], held[0]), held.sum(axis=0)
    found = {}
    for name in dict.fromkeys(cohorts.tolist()):
        mine = cohorts == name
        found[name] = Coverage(
            coverage=float(hit[mine].mean()),
            one=float((labels[mine] == 1).mean()),
            both=float((labels[mine] == 2).mean()),
            none=float((labels[mine] == 0).mean()),
        )
    return found
