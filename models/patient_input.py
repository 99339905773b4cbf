"""A candidate patient as a clinic describes them, and the numbers that a model reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from features.analytes import immune_column
from features.arrays import Mask, Matrix, Positions
from features.columns import Column, levels_by_field
from features.errors import InputError, UnitError
from features.landmark import DEFAULT_WINDOW
from features.measured_values import CensoredPolicy, MeasuredValue, parse_value, resolve_censored
from features.non_taxa import non_microbe, unexplained
from features.over_time import DatedLevel, over_time_numbers
from features.population import NOT_REPORTED, Population
from features.taxon_names import canonical_name, lineage_of
from features.units import LOG2_UNITS, ImmuneUnit, TaxaUnit, convert
from models.encoder import BlockEncoder, missing_value

LARGEST = 1e15
"""Largest abundance, measurement or clinical value accepted; XGBoost's float32 turns much larger ones into infinity."""
MAX_NAME = 500
"""Characters of the longest name, id or word in a request or a file."""
PROFILE_TOTAL: Mapping[str, float] = {"proportions": 1.0, "percent": 100.0}
"""Sum of a complete profile in each unit; counts have no fixed sum."""


@dataclass(frozen=True)
class StoolProfile:
    """One stool sample.

    Attributes
    ----------
    values : mapping of str to float
        Abundance by taxon, in `unit`.
    unit : {"counts", "proportions", "percent"}
    profiler : str or None
        Profiler with the version of its database, such as `mpa_vOct22_CHOCOPhlAnSGB_202212`.
    day, clock : float or None, str or None
        Day of the sample, and the clock on which it is counted.
    """

    values: Mapping[str, float]
    unit: TaxaUnit
    profiler: str | None = None
    day: float | None = None
    clock: str | None = None


@dataclass(frozen=True)
class Measurement:
    """One immune measurement.

    Attributes
    ----------
    analyte : str
        Any name that `features.analytes` knows.
    reading : MeasuredValue
        The value, or the limit beyond which it is censored.
    unit : ImmuneUnit
    day : float or None
    """

    analyte: str
    reading: MeasuredValue
    unit: ImmuneUnit
    day: float | None = None


def measured_value(value: float | str | None, unit: ImmuneUnit, place: str) -> MeasuredValue:
    """Return an immune value as a request or a file of candidates states it.

    Parameters
    ----------
    value : float, str or None
        As `features.measured_values.parse_value` takes it.
    unit : ImmuneUnit
    place : str
        Of the value, for errors.

    Raises
    ------
    InputError
        The value cannot be read, or is larger than any measurement.
    """
    try:
        reading = parse_value(value, unit=unit)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    if any(abs(number) > LARGEST for number in (reading.value, reading.limit)):
        raise InputError(f"{place}: got {value!r}; no measurement is larger than {LARGEST:g}: check the unit")
    return reading


@dataclass(frozen=True)
class Candidate:
    """A patient to predict for.

    Attributes
    ----------
    clinical : mapping of str to float, str, bool or None
        Clinical columns; an unknown one is omitted, or None.
    taxa : StoolProfile or None
    immune : tuple of Measurement
        Each analyte once, or once a day. A model's immune block reads the undated value, else that by its landmark
        nearest to the stool sample, else the first; its block over time reads all dated values by the landmark.
    population : Population
        Tumour type, line of treatment and class of drugs.
    donor : mapping of str to float
        Donor features (`features.donor_features`) by name.
    over_time : mapping of str to float
        Features over time (`features.over_time`) by name, where they are already computed, as in a feature table;
        else a model computes them from dated measurements: from `serial`, or from `immune` where that is empty.
    serial : tuple of Measurement
        Dated measurements that only the block over time reads, where `immune` holds those of one draw.
    day : float or None
        Day of the last visit; by default that of the last dated measurement.
    earlier : tuple of EarlierVisit
        Visits before the present one, which models of an earlier landmark read.
    """

    clinical: Mapping[str, float | str | bool | None] = field(default_factory=dict)
    taxa: StoolProfile | None = None
    immune: tuple[Measurement, ...] = ()
    population: Population = NOT_REPORTED
    donor: Mapping[str, float] = field(default_factory=dict)
    over_time: Mapping[str, float] = field(default_factory=dict)
    serial: tuple[Measurement, ...] = ()
    day: float | None = None
    earlier: tuple[EarlierVisit, ...] = ()


@dataclass(frozen=True)
class EarlierVisit:
    """A patient as measured by an earlier day.

    Attributes
    ----------
    day : float
        The last day of which it holds measurements.
    candidate : Candidate
        The measurements by then, without earlier visits.
    """

    day: float
    candidate: Candidate


class _Draw(NamedTuple):
    """One marker in one draw: its number and reading in the model's unit, where the model has one."""

    day: float | None
    number: float
    unit: ImmuneUnit
    reading: MeasuredValue


@dataclass(frozen=True)
class ModelInput:
    """What a model reads of a candidate.

    Attributes
    ----------
    values : dict of str to ndarray, (1, n_names)
        Measurements of each block in the encoder's column order, before encoding.
    recognised : float or None
        Share of the profile's abundance in taxa that occur in the training cohorts.
    unused : tuple of str
        Names without effect: absent from the training cohorts, or known there and not used by the model.
    columns : dict of str to dict of str to int
        Columns of each block that the model uses, with their positions.
    positions : dict of str to ndarray of int
        The same positions as arrays.
    readings : dict of str to MeasuredValue
        Immune measurements that are censored or extrapolated, by name, in the model's unit.
    """

    values: dict[str, Matrix]
    recognised: float | None
    unused: tuple[str, ...]
    columns: dict[str, dict[str, int]]
    positions: dict[str, Positions]
    readings: dict[str, MeasuredValue] = field(default_factory=dict)

    def is_measured(self, block: str) -> Mask:
        """Return the mask of a block's used columns with a value other than zero or missing, (n_used,).

        Of taxa, those detected: one that a profile lacks was measured as 0.
        """
        values = self.values[block][0, self.positions[block]]
        mask: Mask = values > 0 if block == "taxa" else ~np.isnan(values)
        return mask


def closed_proportions(profile: StoolProfile) -> dict[str, float]:
    """Return a profile's proportions by canonical taxon name, closed to 1.

    As in training, what is of no microbe (UNCLASSIFIED, organelles, hosts) is no part of the whole.

    Raises
    ------
    InputError
        An abundance is negative or too large, no microbe was detected, two names mean one taxon, or the sum contradicts
        the unit.
    """
    abundances: dict[str, float] = {}
    microbes: dict[str, float] = {}
    for name, value in profile.values.items():
        if not 0 <= value <= LARGEST:
            raise InputError(f"taxa.values[{name!r}]: expected an abundance from 0 to {LARGEST:g}, got {value}")
        canonical, is_microbe = _taxon(name)
        if canonical in abundances:
            raise InputError(f"taxa.values: {name!r} and another name both mean {canonical}; send each taxon once")
        abundances[canonical] = value
        if is_microbe:
            microbes[canonical] = value
    total = math.fsum(abundances.values())
    if total <= 0:
        raise InputError("taxa.values: no taxon has an abundance above 0; omit 'taxa' if there is no stool sample")
    if profile.unit == "counts" and any(value != int(value) for value in abundances.values()):
        raise InputError("taxa.values: counts are whole numbers; send unit 'percent' or 'proportions' for these values")
    complete = PROFILE_TOTAL.get(profile.unit)
    if complete is not None and total > complete * 1.02:
        advice = "; they look like percent" if profile.unit == "proportions" and total <= 102 else ""
        raise InputError(
            f"taxa.values sum to {total:.6g}, but {profile.unit} sum to at most {complete:g}{advice}; "
            "send taxa of one rank only, in the unit that you name"
        )
    if profile.unit == "percent" and total <= 1.02 and len(abundances) > 1:
        raise InputError(f"taxa.values sum to {total:.6g}: they look like proportions; send unit 'proportions'")
    microbial_total = math.fsum(microbes.values())
    if microbial_total <= 0:
        raise InputError("taxa.values: no microbe has an abundance above 0, only what is unassigned, or of hosts")
    return {name: value / microbial_total for name, value in microbes.items()}


class _Taxon(NamedTuple):
    """What a name in a profile means."""

    canonical: str
    is_microbe: bool


# Every profile contains the same few hundred names; parsing each of them again would cost more than the prediction.
@lru_cache(maxsize=2**14)
def _taxon(name: str) -> _Taxon:
    return _Taxon(canonical_name(name), not unexplained(name) and non_microbe(lineage_of(name)) is None)


def to_model_input(
    candidate: Candidate,
    encoder: BlockEncoder,
    units: Mapping[str, str],
    landmark: float = 0.0,
    window: float = DEFAULT_WINDOW,
) -> ModelInput:
    """Return what a model's encoder reads of a candidate.

    Parameters
    ----------
    candidate : Candidate
    encoder : BlockEncoder
        Fitted.
    units : mapping of str to str
        Unit of each immune measurement in the model.
    landmark, window : float
        Last day whose blood the model reads, and for how many days before it draws count for its block over time.

    Raises
    ------
    InputError
        A value is invalid: see `closed_proportions`, or its unit, level or type is not the model's.
    """
    draws = _draws(candidate.immune, units, encoder.censored)
    stool_day = candidate.taxa.day if candidate.taxa is not None else None
    immune = {name: _current(levels, landmark, stool_day) for name, levels in draws.items()}
    numbers: dict[str, dict[str, float]] = {
        "taxa": closed_proportions(candidate.taxa) if candidate.taxa else {},
        "immune": {name: draw.number for name, draw in immune.items()},
        "clinical": _clinical_numbers(candidate.clinical, encoder.names_.get("clinical", ())),
        "donor": dict(candidate.donor),
        "over_time": dict(candidate.over_time),
    }
    if "over_time" in encoder.blocks:
        serial = _draws(candidate.serial, units, encoder.censored) if candidate.serial else draws
        numbers["over_time"] |= _over_time(serial, landmark, window)
    values: dict[str, Matrix] = {}
    unused: list[str] = []
    for block, number_by_name in numbers.items():
        columns, positions = encoder.used_.get(block, {}), encoder.positions_.get(block)
        unused += [name for name in number_by_name if name not in columns]
        if positions is not None:
            # A profile names fewer taxa than a model: the loop runs over the shorter of the two.
            row = np.full((1, len(positions)), missing_value(block))
            for name, number in number_by_name.items():
                if (position := positions.get(name)) is not None:
                    row[0, position] = number
            values[block] = row
    recognised = float(values["taxa"].sum()) if candidate.taxa and "taxa" in values else None
    readings = {
        name: draw.reading for name, draw in immune.items() if draw.reading.censored or draw.reading.extrapolated
    }
    return ModelInput(values, recognised, tuple(unused), encoder.used_, encoder.used_positions_, readings)


def _draws(
    measurements: tuple[Measurement, ...], units: Mapping[str, str], policy: CensoredPolicy
) -> dict[str, list[_Draw]]:
    """Return each marker's draws, in the model's units.

    The number of a missing measurement is NaN, that of one beyond an unstated limit infinite.
    """
    draws: dict[str, list[_Draw]] = {}
    days_seen: set[tuple[str, float | None]] = set()
    for measurement in measurements:
        name = immune_column(measurement.analyte, measurement.unit).name
        if (name, measurement.day) in days_seen:
            date = "" if measurement.day is None else f" on day {measurement.day:g}"
            raise InputError(f"immune: there are two values of {name}{date}; send one value of each analyte and day")
        reading = measurement.reading
        number = float(
            resolve_censored(reading.value, reading.censored, reading.limit, policy=policy, unit=measurement.unit)
        )
        lowest = -LARGEST if measurement.unit in LOG2_UNITS else 0.0
        numbers_sent = (number, reading.value, reading.limit)
        if invalid := [sent for sent in numbers_sent if math.isfinite(sent) and not lowest <= sent <= LARGEST]:
            raise InputError(
                f"immune: expected {name} from {lowest:g} to {LARGEST:g} {measurement.unit}, got {invalid[0]:g}"
            )
        unit: ImmuneUnit = units.get(name, measurement.unit)  # type: ignore[assignment]
        if unit != measurement.unit:
            try:
                number, value, limit = map(float, convert(numbers_sent, measurement.unit, unit))
                reading = reading._replace(value=value, limit=limit)
            except UnitError as error:
                raise UnitError(f"immune: the model reads {name} in {unit}: {error}") from error
        days_seen.add((name, measurement.day))
        draws.setdefault(name, []).append(_Draw(measurement.day, number, unit, reading))
    return draws


def _current(draws: Sequence[_Draw], landmark: float, stool_day: float | None) -> _Draw:
    """Return the undated draw, else the one by the landmark that is nearest to the stool, else the first.

    The stool of a candidate whose stool is not dated counts as of the landmark, as the last draw does.
    """
    if (undated := next((draw for draw in draws if draw.day is None), None)) is not None:
        return undated
    ordered = sorted(((draw.day, draw) for draw in draws if draw.day is not None), key=lambda pair: pair[0])
    by_landmark = [pair for pair in ordered if pair[0] <= landmark] or ordered[:1]
    target = landmark if stool_day is None else stool_day
    return min(by_landmark, key=lambda pair: abs(pair[0] - target))[1]


def _over_time(draws: Mapping[str, Sequence[_Draw]], landmark: float, window: float) -> dict[str, float]:
    dated = {
        name: [DatedLevel(draw.day, draw.number) for draw in draws_of_marker if draw.day is not None]
        for name, draws_of_marker in draws.items()
    }
    units = {name: draws_of_marker[0].unit for name, draws_of_marker in draws.items()}
    return over_time_numbers(dated, units, landmark, window)


def _clinical_numbers(fields: Mapping[str, float | str | bool | None], names: tuple[str, ...]) -> dict[str, float]:
    """Return clinical values by column, a category as one indicator for each of its levels in `names`."""
    levels = levels_by_field(names)
    numbers: dict[str, float] = {}
    for column, value in fields.items():
        if value is None:
            continue
        if levels.get(column):
            if value not in levels[column]:
                raise InputError(f"patient.{column}: expected one of {', '.join(levels[column])}, got {value!r}")
            numbers |= {Column("clinical", column, level).name: float(value == level) for level in levels[column]}
        elif column in levels and isinstance(value, str):
            raise InputError(f"patient.{column}: expected a number, or true or false, got {value!r}")
        elif isinstance(value, str):
            numbers[column] = math.nan
        elif not abs(value) <= LARGEST:
            raise InputError(f"patient.{column}: expected a number from {-LARGEST:g} to {LARGEST:g}, got {value}")
        else:
            numbers[column] = float(value)
    return numbers
