"""A row of a batch as a candidate, the same as the API reads from JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass

from features.columns import Column
from features.errors import InputError
from features.measured_values import MISSING_MARKS, MeasuredValue
from features.population import POPULATION_FIELDS, population_of
from features.tables.decimals import is_number, number_advice, parse_number
from features.units import ImmuneUnit, TaxaUnit
from models.patient_input import LARGEST, MAX_NAME, PROFILE_TOTAL, Candidate, Measurement, StoolProfile, measured_value
from serving.batch.columns import PATIENT, BatchColumns
from serving.batch.files import Cell, Row


@dataclass(frozen=True)
class BatchPatient:
    """The patient of a row.

    Attributes
    ----------
    id : str
    candidate : Candidate
    """

    id: str
    candidate: Candidate


def read_patient(row: Row, columns: BatchColumns) -> BatchPatient:
    """Return the patient of a row.

    Raises
    ------
    InputError
        A cell cannot be read, or there is no patient's id.
    """
    if isinstance(row, str):
        raise InputError(row)
    cells = dict(zip(*row, strict=True))
    fields = {
        name: cells[position]
        for name, position in columns.fields.items()
        if position in cells and not _is_missing(cells[position])
    }
    patient_id = str(fields.get(PATIENT, ""))
    if not 1 <= len(patient_id) <= MAX_NAME:
        raise InputError(f"column {PATIENT!r}: expected the id of the patient, 1 to {MAX_NAME} characters")
    taxa: dict[str, float] = {}
    donor: dict[str, float] = {}
    over_time: dict[str, float] = {}
    clinical: dict[str, float | str | bool | None] = {}
    immune: list[Measurement] = []
    draw_day = _number_field(fields, "draw_day")
    for position, cell in cells.items():
        column = columns.measurements.get(position)
        if column is None or _is_missing(cell):
            continue
        place = f"column {columns.header.names[position]!r}"
        match column.block:
            case "taxa":
                taxa[column.field] = _number(cell, place)
            case "donor":
                donor[column.field] = _number(cell, place)
            case "over_time":
                over_time[column.field] = _number(cell, place)
            case "immune":
                immune.append(_measurement(cell, column, draw_day, place))
            case _:
                clinical.update(_clinical(cell, column, columns, place))
    texts = {name: str(fields.get(name, "")) for name in POPULATION_FIELDS}
    profile = _profile(taxa, fields, columns) if taxa else None
    day = _number_field(fields, "landmark")
    candidate = Candidate(clinical, profile, tuple(immune), population_of(**texts), donor, over_time, day=day)
    return BatchPatient(patient_id, candidate)


def _profile(taxa: dict[str, float], fields: dict[str, Cell], columns: BatchColumns) -> StoolProfile:
    unit = str(fields.get("taxa_unit", "proportions"))
    if unit not in ("counts", *PROFILE_TOTAL):
        raise InputError(f"column 'taxa_unit': expected counts, proportions or percent, got {unit!r}")
    profiler = fields.get("profiler", columns.header.profilers.get(str(fields.get("cohort", ""))))
    clock = fields.get("clock")
    # Negative abundances stay, so that they are refused later.
    detected = {name: value for name, value in taxa.items() if value != 0}
    taxa_unit: TaxaUnit = unit  # type: ignore[assignment]
    return StoolProfile(
        detected,
        taxa_unit,
        None if profiler is None else str(profiler),
        _number_field(fields, "sample_day"),
        None if clock is None else str(clock),
    )


def _measurement(cell: Cell, column: Column, day: float | None, place: str) -> Measurement:
    unit: ImmuneUnit = column.unit or "unstated"  # type: ignore[assignment]
    if isinstance(cell, float) and math.isinf(cell):
        # As `taxokine features` writes what lies beyond a limit that is not reported.
        return Measurement(column.field, MeasuredValue(math.nan, "below" if cell < 0 else "above"), unit, day)
    return Measurement(column.field, measured_value(cell, unit, place), unit, day)


def _clinical(cell: Cell, column: Column, columns: BatchColumns, place: str) -> dict[str, float | str | bool | None]:
    if column.level:
        indicator = _number(cell, place)
        if indicator not in (0, 1):
            raise InputError(f"{place}: expected 1 or 0, for whether {column.field} is {column.level}; got {cell!r}")
        return {column.field: column.level} if indicator else {}
    if column.field in columns.categories:
        return {column.field: f"{cell:g}" if isinstance(cell, float) else str(cell)}
    if isinstance(cell, str):
        if is_number(cell):
            return {column.field: parse_number(cell)}
        if cell.casefold() in ("true", "false"):
            return {column.field: cell.casefold() == "true"}
    return {column.field: cell}


def _number_field(fields: dict[str, Cell], name: str) -> float | None:
    if name not in fields:
        return None
    number = _number(fields[name], f"column {name!r}")
    if not abs(number) <= LARGEST:
        raise InputError(f"column {name!r}: expected a day, got {number:g}")
    return number


def _number(cell: Cell, place: str) -> float:
    if isinstance(cell, bool):
        # A column of indicators may hold true and false.
        return float(cell)
    if isinstance(cell, str):
        if not is_number(cell):
            raise InputError(f"{place}: expected a number, got {cell[:40]!r}{number_advice(cell)}")
        return parse_number(cell)
    return float(cell)


def _is_missing(cell: Cell) -> bool:
    return isinstance(cell, str) and cell.strip().casefold() in MISSING_MARKS
