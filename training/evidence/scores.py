"""Held-out predictions of one scheme, gathered in the order of a table's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.arrays import Mask, Matrix, Names, Positions, Vector
from features.feature_table import FeatureTable
from models.evidence import Estimate, Scheme
from training.statistics.auroc_meta_analysis import RankedCentre, ranked_centres
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.metrics import auroc, bootstrap_interval, mean_within_centres
from training.validation.folds import Fold, centres
from training.validation.held_out import HeldOut


@dataclass(frozen=True)
class HeldOutScores:
    """Held-out predictions of one scheme.

    Attributes
    ----------
    rows : ndarray of int, (n_rows,)
        Positions in the table of the rows that every seed held out.
    y : ndarray, (n_rows,)
        Outcomes, 0 or 1.
    centres : ndarray of str, (n_rows,)
        Centre of each row; the cohort where its manifest names no centres.
    folds : ndarray of int, (n_seeds, n_rows)
        Number of the fold whose model predicted a row.
    margin, probability : ndarray, (n_seeds, n_rows)
        Log-odds before calibration, and the probabilities that would be served.
    """

    rows: Positions
    y: Vector
    centres: Names
    folds: Positions
    margin: Matrix
    probability: Matrix

    def seed_aurocs(self, score: Matrix) -> list[float]:
        """Return each seed's AUROC of a score, (n_seeds, n_rows), within centres and folds."""
        return [
            float(mean_within_centres(auroc, self.y, values, self.centres, folds=folds)[0])
            for values, folds in zip(score, self.folds, strict=True)
        ]

    def mean_auroc(self, score: Matrix) -> float:
        """Return the mean over seeds of `seed_aurocs`."""
        return float(np.mean(self.seed_aurocs(score)))

    def auroc(self, score: Matrix) -> IntervalEstimate:
        """Return `mean_auroc` with its bootstrap interval."""
        return bootstrap_interval(auroc, self.y, score, self.centres, self.folds)

    def ranked_centres(self, score: Matrix) -> list[RankedCentre]:
        """Return each centre's AUROC of a score, (n_seeds, n_rows)."""
        return ranked_centres(self.y, score, self.centres, self.folds)

    def by_centre(self) -> Iterator[tuple[str, HeldOutScores]]:
        """Yield each centre's name and its rows."""
        for name in dict.fromkeys(self.centres.tolist()):
            yield name, self.take(self.centres == name)

    def take(self, mask: Mask) -> HeldOutScores:
        """Return the rows of a mask, (n_rows,)."""
        return HeldOutScores(
            self.rows[mask],
            self.y[mask],
            self.centres[mask],
            self.folds[:, mask],
            self.margin[:, mask],
            self.probability[:, mask],
        )


def main_scheme(outer: Sequence[Fold]) -> Scheme:
    """Return the scheme that evidence rests on: centres held out in turn where possible, else patients."""
    return "loco" if any(fold.scheme == "loco" for fold in outer) else "cv"


def gather_scores(table: FeatureTable, y: Vector, held_out: Sequence[HeldOut], scheme: Scheme) -> HeldOutScores:
    """Gather the held-out predictions of one scheme."""
    predictions = [prediction for prediction in held_out if prediction.fold.scheme == scheme]
    n_seeds = 1 + max((prediction.fold.repeat for prediction in predictions), default=0)
    margin = np.full((n_seeds, len(y)), np.nan)
    probability, folds = margin.copy(), np.zeros(margin.shape, dtype=np.intp)
    for number, prediction in enumerate(predictions):
        fold = prediction.fold
        folds[fold.repeat, fold.test] = number
        margin[fold.repeat, fold.test] = prediction.margin
        probability[fold.repeat, fold.test] = prediction.probability
    rows = np.flatnonzero(np.isfinite(margin).all(axis=0))
    return HeldOutScores(
        rows, y[rows], centres(table.rows)[rows], folds[:, rows], margin[:, rows], probability[:, rows]
    )


def first_seed_folds(held_out: Sequence[HeldOut], scheme: Scheme) -> list[HeldOut]:
    """Return the predictions of one scheme's folds with the first seed."""
    return [prediction for prediction in held_out if prediction.fold.scheme == scheme and prediction.fold.repeat == 0]


def held_out_predictions(y: Vector, held_out: Sequence[HeldOut]) -> pd.DataFrame:
    """Return every held-out prediction: `row`, `scheme`, `fold`, `repeat`, `outcome`, `margin`, `probability`."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "row": prediction.fold.test,
                    "scheme": prediction.fold.scheme,
                    "fold": prediction.fold.name,
                    "repeat": prediction.fold.repeat,
                    "outcome": y[prediction.fold.test],
                    "margin": prediction.margin,
                    "probability": prediction.probability,
                }
            )
            for prediction in held_out
        ],
        ignore_index=True,
    )


def reported(estimate: IntervalEstimate | None) -> Estimate:
    """Return an estimate as evidence keeps it: null where it is absent or not finite."""
    if estimate is None:
        return Estimate(None, None, None)
    return Estimate(finite(estimate.value), finite(estimate.low), finite(estimate.high))


def finite(value: float) -> float | None:
    """Return a number, or None where it is not finite."""
    return float(value) if np.isfinite(value) else None
