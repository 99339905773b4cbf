"""Immune measurements: names, values and units, against what the served models were trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from features.analytes import immune_column
from features.draft import ANALYTE_COLUMN, DAY_COLUMN, PATIENT_COLUMN, VALUE_COLUMN, VISIT_COLUMN, names_matching
from features.errors import InputError
from features.measured_values import MISSING_MARKS, MeasuredValue, parse_value
from features.tables.text import TextTable, read_text_table
from features.units import PG_PER_ML, ImmuneUnit, convert, parse_unit, split_name_and_unit
from serving.upload.findings import WHAT, Range, Refused, Told
from serving.upload.intake import StoredFile
from serving.upload.sheets import NO_MEASUREMENT, finite_number, kind_in, only_patient

MOST_SWAPPED = 0.5
"""Above this share of the comparable analytes that fit another unit alone, the unit stops the request."""

_VALUE = "a number of at least zero, '<limit', '>limit', 'OOR<', 'OOR>' or nothing"
_CODES = "Correct it. A laboratory's code for below range is written 'OOR<', for above 'OOR>'."


class _Cell(NamedTuple):
    """One measurement as it stands in a table."""

    row: int
    column: str
    analyte: str
    text: str
    unit: str
    day: str

    def place(self, file: StoredFile) -> dict[str, Any]:
        return {"file": file.name, "row": self.row, "column": self.column}


class _Measured(NamedTuple):
    """One measurement, read; `unit` is None where nobody states one."""

    cell: _Cell
    name: str
    reading: MeasuredValue
    unit: ImmuneUnit | None
    day: float | None

    def __str__(self) -> str:
        value = self.cell.text if self.reading.censored else f"{self.reading.value:g}"
        return f"{self.name} {value}" + (f" {self.unit}" if self.unit else "")

    def fits(self, seen: Range, unit: ImmuneUnit) -> bool:
        """Tell whether the number, taken to be in a unit, lies within the range."""
        value = self.reading.value
        return seen.holds(value if unit == seen.unit else float(convert(value, unit, seen.unit)))


def measurements(told: Told, file: StoredFile) -> list[dict[str, Any]]:
    """Return the `immune` of a request: what was measured, in units that the models take in.

    Raises
    ------
    Refused, FileError
        The file cannot be read any further.
    """
    kind_in("immune", file, told.known)
    sheet = read_text_table(file.path)
    only_patient(sheet, file)
    columns = {column: split_name_and_unit(column)[0] for column in sheet.header}
    long = all(names_matching(columns.values(), pattern) for pattern in (ANALYTE_COLUMN, VALUE_COLUMN))
    cells = _long_cells(sheet, columns) if long else _wide_cells(told, sheet, columns, file)
    note = "one row a measurement" if long else "one column an analyte"
    told.say("file", "table of immune measurements", note, file.name)
    named = [cell for cell in cells if told.known.is_analyte(cell.analyte)]
    if strange := [cell for cell in cells if cell not in named]:
        expected = f"names such as {', '.join(sorted(told.known.units)[:5]) or 'IL-6'}"
        advice = "They are left out; correct the names of those that are analytes."
        place = strange[0].place(file)
        told.warn("unknown_analyte", _few([cell.analyte for cell in strange]), expected, advice, **place)
    if not named:
        advice = "Name the analytes along one side."
        raise Refused("no_analyte", "no analyte that is known here", WHAT["immune"], advice, file=file.name)
    return _sendable(told, file, _read(told, file, named))


def _long_cells(sheet: TextTable, columns: Mapping[str, str]) -> list[_Cell]:
    def column(pattern: str) -> str:
        return next((column for column, name in columns.items() if names_matching([name], pattern)), "")

    analyte, value, unit, day = map(column, (ANALYTE_COLUMN, VALUE_COLUMN, r"^units?$", DAY_COLUMN))
    found = []
    for row, cells in zip(sheet.frame.index.tolist(), sheet.frame.to_dict("records"), strict=True):
        name, named = split_name_and_unit(cells[analyte])
        stated = cells.get(unit) or named or split_name_and_unit(value)[1]
        found.append(_Cell(row, value, name, cells[value], stated, cells.get(day, "")))
    return found


def _wide_cells(told: Told, sheet: TextTable, columns: Mapping[str, str], file: StoredFile) -> list[_Cell]:
    beside = names_matching(columns, f"{PATIENT_COLUMN}|{DAY_COLUMN}|{VISIT_COLUMN}|{NO_MEASUREMENT}")
    measured = [column for column, name in columns.items() if column not in beside or told.known.is_analyte(name)]
    rows = list(zip(sheet.frame.index.tolist(), sheet.frame.to_dict("records"), strict=True))
    units: Mapping[Any, str] = {}
    stated = [text for column in measured if (text := rows[0][1][column])]
    if len(rows) > 1 and stated and all(split_name_and_unit(f"unit {text}")[1] for text in stated):
        units, rows = rows[0][1], rows[1:]
    if len(rows) > 1:
        # `only_patient` has read the column of patients, if there is one.
        same = bool(names_matching(columns, PATIENT_COLUMN))
        kind, came = ("several_draws", "draws") if same else ("several_patients", "patients, or draws of one")
        advice = "Leave one row of values in the table."
        raise Refused(kind, f"{len(rows)} {came}", "one row of values", advice, file=file.name, row=rows[1][0])
    row, cells = rows[0]
    day = next(iter(names_matching(beside, DAY_COLUMN)), "")
    return [
        _Cell(
            row,
            column,
            columns[column],
            cells[column],
            split_name_and_unit(column)[1] or units.get(column, ""),
            cells.get(day, ""),
        )
        for column in measured
    ]


def _read(told: Told, file: StoredFile, cells: Sequence[_Cell]) -> list[_Measured]:
    """Return what was measured, each analyte once, and tell what is wrong with the rest."""
    found: dict[str, _Measured] = {}
    for cell in cells:
        if cell.text.casefold() in MISSING_MARKS:
            continue
        unit = parse_unit(cell.unit) if cell.unit else told.form.immune_unit
        if cell.unit and unit is None:
            advice = "It is left out: convert it; 1 mg/L is 1000 ng/mL."
            expected = "pg/mL, ng/mL, NPX or log2 expression"
            told.warn("unknown_unit", f"{cell.analyte} in {cell.unit}", expected, advice, **cell.place(file))
            continue
        name = immune_column(cell.analyte, unit or "unstated").name
        day = finite_number(cell.day) if cell.day else told.form.day
        if cell.day and day is None:
            told.stop("value", f"day {cell.day!r}", "a number of days", "Correct it.", **cell.place(file))
        try:
            reading = parse_value(cell.text, unit=unit or "unstated")
        except InputError:
            told.stop("value", f"{cell.analyte} of {cell.text!r}", _VALUE, _CODES, **cell.place(file))
            continue
        if name in found:
            first = found[name].cell
            came = f"{name} twice: {first.analyte!r} on row {first.row}, {cell.analyte!r} on row {cell.row}"
            advice = "Keep one of the two."
            told.stop("analyte_twice", came, "each analyte once, of one draw", advice, **cell.place(file))
            continue
        found[name] = _Measured(cell, name, reading, unit, day)
    return list(found.values())


def _sendable(told: Told, file: StoredFile, those: Sequence[_Measured]) -> list[dict[str, Any]]:
    ranges = told.known.ranges("immune")
    found: list[dict[str, Any]] = []
    unstated: list[_Measured] = []
    compared: list[_Measured] = []
    for one in those:
        cell, name, seen = one.cell, one.name, ranges.get(one.name)
        unit: ImmuneUnit = one.unit or "unstated"
        wanted = told.known.units.get(name, unit)
        told.say("analyte", str(one), _note(one, seen), file.name)
        if one.unit is None and wanted != "unstated":
            unstated.append(one)
        elif wanted != unit and not {wanted, unit} <= PG_PER_ML.keys():
            advice = "It is left out, since the two cannot be converted."
            told.warn("other_unit", f"{name} in {unit}", f"{wanted}, as the models know it", advice, **cell.place(file))
        else:
            analyte = cell.analyte if unit == "log2_expression" else name
            value = cell.text if one.reading.censored else one.reading.value
            day = {} if one.day is None else {"day": one.day}
            found.append({"analyte": analyte, "value": value, "unit": unit, **day})
            compared += [one] if seen and not one.reading.censored else []
    _compare(told, file, compared, ranges)
    if unstated:
        _ask_unit(told, file, unstated, ranges)
    return found


def _note(one: _Measured, seen: Range | None) -> str:
    written = [f"written {one.cell.analyte}"] if one.cell.analyte != one.name else []
    stated = ["unit as stated in the form"] if one.unit and not one.cell.unit else []
    return "; ".join([*written, *stated, f"{seen}, {seen.unit}" if seen else "no model reads it"])


def _compare(told: Told, file: StoredFile, those: Sequence[_Measured], ranges: Mapping[str, Range]) -> None:
    """Tell of each number that lies beyond every training patient's, and of the unit in which it would not."""
    swapped: dict[tuple[ImmuneUnit, ImmuneUnit], list[_Measured]] = {}
    for one in those:
        unit: ImmuneUnit = one.unit or "unstated"
        seen = ranges[one.name]
        if one.fits(seen, unit):
            continue
        better = next((other for other in PG_PER_ML if one.fits(seen, other)), None) if unit in PG_PER_ML else None
        if better:
            swapped.setdefault((unit, better), []).append(one)
        else:
            place = one.cell.place(file)
            told.warn("out_of_range", str(one), f"{seen}, {seen.unit}", "Check the value and its unit.", **place)
    for (unit, better), doubted in swapped.items():
        doubt = told.stop if len(doubted) > MOST_SWAPPED * len(those) else told.warn
        came = f"{_few(list(map(str, doubted)))}: {len(doubted)} of {len(those)} beyond every training patient's"
        seen = ranges[doubted[0].name]
        expected = f"numbers that fit; these would in {better} ({doubted[0].name}: {seen}, {seen.unit})"
        advice = f"If they are in {better}, state that instead of {unit}."
        doubt("swapped_unit", came, expected, advice, **doubted[0].cell.place(file))


def _ask_unit(told: Told, file: StoredFile, those: Sequence[_Measured], ranges: Mapping[str, Range]) -> None:
    numbers = [one for one in those if one.name in ranges and not one.reading.censored]
    numbers = [one for one in numbers if ranges[one.name].unit in PG_PER_ML]
    fits = [f"{sum(one.fits(ranges[one.name], unit) for one in numbers)} in {unit}" for unit in PG_PER_ML]
    hint = f"; {' and '.join(fits)} of {len(numbers)} numbers would lie in training's range" if numbers else ""
    came, expected = f"no unit of {_few([one.name for one in those])}", "the unit that the laboratory reports" + hint
    advice = "State it in the header, a row, a column, or the form."
    told.stop("no_unit", came, expected, advice, **those[0].cell.place(file))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
