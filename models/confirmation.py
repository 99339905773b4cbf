"""Whether held-out patients confirm a predicted probability: the rule that the API states and the pages follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from features.outcomes import Side, side_of
from models.evidence import EventRate, ProbabilityGroup, Validation
from models.prediction import Prediction
from models.rates import similar_predictions

if TYPE_CHECKING:
    from models.bundle import Model

LEAST_CHANCE, MOST_CHANCE = 0.05, 0.95
"""Predicted probabilities beyond which pages and texts state about this limit; the API returns the number."""

Agreement = Literal["inside", "above", "below"]
"""Where a predicted probability lies beside the interval of the held-out patients with a similar probability."""


def page_probability(probability: float) -> float:
    """Return a predicted probability within `LEAST_CHANCE` and `MOST_CHANCE`, as pages draw it and compute with it."""
    return min(max(probability, LEAST_CHANCE), MOST_CHANCE)


def forecasts(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the predictions as pages draw them and compute with them.

    Where the model learnt from the patient there is no probability, since it is no forecast; any other one lies within
    the limits that pages state.
    """
    return [replace(prediction, probability=_forecast(prediction)) for prediction in predictions]


def _forecast(prediction: Prediction) -> float | None:
    if prediction.probability is None or prediction.trust.in_training_set:
        return None
    return page_probability(prediction.probability)


def agreement(probability: float | None, similar: ProbabilityGroup | None) -> Agreement | None:
    """Return whether held-out patients with similar probabilities had the outcome as often as predicted.

    Their mean probability is compared with the interval of their rate: a patient's own probability, near an end of the
    group's, would often lie outside it though all were predicted rightly.

    Parameters
    ----------
    probability : float or None
        None where the model abstains. In bundles without the mean, it is compared in its place.
    similar : ProbabilityGroup or None
        The held-out patients with a similar probability.

    Returns
    -------
    {"inside", "above", "below"} or None
        None without a probability or such patients. Above or below, predictions of this size are not confirmed: pages
        say so first, and compute nothing from the probability.
    """
    if probability is None or similar is None:
        return None
    return interval_agreement(group_probability(probability, similar), similar.outcomes)


def interval_agreement(probability: float, outcomes: EventRate) -> Agreement:
    """Return whether a probability lies inside the interval of a rate, above or below it."""
    # What pages state of a probability beyond a limit, about that limit, stands for all beyond it.
    if outcomes.high < min(probability, page_probability(probability)):
        return "above"
    return "below" if outcomes.low > max(probability, page_probability(probability)) else "inside"


def group_probability(probability: float, similar: ProbabilityGroup) -> float:
    """Return the mean probability of a group, or in bundles without it the patient's own."""
    return probability if similar.mean_probability is None else similar.mean_probability


def is_unconfirmed(validation: Validation | None, probability: float | None) -> bool:
    """Return whether a model's held-out patients with a similar probability contradict it, as `agreement` says."""
    group = None if probability is None else similar_predictions(validation, probability)
    return agreement(probability, group) in {"above", "below"}


def unconfirmed_reason(sides: Sequence[Side]) -> str | None:
    """Return that the predictions of these sides are not confirmed; None of no side.

    A prediction is not confirmed if it lies outside the interval of the held-out patients with a similar one: whatever
    is computed from it contradicts what such patients had.
    """
    if not sides:
        return None
    verb = "predictions are" if len(sides) > 1 else "prediction is"
    return f"the {' and '.join(sides)} {verb} not confirmed for this patient"


def unconfirmed_change(
    model: Model, probability_before: float | None, probability_after: float | None, alternative: str
) -> str | None:
    """Return which of two predictions of a model is not confirmed; None where neither is contradicted.

    Parameters
    ----------
    model : Model
    probability_before, probability_after : float or None
        Predicted for the patient, and for `alternative`.
    alternative : str
        Such as "the changed measurements".
    """
    side = side_of(model.outcome)
    if is_unconfirmed(model.validation, probability_before):
        return unconfirmed_reason([side])
    if is_unconfirmed(model.validation, probability_after):
        return f"the {side} prediction with {alternative} is not confirmed by held-out patients"
    return None
