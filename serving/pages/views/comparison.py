"""The numbers that bear on one outcome, side by side: each answers another question, and is labelled with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.confirmation import Agreement, agreement, interval_agreement, page_probability
from models.evidence import EventRate, OutcomeRates, ProbabilityGroup
from models.prediction import NearestOutcomes, Prediction
from models.rates import event_rate
from serving.number_text import distinct_digits

Source = Literal["model", "held-out patients", "nearest patients", "training patients"]


@dataclass(frozen=True)
class ComparedRate:
    """One number of the comparison.

    Attributes
    ----------
    source : Source
    rate : float
        The model's probability, or the share of the patients who had the outcome.
    low, high : float or None
        Exact 95% interval of the share; None for the model, whose Venn-Abers range is fitted apart from its probability
        and need not hold it, so that a reader would take the two for a contradiction.
    outcomes : EventRate or None
        The patients who were counted; None for the model.
    """

    source: Source
    rate: float
    low: float | None
    high: float | None
    outcomes: EventRate | None


@dataclass(frozen=True)
class NearestCaution:
    """The nearest training patients, whose interval does not contain the prediction.

    Attributes
    ----------
    outcomes : EventRate
    agreement : Agreement
        Where the prediction lies: above or below.
    digits : int
        Decimals with which its percent lies outside the interval also when rounded.
    """

    outcomes: EventRate
    agreement: Agreement
    digits: int


@dataclass(frozen=True)
class Comparison:
    """The numbers that bear on one outcome.

    Attributes
    ----------
    rates : tuple of ComparedRate
        The model's probability first.
    agreement : Agreement or None
        Whether the mean probability of the held-out patients with a similar one lies inside the interval of their rate,
        above or below it; None where there are no such patients.
    nearest_caution : NearestCaution or None
        None where the interval of the nearest training patients contains the probability, or there are none.
    """

    rates: tuple[ComparedRate, ...]
    agreement: Agreement | None
    nearest_caution: NearestCaution | None


def compare(
    prediction: Prediction,
    similar: ProbabilityGroup | None,
    nearest: NearestOutcomes | None,
    rates: OutcomeRates | None,
) -> Comparison | None:
    """Return the comparison of a prediction with the outcomes of patients; None where the model abstains.

    Parameters
    ----------
    prediction : Prediction
    similar : ProbabilityGroup, optional
        The held-out patients with a similar probability.
    nearest : NearestOutcomes, optional
        Outcomes of the training patients with the nearest profiles.
    rates : OutcomeRates, optional
        Outcomes of the training patients.
    """
    probability = prediction.probability
    if probability is None:
        return None
    evidence = prediction.evidence
    training = rates.overall if rates else event_rate(evidence.events, evidence.patients)
    nearest_outcomes = event_rate(nearest.events, nearest.patients) if nearest else None
    outcomes_by_source: list[tuple[Source, EventRate | None]] = [
        ("held-out patients", similar.outcomes if similar else None),
        ("nearest patients", nearest_outcomes),
        ("training patients", training),
    ]
    shares = [
        ComparedRate(source, outcomes.rate, outcomes.low, outcomes.high, outcomes)
        for source, outcomes in outcomes_by_source
        if outcomes is not None and outcomes.rate is not None
    ]
    model = ComparedRate("model", page_probability(probability), None, None, None)
    caution = _nearest_caution(probability, nearest_outcomes)
    return Comparison((model, *shares), agreement(probability, similar), caution)


def _nearest_caution(probability: float, outcomes: EventRate | None) -> NearestCaution | None:
    if outcomes is None or (place := interval_agreement(probability, outcomes)) == "inside":
        return None
    edge = outcomes.high if place == "above" else outcomes.low
    return NearestCaution(outcomes, place, distinct_digits(page_probability(probability), edge))
