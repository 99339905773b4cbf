"""Disclosure control: quantiles and counts that tell nothing of one patient.

Below `FEWEST` patients only counts are reported. A quantile is reported only where at least `FEWEST_BEYOND` values lie
at or below it and as many at or above, so that an extreme, which is one patient's own value, is withheld unless that
many share it. Quantiles are rounded, since a median may be one patient's value too.
"""

from __future__ import annotations

import numpy as np

from features.arrays import Vector

FEWEST = 20
FEWEST_BEYOND = 5
DIGITS = 3
"""Significant digits of a quantile."""
PERCENTAGES = (0, 5, 10, 25, 50, 75, 90, 95, 100)


def disclosed_quantiles(values: Vector, percentages: tuple[int, ...] = PERCENTAGES) -> dict[int, float | None] | None:
    """Return quantiles by percentage, None where withheld; None altogether below `FEWEST` values."""
    if len(values) < FEWEST:
        return None
    quantiles = np.quantile(values, np.divide(percentages, 100))
    n_below, n_above = (values[:, None] <= quantiles).sum(axis=0), (values[:, None] >= quantiles).sum(axis=0)
    disclosed = np.minimum(n_below, n_above) >= FEWEST_BEYOND
    return {
        percentage: float(f"{quantile:.{DIGITS}g}") if is_disclosed else None
        for percentage, quantile, is_disclosed in zip(percentages, quantiles.tolist(), disclosed.tolist(), strict=True)
    }
