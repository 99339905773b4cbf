"""Event rates with exact intervals, and the outcomes of held-out patients with a similar probability."""

from __future__ import annotations

from functools import lru_cache

from scipy.special import betaincinv

from models.evidence import EventRate, ProbabilityGroup, Validation

INTERVAL_ALPHA = 0.05
"""One minus the confidence level of the intervals."""


@lru_cache(maxsize=2**12)
def exact_interval(events: int, patients: int, alpha: float = INTERVAL_ALPHA) -> tuple[float, float]:
    """Return the exact two-sided confidence interval of a proportion, at 95% by default; 0 to 1 for no patients.

    References
    ----------
    Clopper and Pearson 1934, Biometrika 26:404-413.
    """
    without_event = patients - events
    low = betaincinv(events, without_event + 1, alpha / 2) if events else 0.0
    high = betaincinv(events + 1, without_event, 1 - alpha / 2) if without_event else 1.0
    return float(low), float(high)


def event_rate(events: int, patients: int) -> EventRate:
    """Return the share of patients who had an outcome, with its exact interval."""
    low, high = exact_interval(events, patients)
    return EventRate(patients, events, events / patients if patients else None, low, high)


def similar_predictions(validation: Validation | None, probability: float) -> ProbabilityGroup | None:
    """Return the group of held-out patients whose predicted probabilities were close to this one.

    Parameters
    ----------
    validation : Validation or None
        Validation record of the model.
    probability : float
        In [0, 1].

    Returns
    -------
    ProbabilityGroup or None
        None where the record has no groups: too few patients, or an older bundle.
    """
    groups = validation.outcomes_by_probability if validation else ()
    return next((group for group in reversed(groups) if probability >= group.probability_from), None)
