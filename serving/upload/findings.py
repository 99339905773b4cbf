"""What is asked beside the files, what is found in them, and what the served models know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from features.analytes import canonical_analyte
from features.columns import Column
from features.draft import is_analyte
from features.units import LOG2_UNITS, ImmuneUnit
from models.patient_input import TaxaUnit
from models.predict import ServedModel

Field = Literal["taxa", "taxonomy", "immune", "clinical"]
WHAT: Mapping[Field, str] = {
    "taxa": "a stool profile: taxa by samples, each taxon once, in one unit",
    "taxonomy": "the taxonomy that was made with a feature table",
    "immune": "a table of immune measurements: one draw of blood, each analyte once, with its unit",
    "clinical": "a clinical table: one row, a column for each field",
}


@dataclass(frozen=True)
class Form:
    """What is asked beside the files.

    Attributes
    ----------
    patient : str
        What the answer calls the patient.
    sample : str, optional
        The one to take of a stool table that holds several.
    profiler : str, optional
        What made the profile, where the file does not name it.
    taxa_unit : {'counts', 'proportions', 'percent'}, optional
        The profile's unit, where its numbers leave it open; contradicting them is a fault.
    immune_unit : str, optional
        The unit of the analytes of which the file states none.
    day, clock : float, str, optional
        When stool and blood were taken; a day in the blood's table goes before.
    """

    patient: str = "candidate"
    sample: str | None = None
    profiler: str | None = None
    taxa_unit: TaxaUnit | None = None
    immune_unit: ImmuneUnit | None = None
    day: float | None = None
    clock: str | None = None


@dataclass(frozen=True)
class Understood:
    """One thing that was understood.

    Attributes
    ----------
    about : str
        'file', 'encoding', 'sample', 'rank', 'unit', 'taxa', 'profiler', 'known', 'analyte' or 'clinical'.
    value : str
        What it is taken to be.
    note : str
        How that was told, or what the training patients had.
    file : str
        The file, as it was named.
    models : tuple of str
        For 'known': whose knowledge it is, as 'toxicity_any 3'.
    """

    about: str
    value: str
    note: str
    file: str
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """What was not understood, or what a model cannot make sense of.

    Attributes
    ----------
    kind : str
        Which fault it is, as 'swapped_unit'.
    severity : {'stops', 'warns'}
        Whether there is no request because of it.
    came, expected, advice : str
        What came, what was expected, and what to do.
    file, row, column : str, int, str, optional
        Where: the file as it was named, the line counted from 1, and the column's name.
    outcomes : tuple of str
        Whose models it concerns; empty where it concerns all.
    """

    kind: str
    severity: Literal["stops", "warns"]
    came: str
    expected: str
    advice: str
    file: str | None = None
    row: int | None = None
    column: str | None = None
    outcomes: tuple[str, ...] = ()


class Refused(Exception):
    """A file cannot be read any further, because of this fault."""

    def __init__(self, kind: str, came: str, expected: str, advice: str, **place: Any) -> None:
        super().__init__(came)
        self.fault = Fault(kind, "stops", came, expected, advice, **place)


class Range(NamedTuple):
    """The numbers that training patients had of an analyte, in `unit`, or of a clinical field."""

    unit: ImmuneUnit
    low: float
    high: float

    def holds(self, number: float) -> bool:
        """Tell whether a number lies within, but for rounding."""
        slack = 1e-6 * max(abs(self.low), abs(self.high))
        return self.low - slack <= number <= self.high + slack

    def __str__(self) -> str:
        return f"{self.low:.3g} to {self.high:.3g} in training"


class Known:
    """What the served models know between them.

    Parameters
    ----------
    models : mapping of str to sequence of ServedModel
        For each outcome its models, the best first.

    Attributes
    ----------
    served : list of ServedModel
    units : dict of str to str
        The unit in which each analyte is known, to the first model that knows it.
    """

    def __init__(self, models: Mapping[str, Sequence[ServedModel]]) -> None:
        self.served = [served for ranked in models.values() for served in ranked]
        self.units = {name: unit for served in reversed(self.served) for name, unit in served.model.units.items()}

    def names(self, block: str) -> set[str]:
        """Return the columns of a block that any model has ever seen."""
        return {name for served in self.served for name in served.model.encoder.names_.get(block, ())}

    def is_analyte(self, name: str) -> bool:
        """Tell whether a name is an analyte's, or else one that a model reads."""
        return is_analyte(name) or not self.units.keys().isdisjoint(
            {canonical_analyte(name), Column("immune", name, unit="log2_expression").name}
        )

    def ranges(self, block: str) -> dict[str, Range]:
        """Return the widest range of each column that any model reads, 'immune' in `units`."""
        found: dict[str, Range] = {}
        for model in (served.model for served in self.served):
            encoder = model.encoder
            ends = zip(encoder.features_, encoder.low_.tolist(), encoder.high_.tolist(), strict=True)
            for name, low, high in ((feature.name, low, high) for feature, low, high in ends if feature.block == block):
                unit: Any = model.units.get(name, "unstated")
                if block == "immune" and unit not in LOG2_UNITS:
                    low, high = 10**low, 10**high
                known = found.setdefault(name, Range(unit, low, high))
                if known.unit == unit:
                    found[name] = Range(unit, min(low, known.low), max(high, known.high))
        return found


@dataclass
class Told:
    """Form and models, and what has been found so far."""

    form: Form
    known: Known
    understood: list[Understood] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    samples: tuple[str, ...] = ()

    def say(self, about: str, value: str, note: str, file: str, models: Sequence[str] = ()) -> None:
        """Keep what was understood."""
        self.understood.append(Understood(about, value, note, file, tuple(models)))

    def stop(self, kind: str, came: str, expected: str, advice: str, **place: Any) -> None:
        """Keep a fault with which there is no request."""
        self.faults.append(Fault(kind, "stops", came, expected, advice, **place))

    def warn(self, kind: str, came: str, expected: str, advice: str, **place: Any) -> None:
        """Keep a fault in spite of which there is one."""
        self.faults.append(Fault(kind, "warns", came, expected, advice, **place))
