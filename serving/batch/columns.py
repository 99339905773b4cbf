"""What the columns of a batch mean: measurements by block, fields of the patient and sample, and columns to return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import get_args

from features.columns import BLOCKS, Column
from features.errors import InputError
from features.population import POPULATION_FIELDS
from features.units import ImmuneUnit, parse_unit, split_name_and_unit
from models.predict import ServedModel
from serving.batch.files import Header
from serving.batch.writing import ANSWER_COLUMNS

PATIENT = "patient"
SAMPLE_FIELDS = ("cohort", "profiler", "taxa_unit", "sample_day", "draw_day", "clock", "landmark")
FIELDS = (PATIENT, *SAMPLE_FIELDS, *POPULATION_FIELDS)
"""Columns, other than measurements, that are read."""


@dataclass(frozen=True)
class ModelNames:
    """What the served models read, to tell a misnamed column and a category.

    Attributes
    ----------
    names : frozenset of str
        Names of measurements, in all blocks.
    categories : frozenset of str
        Clinical fields that have levels.
    """

    names: frozenset[str]
    categories: frozenset[str]


@dataclass(frozen=True)
class BatchColumns:
    """The columns of a batch, by position.

    Attributes
    ----------
    header : Header
    measurements : dict of int to Column
        Those of a block; an immune one has its unit.
    fields : dict of str to int
        Position of each of `FIELDS` that is there.
    returned : tuple of int
        Those that are no measurements, which the answer returns as they came.
    categories : frozenset of str
        Clinical fields that have levels.
    """

    header: Header
    measurements: dict[int, Column]
    fields: dict[str, int]
    returned: tuple[int, ...]
    categories: frozenset[str]


def names_of(models: Iterable[ServedModel]) -> ModelNames:
    """Return what models read."""
    names, categories = set(), set()
    for served in models:
        for block, block_names in served.model.encoder.names_.items():
            for column in (Column.from_name(block, name) for name in block_names):
                names.add(column.field)
                if column.level:
                    categories.add(column.field)
    return ModelNames(frozenset(names), frozenset(categories))


def read_columns(
    header: Header, model_names: ModelNames, default_units: Mapping[str, str] | None = None
) -> BatchColumns:
    """Return what the columns of a header mean.

    Parameters
    ----------
    header : Header
    model_names : ModelNames
    default_units : mapping of str to str, optional
        Unit of each immune measurement whose column states none; without it, such a column is refused.

    Raises
    ------
    InputError
        A column is there twice, is misnamed, or states no unit; or no column holds the patient.
    """
    names = header.names
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"column {repeated[0]!r} is there twice; send each column once")
    measurements = {}
    for position, name in enumerate(names):
        block, colon, text = name.partition(":")
        if block in BLOCKS and text:
            measurements[position] = _measurement(block, text, header, default_units)
        elif colon and block != "technical":
            raise InputError(
                f"column {name!r} begins with none of {', '.join(f'{start}:' for start in BLOCKS)}; correct it, or "
                "write it without a colon to have it returned unread"
            )
    if not measurements:
        raise InputError("no column holds measurements; name them taxa:…, immune:… [unit], clinical:… or donor:…")
    for name in names:
        _check_plain(name, model_names)
    if PATIENT not in names:
        raise InputError(f"no column is named {PATIENT!r}; add one with the id of each row's patient")
    _check_kinds(header, measurements)
    fields = {name: names.index(name) for name in FIELDS if name in names}
    returned = tuple(i for i, name in enumerate(names) if i not in measurements and not name.startswith("technical:"))
    return BatchColumns(header, measurements, fields, returned, model_names.categories)


def _measurement(block: str, text: str, header: Header, default_units: Mapping[str, str] | None) -> Column:
    if block != "immune":
        return Column.from_name(block, text)
    name, unit_text = split_name_and_unit(text)
    unit: str | None = parse_unit(unit_text) if unit_text else header.units.get(text)
    if unit_text and unit is None:
        raise InputError(f"column 'immune:{text}': {unit_text!r} is no unit that is read; {_UNITS_EXPECTED}")
    if unit is None and default_units is not None:
        unit = default_units.get(text, "unstated")
    if unit is None:
        raise InputError(f"column 'immune:{text}' states no unit; name it 'immune:{text} [pg/mL]', {_UNITS_EXPECTED}")
    if unit not in get_args(ImmuneUnit):
        raise InputError(f"column 'immune:{text}': the file's schema states the unit {unit!r}; {_UNITS_EXPECTED}")
    column = Column.from_name(block, name if unit_text else text, unit)
    # Without a unit of its own, a name still tells a transcript from the protein.
    return Column.from_name(block, text) if unit == "unstated" and not unit_text else column


_UNITS_EXPECTED = f"with one of {', '.join(get_args(ImmuneUnit))}"


def _check_plain(name: str, model_names: ModelNames) -> None:
    if ":" in name:
        return
    if name in ANSWER_COLUMNS:
        raise InputError(f"column {name!r} has the name of one that the answer adds; rename or remove it")
    if name not in FIELDS and (near := get_close_matches(name.casefold().replace(" ", "_"), FIELDS, 1, cutoff=0.85)):
        raise InputError(f"column {name!r} is not read; name it {near[0]!r}, or remove it")
    if name in model_names.names:
        raise InputError(
            f"column {name!r} is a measurement without its block; name it taxa:, immune: or clinical:{name}"
        )


def _check_kinds(header: Header, measurements: Mapping[int, Column]) -> None:
    for position, column in measurements.items():
        kind = header.kinds[position]
        if kind == "boolean" and column.block != "clinical":
            raise InputError(f"column {header.names[position]!r} holds true and false; expected numbers")
