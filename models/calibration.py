"""Calibration: from a model's left-out log-odds to a probability, and to the range of Venn-Abers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VennAbers:
    """The inductive Venn-Abers predictor, as two step functions of the margin.

    A margin's two probabilities are those that isotonic regression gives it when it joins the calibration rows as a 0,
    and as a 1. Between two scores the first is that of the score below, the second that of the score above. One of the
    two is calibrated wherever patients are exchangeable with the calibration rows: a statement about them all, never
    about one.

    Attributes
    ----------
    scores : ndarray, (n_scores,)
        The distinct margins of the calibration rows, rising.
    low, high : ndarray, (n_scores,)
        The probabilities at each score, as a 0 and as a 1.

    References
    ----------
    Vovk, Petej and Fedorova 2015, Advances in Neural Information Processing Systems 28 (arXiv:1511.00213).
    """

    scores: Vector
    low: Vector
    high: Vector

    def range(self, margin: ArrayLike) -> tuple[Vector, Vector]:
        """Return the two probabilities of each margin, the smaller first, each of `margin`'s shape."""
        low = np.append(0.0, self.low)[np.searchsorted(self.scores, margin, side="right")]
        high = np.append(self.high, 1.0)[np.searchsorted(self.scores, margin, side="left")]
        return low, high

    def state(self) -> dict[str, list[float]]:
        """Return the steps as JSON-ready values."""
        return {"scores": self.scores.tolist(), "low": self.low.tolist(), "high": self.high.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the predictor that `state` described.

        Raises
        ------
        ValueError
            The steps are not those of a rising range of probabilities.
        """
        steps = np.array([state[name] for name in ("scores", "low", "high")], dtype=np.float64)
        found = cls(*steps)
        # Two fits agree to the last digits only.
        rising = [*np.diff(steps).ravel(), *(found.high - found.low), *found.low, *(1 - found.high)]
        if not np.greater(rising, -1e-9).all():
            raise ValueError("the steps of Venn-Abers do not rise between 0 and 1")
        return found


@dataclass(frozen=True)
class Calibration:
    """Platt's calibration: probability = 1 / (1 + exp(-(slope * margin + intercept))).

    Attributes
    ----------
    slope, intercept : float
    venn_abers : VennAbers or None
        The range beside the probability. The two are fitted apart: the probability may lie outside.

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

    def state(self) -> dict[str, Any]:
        """Return the calibration as JSON-ready values."""
        found: dict[str, Any] = {"slope": self.slope, "intercept": self.intercept}
        return found if self.venn_abers is None else found | {"venn_abers": self.venn_abers.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the calibration that `state` described."""
        steps = {name: VennAbers.from_state(state[name]) for name in ("venn_abers",) if name in state}
        return cls(**{**state, **steps})


def fit_venn_abers(margin: Vector, y: Vector) -> VennAbers:
    """Return the Venn-Abers predictor of calibration rows.

    Parameters
    ----------
    margin : ndarray, (n_rows,)
        Log-odds of rows the model was not fitted to.
    y : ndarray, (n_rows,)
        0 or 1.
    """
    from scipy.optimize import isotonic_regression

    scores, of = np.unique(margin, return_inverse=True)
    rows, events = np.bincount(of).astype(np.float64), np.bincount(of, weights=y)

    def joined(at: int, label: float) -> float:
        one = np.arange(len(scores)) == at
        weights = rows + one
        return float(isotonic_regression((events + label * one) / weights, weights=weights).x[at])

    low, high = ([joined(at, label) for at in range(len(scores))] for label in (0.0, 1.0))
    return VennAbers(scores, np.array(low), np.array(high))
