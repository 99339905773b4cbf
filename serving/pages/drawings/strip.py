"""The strip: one measurement of a patient among the quantiles of the training patients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from models.evidence import NumericDistribution, TaxonDistribution

Level = Literal["high", "low", "usual"]
"""Where a measurement lies: outside the middle half of the training patients, or inside it."""


@dataclass(frozen=True)
class Strip:
    """Positions along the strip, as shares of its width.

    Attributes
    ----------
    low, q25, median, q75, high : float
        Lowest, 25%, 50%, 75% and highest reported quantile of the training patients.
    value : float or None
        The patient's measurement; None where it is missing or cannot be drawn.
    typical : float
        Median of the training patients, in the unit of the measurement.
    prevalence : float or None
        Share of training patients in whom a taxon was detected; None for other measurements.
    """

    low: float
    q25: float
    median: float
    q75: float
    high: float
    value: float | None
    typical: float
    prevalence: float | None

    @property
    def level(self) -> Level | None:
        """Where the value lies beside the middle half of the training patients; None without a value."""
        if self.value is None:
            return None
        return "high" if self.value > self.q75 else "low" if self.value < self.q25 else "usual"


def training_strip(
    distribution: NumericDistribution | TaxonDistribution | None, value: float | None, *, logarithmic: bool
) -> Strip | None:
    """Place a measurement among the training patients.

    Parameters
    ----------
    distribution : NumericDistribution or TaxonDistribution, optional
        Training distribution of the column.
    value : float, optional
        The patient's measurement.
    logarithmic : bool
        Whether the strip is logarithmic, as for proportions and concentrations, which span orders of magnitude.

    Returns
    -------
    Strip or None
        None where the training quartiles are not reported, or are 0 on a logarithmic strip.
    """
    if distribution is None:
        return None
    quantiles = {percent: number for percent, number in (distribution.quantiles or {}).items() if number is not None}
    if not {25, 50, 75} <= quantiles.keys() or (logarithmic and min(quantiles.values()) <= 0):
        return None

    def scale(number: float) -> float:
        return math.log10(number) if logarithmic else number

    scaled = {percent: scale(number) for percent, number in quantiles.items()}
    scaled_value = None if value is None or (logarithmic and value <= 0) else scale(value)
    ends = [*scaled.values(), *([] if scaled_value is None else [scaled_value])]
    start, width = min(ends), (max(ends) - min(ends)) or 1.0

    def position(number: float) -> float:
        return (number - start) / width

    return Strip(
        low=position(min(scaled.values())),
        q25=position(scaled[25]),
        median=position(scaled[50]),
        q75=position(scaled[75]),
        high=position(max(scaled.values())),
        value=None if scaled_value is None else position(scaled_value),
        typical=quantiles[50],
        prevalence=distribution.prevalence if isinstance(distribution, TaxonDistribution) else None,
    )
