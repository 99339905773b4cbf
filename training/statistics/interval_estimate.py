"""A number with its interval, as the statistics return it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IntervalEstimate:
    """A number with its 95% interval; NaN where it cannot be computed.

    `models.evidence.Estimate` is the form in which a bundle stores one: finite or None.
    """

    value: float
    low: float
    high: float
