"""A number with its interval, as the statistics return it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import norm

from models.evidence import Estimate

Z = float(norm.ppf(0.975))
"""Standard errors from an estimate to the ends of its normal 95% interval."""


@dataclass(frozen=True)
class IntervalEstimate:
    """A number with its 95% interval; NaN where it cannot be computed.

    `models.evidence.Estimate` is the form in which a bundle stores one: finite or None.
    """

    value: float
    low: float
    high: float


def wald_interval(value: float, error: float) -> IntervalEstimate:
    """Return an estimate with its normal 95% interval, from its standard error."""
    return IntervalEstimate(value, value - Z * error, value + Z * error)


def interval_metrics(estimates: Mapping[str, Estimate | IntervalEstimate]) -> dict[str, float | None]:
    """Return each estimate and the ends of its interval as three metrics, which the MLflow UI shows in this order."""
    metrics = dict[str, float | None]()
    for name, estimate in estimates.items():
        metrics |= {name: estimate.value, f"{name}_lower": estimate.low, f"{name}_upper": estimate.high}
    return metrics
