"""Shares of few patients, with exact intervals."""

from __future__ import annotations

from models.rates import ALPHA, exact_interval
from training.statistics.metrics import Estimate

SHARES = ("share", "95% low", "95% high", "95% one-sided upper")
"""Columns of shares, of rows as `rate_row` returns them."""


def exact_rate(events: int, n: int) -> Estimate:
    """Return a share with its exact two-sided 95% interval, `models.rates.exact_interval`; `n` is at least 1."""
    return Estimate(events / n, *exact_interval(events, n))


def one_sided_bound(n: int) -> float:
    """Return the rate that no event among `n` patients excludes at one-sided 5%, the exact form of the rule of three.

    References
    ----------
    Hanley and Lippman-Hand 1983, JAMA 249:1743-1745.
    """
    return float(1 - ALPHA ** (1 / n))


def rate_row(what: str, events: int, n: int) -> dict[str, str | int | float]:
    """Return a table's row of a share: what it is, counts, share and interval."""
    rate = exact_rate(events, n)
    row: dict[str, str | int | float] = {"rate of": what, "patients": events, "of": n}
    return row | {"share": rate.value, "95% low": rate.low, "95% high": rate.high}
