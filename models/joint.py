"""Response and toxicity together: Fréchet bounds and Plackett estimate of the joint 2 x 2 of one patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from features.arrays import Vector
from features.outcomes import is_toxicity, side_of
from models.confirmation import unconfirmed_reason
from models.evidence import PooledOddsRatio
from models.prediction import LEARNT_FROM_PATIENT, BenefitBounds, Cell, JointOutcome, Prediction

_Numbers = TypeVar("_Numbers", float, Vector)

CELLS = ("response_without_toxicity", "response_with_toxicity", "no_response_no_toxicity", "toxicity_without_response")
"""The four cells of the 2 x 2, named as the fields of `JointOutcome`."""
ODDS_RATIO_MEANS = (
    "each cell under the assumption that response and toxicity depend on each other in this patient as they do in the "
    "training cohorts: one odds ratio for all patients. The assumption is untested; the bounds hold without it"
)
"""How to read the Plackett estimates under an odds ratio of counts."""
HELD_OUT_MEANS = (
    "each cell under the odds ratio of response and toxicity given both predictions, which held-out patients showed; "
    "their predicted cells agree with those observed. One odds ratio for all patients; the bounds hold without it"
)
"""How to read them under an odds ratio of held-out predictions."""
CONTRADICTED_MEANS = (
    "no estimates: the cells that both models predicted for held-out patients do not agree with those observed; the "
    "bounds hold for the predicted probabilities, whatever the dependence"
)
"""Why there are none where held-out cells contradict them."""
_NO_CELL = Cell(None, None, None)


def joint_outcome(predictions: Sequence[Prediction]) -> JointOutcome:
    """Return the joint 2 x 2 of the first response and the first toxicity among a patient's predictions.

    Whatever the dependence, the probability that two events of probabilities p and q both happen lies between
    max(0, p + q - 1) and min(p, q) (Fréchet). Where the evidence of either model contains an odds ratio of the two
    outcomes, the Plackett estimate under it completes the bounds: first one given the held-out predictions of these two
    models, else one of the training cohorts' counts, each from the model with more patients.

    There are no cells where a model abstains, or learnt from the patient, so that its probability is no forecast.

    Parameters
    ----------
    predictions : sequence of Prediction
        Predictions for one patient.

    References
    ----------
    Fréchet 1935, Fundamenta Mathematicae 25:379-387; Plackett 1965, Journal of the American Statistical Association
    60:516-522.
    """
    response = next((prediction for prediction in predictions if not is_toxicity(prediction.outcome)), None)
    toxicity = next((prediction for prediction in predictions if is_toxicity(prediction.outcome)), None)
    if response is None or toxicity is None:
        return _unknown((), f"no model of {'response' if response is None else 'toxicity'} is registered")
    outcomes = (response.outcome, toxicity.outcome)
    if any(item.trust.in_training_set and item.trust.verdict != "abstain" for item in (response, toxicity)):
        return _unknown(outcomes, LEARNT_FROM_PATIENT)
    if response.probability is None or toxicity.probability is None:
        return _unknown(outcomes, "a model abstained")
    odds_ratio = _odds_ratio(response, toxicity)
    meaning = None if odds_ratio is None else _meaning(odds_ratio)
    value = None if odds_ratio is None or meaning == CONTRADICTED_MEANS else odds_ratio.value
    cells = _cells(response.probability, toxicity.probability, value)
    unconfirmed = unconfirmed_reason(
        [side_of(item.outcome) for item in (response, toxicity) if item.unconfirmed_reason]
    )
    return JointOutcome(outcomes, None, unconfirmed, *cells, odds_ratio, meaning)


def _meaning(odds_ratio: PooledOddsRatio) -> str:
    if odds_ratio.held_out is None:
        return ODDS_RATIO_MEANS
    return HELD_OUT_MEANS if odds_ratio.held_out.calibrated else CONTRADICTED_MEANS


def benefit_bounds(joint: JointOutcome) -> BenefitBounds:
    """Return the Fréchet bounds of benefit, the cell of response without toxicity."""
    cell = joint.response_without_toxicity
    return BenefitBounds(cell.low, cell.high, joint.outcomes, joint.reason, joint.unconfirmed_reason)


def joint_probability(p: _Numbers, q: _Numbers, odds_ratio: float) -> _Numbers:
    """Return the probability that two events with these probabilities and this odds ratio both happen.

    It is the root of Plackett's quadratic, in the form that stays exact at an odds ratio of 1.

    Parameters
    ----------
    p, q : float or ndarray, (n,)
        Probabilities of the two events, in [0, 1].
    odds_ratio : float
        Above 0.

    References
    ----------
    Plackett 1965, Journal of the American Statistical Association 60:516-522.
    """
    product = odds_ratio * p * q
    total = 1 + (p + q) * (odds_ratio - 1)
    root = np.sqrt(np.maximum(0.0, total**2 - 4 * (odds_ratio - 1) * product))
    overlap: _Numbers = 2 * product / (total + root)
    return overlap


def cell_probabilities(p: _Numbers, q: _Numbers, odds_ratio: float) -> tuple[_Numbers, _Numbers, _Numbers, _Numbers]:
    """Return the probabilities of the first event alone, both, neither and the second alone: those of `CELLS`.

    Parameters
    ----------
    p, q : float or ndarray, (n,)
        Probabilities of the two events, in [0, 1].
    odds_ratio : float
        Above 0.
    """
    overlap = joint_probability(p, q, odds_ratio)
    return p - overlap, overlap, 1 - p - q + overlap, q - overlap


def _cells(response: float, toxicity: float, odds_ratio: float | None) -> tuple[Cell, Cell, Cell, Cell]:
    bounds = (
        (max(0.0, response - toxicity), min(response, 1 - toxicity)),
        (max(0.0, response + toxicity - 1), min(response, toxicity)),
        (max(0.0, 1 - response - toxicity), min(1 - response, 1 - toxicity)),
        (max(0.0, toxicity - response), min(1 - response, toxicity)),
    )
    if odds_ratio is None:
        benefit, toxic_response, neither, harm = (Cell(low, high, None) for low, high in bounds)
    else:
        estimates = map(float, cell_probabilities(response, toxicity, odds_ratio))
        # Rounding may carry an estimate just beyond its bounds.
        benefit, toxic_response, neither, harm = (
            Cell(low, high, min(max(estimate, low), high))
            for estimate, (low, high) in zip(estimates, bounds, strict=True)
        )
    return benefit, toxic_response, neither, harm


def _odds_ratio(response: Prediction, toxicity: Prediction) -> PooledOddsRatio | None:
    """Return the odds ratio of the two outcomes: of these models' held-out predictions, else of counts.

    The evidence of a response counts adverse events of any day, that of a toxicity those by its own day.
    """
    pairs = [(toxicity, response)]
    if toxicity.evidence.horizon is None:
        pairs.insert(0, (response, toxicity))
    candidates = [
        ratio
        for prediction, other in pairs
        for ratio in prediction.evidence.odds_ratios
        if (ratio.response, ratio.toxicity) == (response.outcome, toxicity.outcome)
        and (ratio.held_out is None or ratio.held_out.counterpart == f"{other.model.name}/{other.model.version}")
    ]
    return max(candidates, key=lambda ratio: (ratio.held_out is not None, ratio.patients), default=None)


def _unknown(outcomes: tuple[str, ...], reason: str) -> JointOutcome:
    return JointOutcome(outcomes, reason, None, _NO_CELL, _NO_CELL, _NO_CELL, _NO_CELL, None, None)
