"""Calibration: from log-odds to a probability (Platt), and to a range of probabilities (Venn-Abers)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.arrays import Vector
from models.evidence import Documented


@dataclass(frozen=True)
class VennAbers(Documented):
    """The inductive Venn-Abers predictor, as two step functions of the margin.

    Isotonic regression assigns a margin two probabilities: one when the margin joins the calibration rows with outcome
    0, one when it joins with outcome 1. Between two scores, the first probability is that of the score below, the
    second that of the score above. One of the two is calibrated if patients are exchangeable with the calibration rows;
    this holds for such patients together, not for one patient.

    Raises
    ------
    ValueError
        The steps do not rise, or their probabilities are not a range within 0 and 1.

    References
    ----------
    Vovk, Petej and Fedorova 2015, Advances in Neural Information Processing Systems 28 (arXiv:1511.00213).
    """

    scores: tuple[float, ...]
    """Distinct margins of the calibration rows, rising."""
    low: tuple[float, ...]
    """Probability at each score, joining with outcome 0."""
    high: tuple[float, ...]
    """Probability at each score, joining with outcome 1."""

    def __post_init__(self) -> None:
        """Check the steps."""
        steps = np.array([self.scores, self.low, self.high], dtype=np.float64)
        _, low, high = steps
        # Two fits agree to the last digits only.
        if not np.greater([*np.diff(steps).ravel(), *(high - low), *low, *(1 - high)], -1e-9).all():
            raise ValueError("the steps of Venn-Abers do not rise between 0 and 1")

    @cached_property
    def _steps(self) -> tuple[Vector, Vector, Vector]:
        """The scores, (n_scores,), and the probabilities between and beyond them, (n_scores + 1,) each."""
        return np.array(self.scores), np.append(0.0, self.low), np.append(self.high, 1.0)

    def range(self, margin: ArrayLike) -> tuple[Vector, Vector]:
        """Return the lower and the higher probability of each margin, both of `margin`'s shape."""
        scores, low, high = self._steps
        return low[np.searchsorted(scores, margin, side="right")], high[np.searchsorted(scores, margin, side="left")]


@dataclass(frozen=True)
class Calibration(Documented):
    """Platt's calibration: probability = 1 / (1 + exp(-(slope * margin + intercept))).

    References
    ----------
    Platt 1999, Advances in Large Margin Classifiers 61-74.
    """

    slope: float
    """Slope of Platt's calibration."""
    intercept: float
    """Intercept of Platt's calibration."""
    venn_abers: VennAbers | None = None
    """Range of the probability, fitted separately, so that the probability may lie outside it; null where there is
    none."""

    def probability(self, margin: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities of log-odds, the same shape."""
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-(self.slope * margin + self.intercept)))


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
    return VennAbers(tuple(scores.tolist()), tuple(low), tuple(high))
