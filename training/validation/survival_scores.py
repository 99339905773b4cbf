"""Discrimination and calibration of held-out time-to-event predictions, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from features.arrays import Mask, Matrix, Names, Positions, Vector
from features.outcomes import DAYS_PER_MONTH
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.metrics import Metric, bootstrap_weights, mean_within_centres, percentile_interval
from training.statistics.survival_metrics import (
    cumulative_dynamic_auc,
    harrell_c,
    survival_brier_score,
    survival_brier_skill,
    uno_c,
)
from training.validation.held_out_times import HORIZONS, SurvivalHeldOut


@dataclass(frozen=True)
class RepeatPredictions:
    """Held-out predictions of one repeat.

    Attributes
    ----------
    rows : ndarray of int, (n_rows,)
        Positions in the table.
    folds : ndarray of int, (n_rows,)
        Number of the fold whose model predicted a row.
    margin, risk, average : ndarray
        As in `training.validation.held_out_times.SurvivalHeldOut`.
    """

    rows: Positions
    folds: Positions
    margin: Vector
    risk: Matrix
    average: Matrix

    def take(self, mask: Mask) -> RepeatPredictions:
        """Return the predictions of some rows; `mask` is (n_rows,)."""
        return RepeatPredictions(
            self.rows[mask], self.folds[mask], self.margin[mask], self.risk[mask], self.average[mask]
        )


def predictions_by_repeat(held_out: Sequence[SurvivalHeldOut]) -> list[RepeatPredictions]:
    """Return one scheme's held-out predictions, the folds of each repeat joined."""
    repeats: dict[int, list[SurvivalHeldOut]] = {}
    for prediction in held_out:
        repeats.setdefault(prediction.fold.repeat, []).append(prediction)
    return [
        RepeatPredictions(
            np.concatenate([prediction.fold.test for prediction in folds]),
            np.repeat(np.arange(len(folds)), [len(prediction.fold.test) for prediction in folds]),
            np.concatenate([prediction.margin for prediction in folds]),
            np.concatenate([prediction.risk for prediction in folds]),
            np.concatenate([prediction.average for prediction in folds]),
        )
        for folds in repeats.values()
    ]


def survival_scores(y: Matrix, cohorts: Names, repeats: Sequence[RepeatPredictions]) -> dict[str, IntervalEstimate]:
    """Return the scores of held-out predictions, averaged over repeats, each with a bootstrap interval.

    The scores are Harrell's `c`; Uno's `uno_c` up to the last horizon; and for each horizon the cumulative/dynamic
    `auroc`, the `brier` score and its `brier_skill` over the average risk, named such as `auroc_12m`. Patients are
    compared within cohorts, and ranked within the fold whose model predicted them; the cohorts' scores are averaged,
    weighted by their patients. The bootstrap resamples
    patients within cohorts and holds predictions fixed, so that the intervals omit the variation of refitting.

    Parameters
    ----------
    y : ndarray, (n_rows, 2)
        Of every row of the table.
    cohorts : ndarray of str, (n_rows,)
    repeats : sequence of RepeatPredictions
    """
    original, bootstrap = np.ones((1, len(y))), bootstrap_weights(cohorts)
    estimates = {}
    for name, (metric, scores) in _metrics(repeats).items():
        ranks = not name.startswith("brier")
        value, bootstrap_values = (
            np.mean(
                [
                    mean_within_centres(
                        metric,
                        y[repeat.rows],
                        score,
                        cohorts[repeat.rows],
                        weights[:, repeat.rows],
                        repeat.folds if ranks else None,
                    )
                    for repeat, score in zip(repeats, scores, strict=True)
                ],
                axis=0,
            )
            for weights in (original, bootstrap)
        )
        estimates[name] = percentile_interval(value[0], bootstrap_values)
    return estimates


def _metrics(repeats: Sequence[RepeatPredictions]) -> dict[str, tuple[Metric, list[Matrix]]]:
    """Return each metric with the predictions of every repeat that it scores."""
    margins = [repeat.margin for repeat in repeats]
    metrics: dict[str, tuple[Metric, list[Matrix]]] = {
        "c": (harrell_c, margins),
        "uno_c": (partial(uno_c, horizon=HORIZONS[-1] * DAYS_PER_MONTH), margins),
    }
    for k, months in enumerate(HORIZONS):
        day = months * DAYS_PER_MONTH
        risks = [repeat.risk[:, k] for repeat in repeats]
        risks_and_averages = [np.column_stack([repeat.risk[:, k], repeat.average[:, k]]) for repeat in repeats]
        metrics[f"auroc_{months}m"] = partial(cumulative_dynamic_auc, day=day), margins
        metrics[f"brier_{months}m"] = partial(survival_brier_score, day=day), risks
        metrics[f"brier_skill_{months}m"] = partial(survival_brier_skill, day=day), risks_and_averages
    return metrics
