"""The four cells of response and toxicity, predicted for held-out patients by two models together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.arrays import Mask, Matrix, Names, Vector
from features.feature_table import FeatureTable
from features.outcomes import is_toxicity
from models.evidence import Estimate, HeldOutCell, HeldOutCells, PooledOddsRatio
from models.joint import CELLS, cell_probabilities
from models.rates import INTERVAL_ALPHA, event_rate, exact_interval
from training.evidence.scores import HeldOutScores, reported
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.plackett import PlackettFit, fit_plackett

FEWEST_PATIENTS = 100
"""Patients with two held-out predictions and both outcomes known, below whom cells are not estimated from them."""
FEWEST_IN_CELL = 10
"""Patients in each of the four cells, below whom they are not."""


@dataclass(frozen=True)
class Counterpart:
    """The held-out predictions of the registered model of an outcome of the other side.

    Attributes
    ----------
    outcome : str
    model : str
        Name and version in the registry, as name/version.
    probability : mapping of (cohort, patient) to float
        Mean over repeats.
    """

    outcome: str
    model: str
    probability: Mapping[tuple[str, str], float]


def held_out_odds_ratio(
    table: FeatureTable, outcome: str, scores: HeldOutScores, counterpart: Counterpart
) -> PooledOddsRatio | None:
    """Return the odds ratio of both outcomes given the held-out probability of each, and what its cells showed.

    Parameters
    ----------
    table : FeatureTable
    outcome : str
        Predicted by the model.
    scores : HeldOutScores
        The model's held-out predictions.
    counterpart : Counterpart
        Those of a model of the other side.

    Returns
    -------
    PooledOddsRatio or None
        None below `FEWEST_PATIENTS`, below `FEWEST_IN_CELL`, or where the odds ratio cannot be estimated.
    """
    keys = list(zip(table.rows["cohort"].iloc[scores.rows], table.rows["patient"].iloc[scores.rows], strict=True))
    other_probability = np.array([counterpart.probability.get(key, np.nan) for key in keys])
    other_outcome = table.rows[counterpart.outcome].to_numpy(dtype=np.float64, na_value=np.nan)[scores.rows]
    mask = np.isfinite(other_probability) & np.isfinite(other_outcome)
    pairs = [(scores.probability.mean(axis=0)[mask], scores.y[mask]), (other_probability[mask], other_outcome[mask])]
    names = [outcome, counterpart.outcome]
    if is_toxicity(outcome):
        pairs.reverse()
        names.reverse()
    (p, responded), (q, harmed) = ((probability, label == 1) for probability, label in pairs)
    cells = np.stack([responded & ~harmed, responded & harmed, ~responded & ~harmed, ~responded & harmed], axis=1)
    if len(cells) < FEWEST_PATIENTS or cells.sum(axis=0).min() < FEWEST_IN_CELL:
        return None
    centre_names = scores.centres[mask]
    fit = fit_plackett(p, q, cells, centre_names)
    if fit is None:
        return None
    held_out = _held_out_cells(p, q, cells, centre_names, fit, counterpart.model)
    return PooledOddsRatio(names[0], names[1], len(cells), fit.odds_ratio, fit.low, fit.high, held_out)


def _held_out_cells(
    p: Vector, q: Vector, cells: Mask, centre_names: Names, fit: PlackettFit, model: str
) -> HeldOutCells:
    """Compare the predicted cells with the observed, with the odds ratio of the other centres where there are any."""
    predicted = np.empty(cells.shape)
    distinct = dict.fromkeys(centre_names.tolist())
    for name in distinct:
        mask = centre_names == name
        other_centres_fit = (
            fit_plackett(p[~mask], q[~mask], cells[~mask], centre_names[~mask]) if len(distinct) > 1 else None
        )
        odds_ratio = (other_centres_fit or fit).odds_ratio
        predicted[mask] = np.stack(cell_probabilities(p[mask], q[mask], odds_ratio), axis=1)
    shares = predicted.mean(axis=0)
    counts, n = cells.sum(axis=0).tolist(), len(cells)
    # Four intervals that hold together at 95% (Bonferroni).
    limits = [exact_interval(count, n, INTERVAL_ALPHA / len(CELLS)) for count in counts]
    return HeldOutCells(
        counterpart=model,
        centres=len(distinct),
        spread=fit.spread,
        cells=tuple(
            HeldOutCell(name, share, event_rate(count, n))
            for name, share, count in zip(CELLS, shares.tolist(), counts, strict=True)
        ),
        calibrated=all(low <= share <= high for share, (low, high) in zip(shares.tolist(), limits, strict=True)),
        log_score_gain=_log_score_gain(p, q, cells, predicted),
    )


def _log_score_gain(p: Vector, q: Vector, cells: Mask, predicted: Matrix) -> Estimate:
    """Return by how much the mean log score exceeds that of independent outcomes, with its t interval over patients."""
    from scipy.stats import ttest_1samp

    independent = np.stack(cell_probabilities(p, q, 1.0), axis=1)
    floor = 1e-6
    gains = np.log(np.maximum(predicted, floor)[cells]) - np.log(np.maximum(independent, floor)[cells])
    interval = ttest_1samp(gains, 0).confidence_interval()
    return reported(IntervalEstimate(float(gains.mean()), float(interval.low), float(interval.high)))
