"""Calibration: from log-odds to a probability (Platt), and to a range of probabilities (Venn-Abers)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.arrays import Vector
from models.evidence import Documented


@dataclass(frozen=True)
class VennAbersState(Documented):
    """A fitted Venn-Abers predictor, as a bundle keeps it."""

    scores: tuple[float, ...]
    """Distinct margins of the calibration rows, rising."""
    low: tuple[float, ...]
    """Lower probability at each score."""
    high: tuple[float, ...]
    """Higher probability at each score."""


@dataclass(frozen=True, eq=False)
class VennAbers:
    """The inductive Venn-Abers predictor, as two step functions of the margin.

    Isotonic regression assigns a margin two probabilities: one when the margin joins the calibration rows with outcome
    0, one when it joins with outcome 1. Between two scores, the first probability is that of the score below, the
    second that of the score above. One of the two is calibrated if patients are exchangeable with the calibration rows;
    this holds for such patients together, not for one patient.

    Attributes
    ----------
    scores : ndarray, (n_scores,)
        Distinct margins of the calibration rows, rising.
    low, high : ndarray, (n_scores,)
        Probabilities at each score, joining with outcome 0 and 1.

    References
    ----------
    Vovk, Petej and Fedorova 2015, Advances in Neural Information Processing Systems 28 (arXiv:1511.00213).
    """

    scores: Vector
    low: Vector
    high: Vector

    def range(self, margin: ArrayLike) -> tuple[Vector, Vector]:
        """Return the lower and the higher probability of each margin, both of `margin`'s shape."""
        low = np.append(0.0, self.low)[np.searchsorted(self.scores, margin, side="right")]
        high = np.append(self.high, 1.0)[np.searchsorted(self.scores, margin, side="left")]
        return low, high

    def state(self) -> VennAbersState:
        """Return the step functions, as a bundle keeps them."""
        return VennAbersState(*(tuple(steps.tolist()) for steps in (self.scores, self.low, self.high)))

    @classmethod
    def from_state(cls, state: VennAbersState) -> Self:
        """Return the predictor of this state.

        Raises
        ------
        ValueError
            The steps do not rise, or their probabilities are not a range within 0 and 1.
        """
        steps = np.array([state.scores, state.low, state.high], dtype=np.float64)
        predictor = cls(*steps)
        # Two fits agree to the last digits only.
        rises = [
            *np.diff(steps).ravel(),
            *(predictor.high - predictor.low),
            *predictor.low,
            *(1 - predictor.high),
        ]
        if not np.greater(rises, -1e-9).all():
            raise ValueError("the steps of Venn-Abers do not rise between 0 and 1")
        return predictor


@dataclass(frozen=True)
class CalibrationState(Documented):
    """A fitted calibration, as a bundle keeps it."""

    slope: float
    """Slope of Platt's calibration."""
    intercept: float
    """Intercept of Platt's calibration."""
    venn_abers: VennAbersState | None = None
    """Venn-Abers predictor; null or missing where there is none."""


@dataclass(frozen=True)
class Calibration:
    """Platt's calibration: probability = 1 / (1 + exp(-(slope * margin + intercept))).

    Attributes
    ----------
    slope, intercept : float
    venn_abers : VennAbers or None
        Range of the probability. It is fitted separately, so the probability may lie outside it.

    References
    ----------
    Platt 1999, Advances in Large Margin Classifiers 61-74.
    """

    slope: float
    intercept: float
    venn_abers: VennAbers | None = None

    def probability(self, margin: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities of log-odds, the same shape."""
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-(self.slope * margin + self.intercept)))

    def state(self) -> CalibrationState:
        """Return the calibration, as a bundle keeps it."""
        return CalibrationState(self.slope, self.intercept, self.venn_abers.state() if self.venn_abers else None)

    @classmethod
    def from_state(cls, state: CalibrationState) -> Self:
        """Return the calibration of this state."""
        venn_abers = VennAbers.from_state(state.venn_abers) if state.venn_abers else None
        return cls(state.slope, state.intercept, venn_abers)


def fit_venn_abers(margin: Vector, y: Vector) -> VennAbers:
    """Return the Venn-Abers predictor of calibration rows.

    Parameters
    ----------
    margin : ndarray, (n_rows,)
        Held-out log-odds.
    y : ndarray, (n_rows,)
        Outcomes, 0 or 1.
    """
    from scipy.optimize import isotonic_regression

    scores, positions = np.unique(margin, return_inverse=True)
    rows, events = np.bincount(positions).astype(np.float64), np.bincount(positions, weights=y)

    def probability(score: int, label: float) -> float:
        """Return the isotonic fit at a score after a row with this score and label is added."""
        added = np.arange(len(scores)) == score
        weights = rows + added
        return float(isotonic_regression((events + label * added) / weights, weights=weights).x[score])

    low, high = ([probability(score, label) for score in range(len(scores))] for label in (0.0, 1.0))
    return VennAbers(scores, np.array(low), np.array(high))
