"""What the served models were trained on: their columns, units and ranges, with which an upload is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from features.analytes import canonical_analyte, is_known_analyte
from features.columns import Column
from features.units import LOG2_UNITS, ImmuneUnit
from models.predict import ServedModel


class TrainingRange(NamedTuple):
    """Range of an analyte, in `unit`, or of a clinical field among the training patients."""

    unit: ImmuneUnit
    low: float
    high: float

    def contains(self, number: float) -> bool:
        """Return whether a number lies in the range, up to rounding."""
        slack = 1e-6 * max(abs(self.low), abs(self.high))
        return self.low - slack <= number <= self.high + slack

    def __str__(self) -> str:
        return f"{self.low:.3g} to {self.high:.3g} in the training patients"


class TrainingColumns:
    """The columns of all served models.

    Parameters
    ----------
    models : mapping of str to sequence of ServedModel
        Models of each outcome, best first.

    Attributes
    ----------
    served : list of ServedModel
    units : dict of str to str
        Unit of each analyte, in the first model that reads it.
    """

    def __init__(self, models: Mapping[str, Sequence[ServedModel]]) -> None:
        self.served = [served for ranked in models.values() for served in ranked]
        self.units = {name: unit for served in reversed(self.served) for name, unit in served.model.units.items()}

    def names(self, block: str) -> set[str]:
        """Return the columns of a block that occur in the training cohorts of any model."""
        return {name for served in self.served for name in served.model.encoder.names_.get(block, ())}

    def is_analyte(self, name: str) -> bool:
        """Return whether a name is a known analyte, or one that a model reads."""
        transcript = Column("immune", name, unit="log2_expression").name
        return is_known_analyte(name) or not self.units.keys().isdisjoint({canonical_analyte(name), transcript})

    def ranges(self, block: str) -> dict[str, TrainingRange]:
        """Return the range of each column that a model reads, over all models; of "immune" in `units`."""
        ranges: dict[str, TrainingRange] = {}
        for model in (served.model for served in self.served):
            encoder = model.encoder
            rows = zip(encoder.features_, encoder.low_.tolist(), encoder.high_.tolist(), strict=True)
            for name, low, high in ((feature.name, low, high) for feature, low, high in rows if feature.block == block):
                unit = cast(ImmuneUnit, model.units.get(name, "unstated"))
                if block == "immune" and unit not in LOG2_UNITS:
                    low, high = 10**low, 10**high
                widest = ranges.setdefault(name, TrainingRange(unit, low, high))
                if widest.unit == unit:
                    ranges[name] = TrainingRange(unit, min(low, widest.low), max(high, widest.high))
        return ranges
