"""Reading a file of immune measurements as it was published."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from features.analytes import canonical_analyte
from features.errors import FileError, InputError
from features.gene_dates import gene_date_problem
from features.immune.exports import ImmuneExport, read_immune_export
from features.immune.plates import shift_plates
from features.immune.replicates import resolve_replicates
from features.immune.specification import ImmuneSpec, SideColumn
from features.immune.table import MEASUREMENT_COLUMNS, ImmuneTable
from features.immune.visit_columns import read_visit_columns
from features.measured_values import MISSING_MARKS, CensoredSide, MeasuredValue, parse_value
from features.name_matching import is_match
from features.tables.decimals import is_number, parse_number
from features.tables.text import TextTable
from features.units import ImmuneUnit, convert, measurement_kind, parse_unit, split_name_and_unit

_PASSED = frozenset({"pass", "passed", "ok", *MISSING_MARKS})
"""Cells of a column of warnings that are none, without case."""


class _Cell(NamedTuple):
    """One measurement as the file writes it."""

    row: int
    column: str
    draw: tuple[str, ...]
    analyte: str
    text: str
    unit: str | None = None
    panel: str = ""
    limits: tuple[str, str] = ("", "")
    side: str | None = None
    plate: str = ""
    warning: str = ""


class _AssayRange(NamedTuple):
    lloq: float = math.nan
    uloq: float = math.nan


def read_immune(path: str | Path, spec: ImmuneSpec) -> ImmuneTable:
    """Read a table of immune measurements.

    Parameters
    ----------
    path : str or Path
        A table of text, or an export of assay software, as `features.immune.exports.read_immune_export` takes it.
    spec : ImmuneSpec
        How the file lays them out.

    Returns
    -------
    ImmuneTable
        The measurements. Proteins have canonical names; genes of an expression table keep the published ones.

    Raises
    ------
    FileError
        Naming the file, column, row and value that cannot be read.
    InputError
        If limits are named for an analyte that the file does not have, or are in the wrong order.
    """
    path = Path(path)
    export = read_immune_export(path)
    _check_unit(path, export, spec)
    table = export.table.keep_rows(spec.keep_rows) if spec.keep_rows else export.table
    _check_panels(table, spec)
    read_cells = _visit_cells if spec.visits else _wide_cells if spec.layout == "wide" else _long_cells
    cells = list(read_cells(table, spec))
    analytes = _analytes_by_published_name(path, _selected_cells(path, cells, spec), spec)
    ranges = _assay_ranges(spec, analytes)
    rows = []
    for cell in cells:
        if empty := [name for name, part in zip(spec.draw_key, cell.draw, strict=True) if not part]:
            raise FileError("is empty; every draw needs its whole key", file=path, column=empty[0], row=cell.row)
        if (analyte := analytes.get((cell.analyte, cell.panel))) is not None:
            value = _read_cell(path, cell, spec, ranges.get(analyte, _AssayRange()))
            rows.append((*cell.draw, analyte, cell.analyte, *value, cell.plate, cell.warning, cell.row))
    if not rows:
        raise FileError("holds no measurement", file=path)
    text_columns = dict.fromkeys(
        [*spec.draw_key, "analyte", "analyte_published", "censored", "plate", "warning"], "str"
    )
    frame = pd.DataFrame(rows, columns=[*spec.draw_key, *MEASUREMENT_COLUMNS]).astype(text_columns)
    notes = _notes(export, len(table.rows))
    if spec.reference_plate is not None:
        frame, plate_notes = shift_plates(path, frame, spec.key, spec.reference_plate)
        notes += plate_notes
    rows_by_draw = resolve_replicates(path, frame, spec.draw_key, spec.duplicates)
    return ImmuneTable(rows_by_draw, spec.draw_key, spec.unit, dict(spec.exclude), tuple(notes))


def _check_unit(path: Path, export: ImmuneExport, spec: ImmuneSpec) -> None:
    unit = parse_unit(export.unit) if export.unit else None
    if unit is not None and unit != spec.unit:
        raise FileError(
            f"the export states {export.unit}, the manifest {spec.unit}; expected one unit. Correct immune.unit",
            file=path,
        )


def _notes(export: ImmuneExport, n_kept: int) -> list[str]:
    notes = []
    if export.n_control_rows:
        notes.append(f"{export.n_control_rows} wells of standards, controls and blanks are left out")
    if n_left_out := len(export.table.rows) - n_kept:
        notes.append(f"{n_left_out} of {len(export.table.rows)} rows of immune measurements are left out by keep_rows")
    return notes


def _check_panels(table: TextTable, spec: ImmuneSpec) -> None:
    """Check that an analyte of several panels is not read as one: their scales are not comparable."""
    column = next((name for name in table.header if name.casefold() == "panel"), None)
    if spec.layout == "wide" or spec.panel_column is not None or column is None:
        return
    if spec.analyte_column not in table.header:
        return
    pairs = table.frame[[spec.analyte_column, column]].drop_duplicates()
    n_panels = Counter(pairs[spec.analyte_column])
    if repeated := [str(name) for name, count in n_panels.items() if count > 1]:
        panels = sorted(pairs.loc[pairs[spec.analyte_column] == repeated[0], column])
        raise FileError(
            f"{repeated[0]} is on the panels {' and '.join(map(repr, panels))}, whose scales are not comparable; state "
            f"immune.panel: {column}, or keep one panel by keep_rows",
            file=table.path,
            column=column,
        )


def _wide_cells(table: TextTable, spec: ImmuneSpec) -> Iterator[_Cell]:
    """Yield a cell per blood draw and analyte, in the unit of its column's name, where that states one."""
    key = _column_positions(table, spec.key)
    analytes = {name: i for i, name in enumerate(table.header) if i not in key}
    units = {name: _other_unit(split_name_and_unit(name)[1], spec.unit) for name in analytes}
    for line, row in zip(table.line_numbers, table.rows, strict=True):
        for name, i in analytes.items():
            yield _Cell(line, name, tuple(row[j] for j in key), name, row[i], units[name])


def _visit_cells(table: TextTable, spec: ImmuneSpec) -> Iterator[_Cell]:
    """Yield a cell per patient, visit and analyte, of columns whose names hold the visit.

    A sheet with a row for each stool sample may repeat a patient's blood; it is the same in each row.
    """
    key = _column_positions(table, spec.key)
    names = [name for i, name in enumerate(table.header) if i not in key]
    _check_drop(table.path, names, spec.drop)
    columns = read_visit_columns(table.path, names, spec.visits, spec.drop)
    positions = {name: table.header.index(name) for name in columns}
    first_lines: dict[tuple[str, ...], tuple[int, str]] = {}
    for line, row in zip(table.line_numbers, table.rows, strict=True):
        for name, part in columns.items():
            draw = (*(row[j] for j in key), part.visit)
            text = row[positions[name]]
            first_line, first_text = first_lines.setdefault((*draw, name), (line, text))
            if first_line != line and first_text == text:
                continue
            if first_line != line and spec.duplicates == "error":
                raise FileError(
                    f"{', '.join(draw[:-1])} has {text!r} here and {first_text!r} on row {first_line}; a patient has "
                    "one value of each visit. Correct one of the rows, or set duplicates to 'mean' or 'last'",
                    file=table.path,
                    column=name,
                    row=line,
                )
            unit = _other_unit(part.unit, spec.unit)
            yield _Cell(line, name, draw, part.analyte, text, unit)


def _other_unit(column_unit: str, unit: ImmuneUnit) -> str | None:
    """Return the unit that a column's name states, as "ng/mL" in "CRP (ng/mL)", where it is not the table's."""
    if not column_unit or unit in ("unstated", "log2_expression") or parse_unit(column_unit) == unit:
        return None
    return column_unit


def _long_cells(table: TextTable, spec: ImmuneSpec) -> Iterator[_Cell]:
    """Yield a cell per row."""
    key = _column_positions(table, spec.key)
    analyte, value = _column_positions(table, [spec.analyte_column, spec.value_column])
    other_columns = [spec.unit_column, *spec.row_columns]
    named_columns = [column for column in other_columns if column is not None]
    position = dict(zip(named_columns, _column_positions(table, named_columns), strict=True))
    lower, upper = spec.limit_columns
    side_column = spec.range_column.column if spec.range_column else None
    for line, row in zip(table.line_numbers, table.rows, strict=True):
        text = {column: row[i] for column, i in position.items()}
        warnings = [f"{name} {text[name]}" for name in spec.warning_columns if text[name].casefold() not in _PASSED]
        yield _Cell(
            line,
            spec.value_column,
            tuple(row[i] for i in key),
            row[analyte],
            row[value],
            text[spec.unit_column] if spec.unit_column else None,
            text[spec.panel_column] if spec.panel_column else "",
            (text[lower] if lower else "", text[upper] if upper else ""),
            text[side_column] if side_column else None,
            text[spec.plate_column] if spec.plate_column else "",
            ", ".join(warnings),
        )


def _column_positions(table: TextTable, names: Sequence[str]) -> list[int]:
    for name in names:
        if name not in table.header:
            problem = "is still to be named in the manifest" if name == "TODO" else "is not there"
            raise FileError(
                f"{problem}; expected exactly one such column among {', '.join(table.header)}",
                file=table.path,
                column=name,
                row=1,
            )
    return [table.header.index(name) for name in names]


def _selected_cells(path: Path, cells: Sequence[_Cell], spec: ImmuneSpec) -> list[tuple[str, str]]:
    """Return the analytes and panels that are neither dropped nor excluded; a name without a match is a mistake."""
    pairs = list(dict.fromkeys((cell.analyte, cell.panel) for cell in cells))
    published_names = dict.fromkeys(name for name, _ in pairs)
    # Where names of columns hold visits, columns are dropped before the names are parted.
    drop = () if spec.visits else spec.drop
    _check_drop(path, published_names, drop)
    for key, names in (("excluded", spec.exclude), ("renamed", spec.rename)):
        if absent := [name for name in names if name not in published_names]:
            raise FileError(f"{absent[0]!r} is to be {key} but is not in the file; correct or remove it", file=path)
    selected = [
        (name, panel)
        for name, panel in pairs
        if name not in spec.exclude and not any(is_match(name, pattern) for pattern in drop)
    ]
    if problem := gene_date_problem(name for name, _ in selected if name not in spec.rename):
        raise FileError(
            f"{problem}. Take the symbols from the file before it was opened in the spreadsheet; write them under "
            "immune.rename, or list the dates under immune.exclude_analytes with the reason",
            file=path,
        )
    return selected


def _check_drop(path: Path, names: Iterable[str], drop: Sequence[str]) -> None:
    names = list(names)
    for pattern in drop:
        if not any(is_match(name, pattern) for name in names):
            raise FileError(f"the drop pattern {pattern!r} matches nothing; correct or remove it", file=path)


def _analytes_by_published_name(
    path: Path, selected: Sequence[tuple[str, str]], spec: ImmuneSpec
) -> dict[tuple[str, str], str]:
    """Return the analyte of each published name and panel; one that is on several panels bears its panel's name."""
    canonical = {}
    for name, panel in selected:
        if not name:
            raise FileError("an analyte has no name; name it, or drop it", file=path)
        canonical[name, panel] = _analyte(spec.rename.get(name, name), spec.unit)
    panels: dict[str, set[str]] = {}
    for (_, panel), analyte in canonical.items():
        panels.setdefault(analyte, set()).add(panel)
    published_name: dict[str, str] = {}
    analytes = {}
    for (name, panel), analyte in canonical.items():
        full_name = f"{analyte} ({panel})" if len(panels[analyte]) > 1 else analyte
        if full_name in published_name:
            raise FileError(
                f"{published_name[full_name]!r} and {name!r} are both {full_name}; list one of them under "
                "exclude_analytes, with the reason",
                file=path,
                column=name,
            )
        published_name[full_name] = name
        analytes[name, panel] = full_name
    return analytes


def _analyte(name: str, unit: ImmuneUnit) -> str:
    """Return the analyte of a published name, without the unit that may stand behind it."""
    return canonical_analyte(split_name_and_unit(name)[0]) if measurement_kind(unit) == "protein" else name


def _assay_ranges(spec: ImmuneSpec, analytes: Mapping[tuple[str, str], str]) -> dict[str, _AssayRange]:
    """Return the limits of quantification by canonical analyte, NaN where not reported."""
    ranges = {}
    for name, limits in spec.limits.items():
        analyte = _analyte(name, spec.unit)
        if analytes and analyte not in analytes.values():
            raise InputError(
                f"limits are stated for {name!r}, which is not among the analytes: "
                f"{', '.join(dict.fromkeys(name for name, _ in analytes))}"
            )
        lloq, uloq = (math.nan if limit is None else float(limit) for limit in limits)
        if lloq >= uloq:
            raise InputError(f"the limits of {name!r} are ({lloq}, {uloq}); expected the lower one first")
        ranges[analyte] = _AssayRange(lloq, uloq)
    return ranges


def _read_cell(path: Path, cell: _Cell, spec: ImmuneSpec, assay: _AssayRange) -> MeasuredValue:
    try:
        return _measured_value(cell, spec, assay)
    except InputError as error:
        is_wide = spec.layout == "wide"
        hint = "; if the column is no analyte, list it under drop" if is_wide else f" (analyte {cell.analyte})"
        raise FileError(f"{error}{hint}", file=path, column=cell.column, row=cell.row) from error


def _measured_value(cell: _Cell, spec: ImmuneSpec, assay: _AssayRange) -> MeasuredValue:
    """Parse a cell in its own unit, and convert it to the table's."""
    unit = spec.unit
    if cell.unit is not None and cell.unit != spec.unit:
        unit = parse_unit(cell.unit) or cell.unit  # type: ignore[assignment]
        assay = _AssayRange(*map(float, convert(assay, spec.unit, unit)))
    own_limits = [_own_limit(text) for text in cell.limits]
    lloq, uloq = (
        assay_limit if math.isnan(limit) else limit
        for limit, assay_limit in zip(own_limits, (assay.lloq, assay.uloq), strict=True)
    )
    value = parse_value(
        cell.text,
        unit=unit,
        below_codes=spec.below_codes,
        above_codes=spec.above_codes,
        missing_codes=spec.missing_codes,
        lloq=lloq,
        uloq=uloq,
    )
    if spec.range_column is not None and cell.side is not None and not value.censored:
        side = _stated_side(cell.side, value, spec.range_column)
        limit = {"below": lloq, "above": uloq}.get(side, math.nan)
        value = MeasuredValue(value.value, side, limit, value.extrapolated)
    if unit == spec.unit:
        return value
    number, limit = convert((value.value, value.limit), unit, spec.unit)
    return MeasuredValue(float(number), value.censored, float(limit), value.extrapolated)


def _own_limit(text: str) -> float:
    """Return the limit that stands on a value's own row, NaN where there is none."""
    if text.casefold() in MISSING_MARKS:
        return math.nan
    if not is_number(text):
        raise InputError(f"its limit is {text!r}; expected a number, or nothing")
    return parse_number(text)


def _stated_side(cell: str, value: MeasuredValue, column: SideColumn) -> CensoredSide:
    """Return the side that a row states for its value."""
    if cell in column.below_codes:
        return "below"
    if cell in column.above_codes:
        return "above"
    if cell in column.within_codes or (not cell and value.is_missing):
        return ""
    codes = [*column.below_codes, *column.within_codes, *column.above_codes]
    raise InputError(
        f"column {column.column!r} states {cell!r}; expected one of {codes}. "
        "Name it under below, within or above of immune.range"
    )
