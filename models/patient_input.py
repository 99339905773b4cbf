"""A candidate patient, as a clinic describes one, and the numbers a model reads from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.analytes import (
    LOG2_UNITS,
    CensoredPolicy,
    ImmuneUnit,
    MeasuredValue,
    canonical_analyte,
    convert,
    measurement_kind,
    resolve_censored,
)
from features.errors import InputError, UnitError
from features.taxon_names import canonical_name
from models.encoder import BlockEncoder, absent

Unit = Literal["counts", "proportions", "percent"]
# Every profile brings the same few hundred names; taking each apart anew would cost more than the prediction.
_canonical_name = lru_cache(maxsize=2**14)(canonical_name)
LARGEST = 1e15
"""No abundance, measurement or clinical value is larger; XGBoost's float32 would make infinity of much more."""
WHOLE: Mapping[str, float] = {"proportions": 1.0, "percent": 100.0}
"""What a profile of each unit sums to; counts have no such sum."""


@dataclass(frozen=True)
class StoolProfile:
    """One stool sample.

    Attributes
    ----------
    values : mapping of str to float
        Abundance by taxon, in `unit`.
    unit : {"counts", "proportions", "percent"}
    profiler : str or None
        What made the profile, such as `mpa_vOct22_CHOCOPhlAnSGB_202212`.
    day, clock : float or None, str or None
        When the stool was taken, and on which clock.
    """

    values: Mapping[str, float]
    unit: Unit
    profiler: str | None = None
    day: float | None = None
    clock: str | None = None


@dataclass(frozen=True)
class Measurement:
    """One immune measurement.

    Attributes
    ----------
    analyte : str
        Any name of it that `features.analytes` knows.
    reading : Reading
        Its value, or how it is censored.
    unit : str
    day : float or None
    """

    analyte: str
    reading: MeasuredValue
    unit: ImmuneUnit
    day: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A patient to answer for; what is not known is left out."""

    clinical: Mapping[str, float | str | bool | None] = field(default_factory=dict)
    taxa: StoolProfile | None = None
    immune: tuple[Measurement, ...] = ()


@dataclass(frozen=True)
class ModelInput:
    """What a model took in of a candidate.

    Attributes
    ----------
    values : dict of str to ndarray, (1, n_names)
        Each block in the encoder's order, before encoding.
    recognised : float or None
        Share of the profile's abundance that lies in taxa the model has seen.
    unused : tuple of str
        Names that had no effect: the model never saw them, or does not use them.
    used : dict of str to dict of str to int
        Each block's columns that the model uses, with their positions.
    """

    values: dict[str, NDArray[np.float64]]
    recognised: float | None
    unused: tuple[str, ...]
    used: dict[str, dict[str, int]]

    def measured(self, block: str) -> NDArray[np.bool_]:
        """Tell which of the columns that the model uses of a block the candidate has, (n_used,)."""
        values = self.values[block][0, list(self.used[block].values())]
        found: NDArray[np.bool_] = values > 0 if block == "taxa" else ~np.isnan(values)
        return found


def closed_proportions(profile: StoolProfile) -> dict[str, float]:
    """Return a profile's proportions by canonical name, closed to 1.

    Raises
    ------
    InputError
        A negative or infinite abundance, nothing found at all, two names of one taxon, or sums that contradict the
        unit.
    """
    found: dict[str, float] = {}
    for name, value in profile.values.items():
        if not 0 <= value <= LARGEST:
            raise InputError(f"taxa.values[{name!r}]: an abundance is a number from 0 to {LARGEST:g}, got {value}")
        canonical = _canonical_name(name)
        if canonical in found:
            raise InputError(f"taxa.values: {name!r} and another name both mean {canonical}; send each taxon once")
        found[canonical] = value
    total = math.fsum(found.values())
    if total <= 0:
        raise InputError("taxa.values: nothing was found in this profile; leave 'taxa' out if there is no stool sample")
    if profile.unit == "counts" and any(value != int(value) for value in found.values()):
        raise InputError("taxa.values: counts are whole numbers; send unit 'percent' or 'proportions' for these")
    whole = WHOLE.get(profile.unit)
    if whole is not None and total > whole * 1.02:
        advice = "; they read as percent" if profile.unit == "proportions" and total <= 102 else ""
        raise InputError(
            f"taxa.values sum to {total:.6g}, which is more than {profile.unit} can ({whole:g}){advice}; "
            "send one rank only, and the unit they are in"
        )
    if profile.unit == "percent" and total <= 1.02 and len(found) > 1:
        raise InputError(f"taxa.values sum to {total:.6g}: they read as proportions; send unit 'proportions'")
    return {name: value / total for name, value in found.items()}


def to_model_input(candidate: Candidate, encoder: BlockEncoder, units: Mapping[str, str]) -> ModelInput:
    """Return what a model's encoder takes in of a candidate.

    Parameters
    ----------
    candidate : Candidate
    encoder : BlockEncoder
        Fitted.
    units : mapping of str to str
        The unit in which the model knows each immune measurement.

    Raises
    ------
    InputError
        A value cannot be read as what it is said to be.
    """
    given: dict[str, dict[str, float]] = {
        "taxa": closed_proportions(candidate.taxa) if candidate.taxa else {},
        "immune": _immune(candidate.immune, units, encoder.censored),
        "clinical": _clinical(candidate.clinical, encoder.names_.get("clinical", ())),
    }
    values: dict[str, NDArray[np.float64]] = {}
    unused: list[str] = []
    for block, known in given.items():
        used, positions = encoder.used_.get(block, {}), encoder.positions_.get(block)
        unused += [name for name in known if name not in used]
        if positions is not None:
            # A profile lists fewer taxa than a model knows: the shorter of the two is walked through.
            row = np.full((1, len(positions)), absent(block))
            seen = [name for name in known if name in positions]
            row[0, [positions[name] for name in seen]] = [known[name] for name in seen]
            values[block] = row
    recognised = float(values["taxa"].sum()) if candidate.taxa and "taxa" in values else None
    return ModelInput(values, recognised, tuple(unused), encoder.used_)


def _immune(
    measurements: tuple[Measurement, ...], units: Mapping[str, str], policy: CensoredPolicy
) -> dict[str, float]:
    found: dict[str, float] = {}
    for measurement in measurements:
        expression = measurement_kind(measurement.unit) == "expression"
        name = f"{measurement.analyte} mRNA" if expression else canonical_analyte(measurement.analyte)
        if name in found:
            raise InputError(f"immune: {name} is given twice; send one value of each analyte")
        value, side, limit = measurement.reading
        number = float(resolve_censored(value, side, limit, policy=policy, unit=measurement.unit))
        lowest = -LARGEST if measurement.unit in LOG2_UNITS else 0.0
        if math.isfinite(number) and not lowest <= number <= LARGEST:
            raise InputError(f"immune: {name} is from {lowest:g} to {LARGEST:g} in {measurement.unit}, got {number:g}")
        unit = units.get(name)
        if unit is not None and unit != measurement.unit:
            try:
                number = float(convert(np.array(number), measurement.unit, unit))  # type: ignore[arg-type]
            except UnitError as error:
                raise UnitError(f"immune: {name} is known in {unit}: {error}") from error
        found[name] = number
    return found


def _clinical(fields: Mapping[str, float | str | bool | None], names: tuple[str, ...]) -> dict[str, float]:
    levels: dict[str, list[str]] = {}
    for name in names:
        column, _, level = name.partition("=")
        levels.setdefault(column, []).extend([level] if level else [])
    found: dict[str, float] = {}
    for column, value in fields.items():
        if value is None:
            continue
        if levels.get(column):
            if value not in levels[column]:
                raise InputError(f"patient.{column}: expected one of {', '.join(levels[column])}, got {value!r}")
            found |= {f"{column}={level}": float(value == level) for level in levels[column]}
        elif column in levels and isinstance(value, str):
            raise InputError(f"patient.{column}: expected a number, or true or false, got {value!r}")
        elif isinstance(value, str):
            found[column] = math.nan
        elif not abs(value) <= LARGEST:
            raise InputError(f"patient.{column}: expected a number of at most {LARGEST:g} in size, got {value}")
        else:
            found[column] = float(value)
    return found
