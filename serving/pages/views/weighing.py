"""Benefit and risk weighed: the value of the four cells if one response is worth so many toxicities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from models.evidence import JointTable
from models.joint import CELLS

MIN_PATIENTS = 100
"""Training patients with the outcome, and without it, below which benefit and risk are not weighed."""
MIN_WORTH, MAX_WORTH = 0.25, 10.0


@dataclass(frozen=True)
class Weighing:
    """Values in units of one response.

    Attributes
    ----------
    worth : float
        Number of toxicities that one response is worth, from `min_worth` to `max_worth`.
    cell_values : dict of str to float
        Value of each cell.
    patient : float
        Expected value for the patient: P(response) - P(toxicity) / worth, whatever the dependence of the two.
    cohorts : float or None
        Mean value in the training patients; None where response and toxicity are not known of the same patients.
    """

    worth: float
    cell_values: dict[str, float]
    patient: float
    cohorts: float | None
    min_worth: ClassVar[float] = MIN_WORTH
    max_worth: ClassVar[float] = MAX_WORTH


def weigh(response: float, toxicity: float, counts: JointTable | None, worth: float) -> Weighing:
    """Weigh response against toxicity.

    Parameters
    ----------
    response, toxicity : float
        Predicted probabilities.
    counts : JointTable, optional
        Training patients cross-classified by both.
    worth : float
        Number of toxicities that one response is worth; limited to `MIN_WORTH` and `MAX_WORTH`.
    """
    worth = min(max(worth, MIN_WORTH), MAX_WORTH)
    cell_values = {
        "response_without_toxicity": 1.0,
        "response_with_toxicity": 1 - 1 / worth,
        "no_response_no_toxicity": 0.0,
        "toxicity_without_response": -1 / worth,
    }
    cohorts = None
    if counts is not None:
        cohorts = math.fsum(cell_values[name] * getattr(counts.overall, name).rate for name in CELLS)
    return Weighing(worth, cell_values, response - toxicity / worth, cohorts)
