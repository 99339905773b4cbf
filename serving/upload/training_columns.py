"""What the served models were trained on: their columns, units and ranges, with which an upload is compared."""

from __future__ import annotations

from typing import NamedTuple, cast

from features.analytes import canonical_analyte, is_known_analyte
from features.columns import Column
from features.units import LOG2_UNITS, ImmuneUnit
from models.bundle import Model
from models.predict import ModelsByOutcome, every_model
from serving.number_text import significant


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
        return f"{significant(self.low)} to {significant(self.high)} in the training patients"


class TrainingColumns:
    """The columns of all served models: plain data, which another process can hold without the models.

    Parameters
    ----------
    models : ModelsByOutcome

    Attributes
    ----------
    units : dict of str to str
        Unit of each analyte, in the first model that reads it.
    profilers : frozenset of str
        Profilers of the training cohorts.
    models_by_taxa : dict of tuple of str to list of str
        The models, such as "toxicity_any 3", that have the same taxa.
    """

    def __init__(self, models: ModelsByOutcome) -> None:
        served_models = every_model(models)
        self.units = {name: unit for served in reversed(served_models) for name, unit in served.model.units.items()}
        self.profilers = frozenset(profiler for served in served_models for profiler in served.model.profilers)
        self.models_by_taxa: dict[tuple[str, ...], list[str]] = {}
        self._names: dict[str, set[str]] = {}
        self._ranges: dict[str, dict[str, TrainingRange]] = {}
        for served in served_models:
            for block, names in served.model.encoder.names_.items():
                self._names.setdefault(block, set()).update(names)
            if taxa := served.model.encoder.names_.get("taxa"):
                self.models_by_taxa.setdefault(taxa, []).append(f"{served.name} {served.version}")
            self._widen_ranges(served.model)

    def names(self, block: str) -> set[str]:
        """Return the columns of a block that occur in the training cohorts of any model."""
        return self._names.get(block, set())

    def is_analyte(self, name: str) -> bool:
        """Return whether a name is a known analyte, or one that a model reads."""
        transcript = Column("immune", name, unit="log2_expression").name
        return is_known_analyte(name) or not self.units.keys().isdisjoint({canonical_analyte(name), transcript})

    def ranges(self, block: str) -> dict[str, TrainingRange]:
        """Return the range of each column that a model reads, over all models; of "immune" in `units`."""
        return self._ranges.get(block, {})

    def _widen_ranges(self, model: Model) -> None:
        encoder = model.encoder
        for feature, low, high in zip(encoder.features_, encoder.low_.tolist(), encoder.high_.tolist(), strict=True):
            ranges = self._ranges.setdefault(feature.block, {})
            unit = cast(ImmuneUnit, model.units.get(feature.name, "unstated"))
            if feature.block == "immune" and unit not in LOG2_UNITS:
                low, high = 10**low, 10**high
            widest = ranges.setdefault(feature.name, TrainingRange(unit, low, high))
            if widest.unit == unit:
                ranges[feature.name] = TrainingRange(unit, min(low, widest.low), max(high, widest.high))
