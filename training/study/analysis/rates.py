"""Rates of few patients, with exact intervals."""

from __future__ import annotations

from dataclasses import dataclass

from models.rates import INTERVAL_ALPHA, exact_interval
from training.statistics.interval_estimate import IntervalEstimate


@dataclass(frozen=True)
class ExactRate(IntervalEstimate):
    """The share of patients with an event, with its exact two-sided 95% interval.

    Attributes
    ----------
    events, n : int
        Patients with the event, and all patients.
    """

    events: int
    n: int


def exact_rate(events: int, n: int) -> ExactRate:
    """Return a rate with its Clopper-Pearson interval, `models.rates.exact_interval`; `n` is at least 1."""
    return ExactRate(events / n, *exact_interval(events, n), events, n)


def one_sided_bound(n: int) -> float:
    """Return the rate that no event among `n` patients excludes at one-sided 5%, the exact form of the rule of three.

    References
    ----------
    Hanley and Lippman-Hand 1983, JAMA 249:1743-1745.
    """
    return float(1 - INTERVAL_ALPHA ** (1 / n))
