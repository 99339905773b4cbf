"""Shares of patients, each with its exact interval, and what became of patients with an answer like this one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from scipy.special import betaincinv

ALPHA = 0.05


@lru_cache(maxsize=2**12)
def exact_interval(events: int, patients: int) -> tuple[float, float]:
    """Return the exact two-sided 95% interval of a share; of no patients it is 0 to 1.

    References
    ----------
    Clopper and Pearson 1934, Biometrika 26:404-413.
    """
    others = patients - events
    low = betaincinv(events, others + 1, ALPHA / 2) if events else 0.0
    high = betaincinv(events + 1, others, 1 - ALPHA / 2) if others else 1.0
    return float(low), float(high)


def event_rate(events: int, patients: int) -> dict[str, Any]:
    """Return `patients`, `events`, `rate` (None of no patients) and the exact interval, `low` and `high`."""
    low, high = exact_interval(events, patients)
    share = events / patients if patients else None
    return {"patients": patients, "events": events, "rate": share, "low": low, "high": high}


def like(validation: Mapping[str, Any], probability: float) -> dict[str, Any] | None:
    """Return the left-out patients whose answers were like this one, and how many had the outcome.

    Parameters
    ----------
    validation : mapping
        A model's; `training.evidence.aggregates.by_answer` makes the groups.
    probability : float
        In [0, 1].

    Returns
    -------
    dict or None
        `from` and `to`, the probabilities of the group (the upper end is the next group's, save 1), and a `rate`. None
        where there were too few patients for any group, or the bundle is older than this.
    """
    groups: list[dict[str, Any]] = validation.get("by_answer", [])
    return next((group for group in reversed(groups) if probability >= group["from"]), None)
