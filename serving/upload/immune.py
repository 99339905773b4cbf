"""The immune table of an upload: names, values and units, compared with what the served models were trained on."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

from pydantic import JsonValue

from features.analytes import canonical_analyte, immune_column
from features.draft import (
    ANALYTE_COLUMN,
    DAY_COLUMN,
    LIMIT_COLUMNS,
    PATIENT_COLUMN,
    RANGE_COLUMN,
    VALUE_COLUMN,
    VISIT_COLUMN,
    days_of_labels,
    draft_row_filter,
    find_value_column,
    find_visit_columns,
    names_matching,
)
from features.errors import InputError
from features.immune import VisitColumn, read_immune_export
from features.measured_values import MISSING_MARKS, MeasuredValue, find_side, parse_value
from features.tables.text import TextTable
from features.units import PG_PER_ML, ImmuneUnit, convert, parse_unit, split_name_and_unit
from serving.upload.form import DESCRIPTIONS
from serving.upload.intake import StoredFile
from serving.upload.report import Place, Report, UnreadableFile
from serving.upload.sheets import NO_MEASUREMENT, check_file_kind, check_one_patient, finite_number
from serving.upload.titles import ProblemKind
from serving.upload.training_columns import TrainingRange

MAX_SWAPPED = 0.5
"""Share of the comparable analytes that fit the training range only in another unit, above which no model predicts."""

MAX_MEASUREMENTS = 20_000
"""The most measurements of a blood draw; the largest panels of proteins have about 11,000."""

_VALUE = "a number of at least zero, '<limit', '>limit', 'OOR<', 'OOR>' or nothing"
_VALUE_ADVICE = (
    "Correct it. Write a laboratory's code for below range as 'OOR<', for above range as 'OOR>'; leave a cell empty if "
    "nothing was measured."
)


class _MeasurementCell(NamedTuple):
    """One measurement as the table writes it."""

    row: int
    column: str
    analyte: str
    text: str
    unit: str
    day: str
    limits: tuple[str, str] = ("", "")
    side: str = ""

    def place(self, file: StoredFile) -> Place:
        return {"file": file.name, "row": self.row, "column": self.column}


class _ReadMeasurement(NamedTuple):
    """One measurement; `name` is its column in a model, `unit` is None where neither table nor form states one."""

    cell: _MeasurementCell
    name: str
    value: MeasuredValue
    unit: ImmuneUnit | None
    day: float | None

    def __str__(self) -> str:
        text = self.value.text if self.value.censored else f"{self.value.value:g}"
        return f"{self.name} {text}" + (f" {self.unit}" if self.unit else "")

    def fits(self, training_range: TrainingRange, unit: ImmuneUnit) -> bool:
        """Return whether the number, if it is in `unit`, lies in the training range."""
        number = self.value.value
        if unit != training_range.unit:
            number = float(convert(number, unit, training_range.unit))
        return training_range.contains(number)


def read_measurements(report: Report, file: StoredFile) -> list[JsonValue]:
    """Return the `immune` of a request: the measurements whose unit the models can use.

    Raises
    ------
    UnreadableFile, FileError
        The file cannot be read.
    """
    check_file_kind("immune", report, file)
    export = read_immune_export(file.path)
    table = draft_row_filter(export.table).sheet
    _check_size(table, file)
    check_one_patient(table, file)
    columns = {column: split_name_and_unit(column)[0] for column in table.header}
    is_long = all(names_matching(columns.values(), pattern) for pattern in (ANALYTE_COLUMN, VALUE_COLUMN))
    cells = _long_cells(table, columns) if is_long else _wide_cells(report, table, columns, file)
    if export.unit:
        cells = [cell._replace(unit=cell.unit or export.unit) for cell in cells]
    note = "one row a measurement" if is_long else "one column an analyte"
    report.interpret("file", "table of immune measurements", note, file.name)
    if n_left_out := export.n_control_rows + len(export.table.rows) - len(table.rows):
        report.interpret("file", f"{n_left_out} rows of controls", "left out: no samples", file.name)
    is_known = [report.training.is_analyte(cell.analyte) for cell in cells]
    recognised = list(compress(cells, is_known))
    if unknown := [cell for cell, keep in zip(cells, is_known, strict=True) if not keep]:
        requirement = f"names such as {', '.join(sorted(report.training.units)[:5]) or 'IL-6'}"
        advice = "Ignored; correct the names of those that are analytes."
        observed = _abridge([cell.analyte for cell in unknown])
        report.warn("unknown_analyte", observed, requirement, advice, **unknown[0].place(file))
    if not recognised:
        advice = "Name the analytes in a column or in the header."
        raise UnreadableFile("no_analyte", "no known analyte", DESCRIPTIONS["immune"], advice, file=file.name)
    return _usable_measurements(report, file, _read_cells(report, file, recognised))


def _check_size(table: TextTable, file: StoredFile) -> None:
    n_measurements = max(len(table.rows), len(table.header))
    if n_measurements > MAX_MEASUREMENTS:
        advice = "Upload the measurements of this patient's blood draw only."
        observed, requirement = f"{n_measurements:,} measurements", f"at most {MAX_MEASUREMENTS:,}"
        raise UnreadableFile("too_large", observed, requirement, advice, file=file.name)


def _long_cells(table: TextTable, columns: Mapping[str, str]) -> list[_MeasurementCell]:
    def column(pattern: str) -> str:
        return next((column for column, name in columns.items() if names_matching([name], pattern)), "")

    analyte, unit, day = map(column, (ANALYTE_COLUMN, r"^units?$", DAY_COLUMN))
    value = find_value_column(
        table, (column for column, name in columns.items() if names_matching([name], VALUE_COLUMN))
    )
    lower, upper, side, panel = map(column, (*LIMIT_COLUMNS.values(), RANGE_COLUMN, r"^panel$"))
    panels: dict[str, set[str]] = {}
    for texts in table.frame.to_dict("records"):
        panels.setdefault(texts[analyte], set()).add(texts.get(panel, ""))
    is_npx = bool(names_matching(columns, r"^olink_?id$"))
    cells = []
    for row, texts in zip(table.frame.index.tolist(), table.frame.to_dict("records"), strict=True):
        name, unit_in_name = split_name_and_unit(texts[analyte])
        unit_text = texts.get(unit) or unit_in_name or split_name_and_unit(value)[1] or ("NPX" if is_npx else "")
        limits = (texts.get(lower, ""), texts.get(upper, ""))
        if len(panels[texts[analyte]]) > 1:
            # The scales of panels are not comparable: each is an analyte of its own, named as in training.
            name = f"{canonical_analyte(name)} ({texts[panel]})"
        side_text = texts.get(side, "")
        cells.append(_MeasurementCell(row, value, name, texts[value], unit_text, texts.get(day, ""), limits, side_text))
    return cells


def _wide_cells(
    report: Report, table: TextTable, columns: Mapping[str, str], file: StoredFile
) -> list[_MeasurementCell]:
    visit_columns = find_visit_columns(
        column for column, name in columns.items() if not report.training.is_analyte(name)
    )
    columns = {column: name for column, name in columns.items() if column not in visit_columns}
    keys = names_matching(columns, f"{PATIENT_COLUMN}|{DAY_COLUMN}|{VISIT_COLUMN}|{NO_MEASUREMENT}")
    analytes = [column for column, name in columns.items() if column not in keys or report.training.is_analyte(name)]
    rows = list(zip(table.frame.index.tolist(), table.frame.to_dict("records"), strict=True))
    if len(rows) > 1:
        # `check_one_patient` has checked the column of patients, if there is one.
        of_one_patient = bool(names_matching(columns, PATIENT_COLUMN))
        kind: ProblemKind = "several_draws" if of_one_patient else "several_patients"
        observed = f"{len(rows)} {'blood draws' if of_one_patient else 'patients, or blood draws of one patient'}"
        advice = "Keep one row of values in the table."
        raise UnreadableFile(kind, observed, "one row of values", advice, file=file.name, row=rows[1][0])
    row, texts = rows[0]
    day_text = texts.get(next(iter(names_matching(keys, DAY_COLUMN)), ""), "")
    cells = [
        _MeasurementCell(
            row,
            column,
            columns[column],
            texts[column],
            split_name_and_unit(column)[1],
            day_text,
        )
        for column in analytes
    ]
    return cells + (_cells_of_visit(report, visit_columns, row, texts, day_text, file) if visit_columns else [])


def _cells_of_visit(
    report: Report,
    columns: Mapping[str, VisitColumn],
    row: int,
    texts: Mapping[Hashable, str],
    day_text: str,
    file: StoredFile,
) -> list[_MeasurementCell]:
    """Return the cells of columns whose names hold a visit, which must be the same one.

    The day in a column of its own, `day_text`, is the day of the draw, and that of the visit's name may be planned.
    """
    visits = list(dict.fromkeys(part.visit for part in columns.values()))
    if len(visits) > 1:
        advice = "Keep the columns of one visit."
        observed = f"visits {', '.join(visits)} in the names of columns, such as {next(iter(columns))}"
        raise UnreadableFile("several_draws", observed, "one blood draw", advice, file=file.name, row=1)
    (planned_day,) = days_of_labels(visits).values()
    if not day_text and planned_day is not None:
        day_text = f"{planned_day:g}"
    day = day_text or ("" if report.form.day is None else f"{report.form.day:g}")
    note = f"drawn on day {day}" if day else "of no known day"
    report.interpret("file", f"visit {visits[0]} in the names of {len(columns)} columns", note, file.name)
    return [
        _MeasurementCell(row, column, part.analyte, texts[column], part.unit, day_text)
        for column, part in columns.items()
    ]


def _read_cells(report: Report, file: StoredFile, cells: Sequence[_MeasurementCell]) -> list[_ReadMeasurement]:
    """Return the measurements, each analyte once, and report the cells that cannot be read."""
    measurements: dict[str, _ReadMeasurement] = {}
    for cell in cells:
        if cell.text.casefold() in MISSING_MARKS and not find_side(cell.side):
            continue
        place = cell.place(file)
        unit = parse_unit(cell.unit) if cell.unit else report.form.immune_unit
        if cell.unit and unit is None:
            requirement, advice = "pg/mL, ng/mL, NPX or log2 expression", "Ignored; convert it: 1 mg/L is 1000 ng/mL."
            report.warn("unknown_unit", f"{cell.analyte} in {cell.unit}", requirement, advice, **place)
            continue
        name = immune_column(cell.analyte, unit or "unstated").name
        day = finite_number(cell.day) if cell.day else report.form.day
        if cell.day and day is None:
            report.stop("value", f"day {cell.day!r}", "a number of days", "Correct it.", **place)
        try:
            value = _measured_value(cell, unit or "unstated")
        except InputError:
            report.stop("value", f"{cell.analyte} of {cell.text!r}", _VALUE, _VALUE_ADVICE, **place)
            continue
        if name in measurements:
            pair = measurements[name].cell, cell
            # The cells of a long table lie in one column.
            is_long = len({item.column for item in pair}) == 1
            places = (f"{(item.analyte if is_long else item.column)!r} on row {item.row}" for item in pair)
            observed = f"{name} twice: {', '.join(places)}"
            requirement = "each analyte once, of one blood draw"
            report.stop("analyte_twice", observed, requirement, "Keep one of the two.", **place)
            continue
        measurements[name] = _ReadMeasurement(cell, name, value, unit, day)
    return list(measurements.values())


def _measured_value(cell: _MeasurementCell, unit: ImmuneUnit) -> MeasuredValue:
    """Return the value of a cell; its side and limits stand in the text, or in further columns of its row.

    Raises
    ------
    InputError
        The cell is no measurement, or its column of sides states something else than a side.
    """
    lloq, uloq = (math.nan if (limit := finite_number(text)) is None else limit for text in cell.limits)
    value = parse_value(cell.text, unit=unit, lloq=lloq, uloq=uloq)
    side = find_side(cell.side)
    if cell.side and not side and cell.side.casefold() != "in detection range":
        raise InputError(f"{cell.side!r} states no side of the assay's range")
    if not side or value.censored:
        return value
    return MeasuredValue(value.value, side, lloq if side == "below" else uloq)


def _usable_measurements(report: Report, file: StoredFile, measurements: Sequence[_ReadMeasurement]) -> list[JsonValue]:
    ranges = report.training.ranges("immune")
    items: list[JsonValue] = []
    without_unit: list[_ReadMeasurement] = []
    comparable: list[_ReadMeasurement] = []
    for measurement in measurements:
        name, training_range = measurement.name, ranges.get(measurement.name)
        unit: ImmuneUnit = measurement.unit or "unstated"
        model_unit = report.training.units.get(name, unit)
        report.interpret("analyte", str(measurement), _note(measurement, training_range), file.name)
        if measurement.unit is None and model_unit != "unstated":
            without_unit.append(measurement)
        elif model_unit != unit and not {model_unit, unit} <= PG_PER_ML.keys():
            requirement, advice = f"{model_unit}, as in training", "Ignored: the units cannot be converted."
            place = measurement.cell.place(file)
            report.warn("other_unit", f"{name} in {unit}", requirement, advice, **place)
        else:
            items.append(_request_item(measurement, unit))
            if training_range and not measurement.value.censored:
                comparable.append(measurement)
    _compare_with_training(report, file, comparable, ranges)
    if without_unit:
        _request_unit(report, file, without_unit, ranges)
    return items


def _request_item(measurement: _ReadMeasurement, unit: ImmuneUnit) -> dict[str, JsonValue]:
    day: dict[str, JsonValue] = {} if measurement.day is None else {"day": measurement.day}
    return {
        "analyte": measurement.cell.analyte if unit == "log2_expression" else measurement.name,
        "value": _request_value(measurement.value),
        "unit": unit,
        **day,
    }


def _request_value(value: MeasuredValue) -> str | float:
    """Return a value as a request writes it: censored with its side and limit, extrapolated with a star."""
    if value.censored:
        sign = "<" if value.censored == "below" else ">"
        return f"OOR{sign}" if math.isnan(value.limit) else f"{sign}{value.limit:.15g}"
    return f"*{value.value:.15g}" if value.extrapolated else value.value


def _note(measurement: _ReadMeasurement, training_range: TrainingRange | None) -> str:
    synonym = [f"named {measurement.cell.analyte}"] if measurement.cell.analyte != measurement.name else []
    form_unit = ["unit from the form"] if measurement.unit and not measurement.cell.unit else []
    comparison = f"{training_range}, {training_range.unit}" if training_range else "no model reads it"
    return "; ".join([*synonym, *form_unit, comparison])


def _compare_with_training(
    report: Report,
    file: StoredFile,
    measurements: Sequence[_ReadMeasurement],
    ranges: Mapping[str, TrainingRange],
) -> None:
    """Report each number outside the training range, and the unit in which it would lie inside."""
    swapped: dict[tuple[ImmuneUnit, ImmuneUnit], list[_ReadMeasurement]] = {}
    for measurement in measurements:
        unit: ImmuneUnit = measurement.unit or "unstated"
        training_range = ranges[measurement.name]
        if measurement.fits(training_range, unit):
            continue
        candidates = PG_PER_ML if unit in PG_PER_ML else ()
        fitting_unit = next((name for name in candidates if measurement.fits(training_range, name)), None)
        if fitting_unit:
            swapped.setdefault((unit, fitting_unit), []).append(measurement)
        else:
            requirement, advice = f"{training_range}, {training_range.unit}", "Check the value and its unit."
            report.warn("out_of_range", str(measurement), requirement, advice, **measurement.cell.place(file))
    for (unit, fitting_unit), doubtful in swapped.items():
        add_problem = report.stop if len(doubtful) > MAX_SWAPPED * len(measurements) else report.warn
        example = doubtful[0]
        counts = f"{len(doubtful)} of {len(measurements)} outside the range of all training patients"
        training_range = ranges[example.name]
        requirement = (
            f"numbers in the training range, in which they would lie in {fitting_unit} "
            f"({example.name}: {training_range}, {training_range.unit})"
        )
        advice = f"If they are in {fitting_unit}, state that instead of {unit}."
        observed = f"{_abridge(list(map(str, doubtful)))}: {counts}"
        add_problem("swapped_unit", observed, requirement, advice, **example.cell.place(file))


def _request_unit(
    report: Report,
    file: StoredFile,
    measurements: Sequence[_ReadMeasurement],
    ranges: Mapping[str, TrainingRange],
) -> None:
    """Report that the unit is missing, with the number of values that would fit the training range in each unit."""
    comparable = [
        measurement
        for measurement in measurements
        if measurement.name in ranges and not measurement.value.censored and ranges[measurement.name].unit in PG_PER_ML
    ]
    fits = [
        f"{n_fitting} in {unit}"
        for unit in PG_PER_ML
        if (n_fitting := sum(measurement.fits(ranges[measurement.name], unit) for measurement in comparable))
    ]
    hint = (
        f"; {' and '.join(fits) or 'none'} of {len(comparable)} numbers lie in the training range" if comparable else ""
    )
    observed = f"no unit of {_abridge([measurement.name for measurement in measurements])}"
    advice = "State it in the header, a row, a column, or the form."
    requirement = "the unit that the laboratory reports" + hint
    report.stop("no_unit", observed, requirement, advice, **measurements[0].cell.place(file))


def _abridge(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
