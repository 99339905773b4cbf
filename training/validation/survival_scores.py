"""Discrimination and calibration of held-out time-to-event predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.outcomes import MONTH
from training.statistics.arrays import Matrix, Names, Positions, Vector
from training.statistics.metrics import Estimate, Metric, bootstrap_weights, mean_within_cohorts, percentile_interval
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
    """Left-out predictions by row; `rows` are positions in the table, the rest as in `SurvivalHeldOut`."""

    rows: Positions
    margin: Vector
    risk: Matrix
    average: Matrix

    def take(self, kept: NDArray[np.bool_]) -> RepeatPredictions:
        """Return some of the rows."""
        return RepeatPredictions(self.rows[kept], self.margin[kept], self.risk[kept], self.average[kept])


def predictions_by_repeat(left_out: Sequence[SurvivalHeldOut]) -> list[RepeatPredictions]:
    """Return one scheme's left-out predictions, those of each repeat together."""
    repeats: dict[int, list[tuple[Any, ...]]] = {}
    for one in left_out:
        repeats.setdefault(one.fold.repeat, []).append((one.fold.test, one.margin, one.risk, one.average))
    return [RepeatPredictions(*map(np.concatenate, zip(*found, strict=True))) for found in repeats.values()]


def survival_scores(y: Matrix, names: Names, repeats: Sequence[RepeatPredictions]) -> dict[str, Estimate]:
    """Return what is measured of left-out predictions, the mean over repeats, each with its interval.

    Harrell's `c`; Uno's `uno_c` of the events of the last horizon's months; and for each horizon the cumulative/dynamic
    `auroc`, the `brier` score and its `brier_skill` over the average risk, such as `auroc_12m`. Rows of one name are
    compared with each other alone, and the names' values averaged by their patients. The bootstrap draws patients
    within names and holds predictions fixed, so that intervals understate what refitting would add.

    Parameters
    ----------
    y : ndarray, (n_rows, 2)
        Of every row of the table, as `names`.
    names : ndarray of str, (n_rows,)
        Each row's cohort.
    repeats : sequence of Predictions
    """
    margins = [one.margin for one in repeats]
    metrics: dict[str, tuple[Metric, list[Matrix]]] = {
        "c": (harrell_c, margins),
        "uno_c": (partial(uno_c, horizon=HORIZONS[-1] * MONTH), margins),
    }
    for k, months in enumerate(HORIZONS):
        day = months * MONTH
        metrics[f"auroc_{months}m"] = partial(cumulative_dynamic_auc, day=day), margins
        metrics[f"brier_{months}m"] = partial(survival_brier_score, day=day), [one.risk[:, k] for one in repeats]
        both = [np.column_stack([one.risk[:, k], one.average[:, k]]) for one in repeats]
        metrics[f"brier_skill_{months}m"] = partial(survival_brier_skill, day=day), both
    once, often = np.ones((1, len(y))), bootstrap_weights(names)
    found = {}
    for name, (metric, scores) in metrics.items():
        value, drawn = (
            np.mean(
                [
                    mean_within_cohorts(metric, y[one.rows], score, names[one.rows], weights[:, one.rows])
                    for one, score in zip(repeats, scores, strict=True)
                ],
                axis=0,
            )
            for weights in (once, often)
        )
        found[name] = percentile_interval(value[0], drawn)
    return found
