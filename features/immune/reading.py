"""Reading a file of immune measurements as it was published."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from features.analytes import canonical_analyte
from features.errors import FileError, InputError
from features.immune.replicates import resolve_replicates
from features.immune.specification import ImmuneSpec
from features.immune.table import MEASUREMENT_COLUMNS, ImmuneTable
from features.measured_values import MeasuredValue, parse_value
from features.tables.text import TextTable, read_text_table
from features.units import ImmuneUnit, convert, measurement_kind


class _Cell(NamedTuple):
    row: int
    draw: tuple[str, ...]
    analyte: str
    text: str
    unit: str | None = None


class _AssayRange(NamedTuple):
    lloq: float = math.nan
    uloq: float = math.nan


def read_immune(path: str | Path, spec: ImmuneSpec) -> ImmuneTable:
    """Read a table of immune measurements.

    Parameters
    ----------
    path : str or Path
        A TSV or CSV file, as `features.tables.text.read_text_table` takes it.
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
    table = read_text_table(path)
    published_names, cells = _wide_cells(table, spec) if spec.layout == "wide" else _long_cells(table, spec)
    analytes = _analytes_by_published_name(path, _selected_names(path, published_names, spec), spec.unit)
    ranges = _assay_ranges(spec, analytes)
    rows = []
    for cell in cells:
        if empty := [name for name, part in zip(spec.key, cell.draw, strict=True) if not part]:
            raise FileError("is empty; every draw needs its whole key", file=path, column=empty[0], row=cell.row)
        if (analyte := analytes.get(cell.analyte)) is not None:
            value = _read_cell(path, cell, spec, ranges.get(analyte, _AssayRange()))
            rows.append((*cell.draw, analyte, cell.analyte, *value, cell.row))
    if not rows:
        raise FileError("holds no measurement", file=path)
    text_columns = dict.fromkeys([*spec.key, "analyte", "analyte_published", "censored"], "str")
    frame = pd.DataFrame(rows, columns=[*spec.key, *MEASUREMENT_COLUMNS]).astype(text_columns)
    rows_by_draw = resolve_replicates(path, frame, spec.key, spec.duplicates)
    return ImmuneTable(rows_by_draw, tuple(spec.key), spec.unit, dict(spec.exclude))


def _wide_cells(table: TextTable, spec: ImmuneSpec) -> tuple[list[str], Iterator[_Cell]]:
    """Return the published names of the analytes, and a cell per blood draw and analyte."""
    key = _column_positions(table, spec.key)
    analytes = {name: i for i, name in enumerate(table.header) if i not in key}
    cells = (
        _Cell(line, tuple(row[i] for i in key), name, row[i])
        for line, row in zip(table.line_numbers, table.rows, strict=True)
        for name, i in analytes.items()
    )
    return list(analytes), cells


def _long_cells(table: TextTable, spec: ImmuneSpec) -> tuple[list[str], Iterator[_Cell]]:
    """Return the published names of the analytes, and a cell per row."""
    key = _column_positions(table, spec.key)
    analyte, value = _column_positions(table, [spec.analyte_column, spec.value_column])
    unit = None if spec.unit_column is None else _column_positions(table, [spec.unit_column])[0]
    cells = (
        _Cell(line, tuple(row[i] for i in key), row[analyte], row[value], None if unit is None else row[unit])
        for line, row in zip(table.line_numbers, table.rows, strict=True)
    )
    return list(dict.fromkeys(row[analyte] for row in table.rows)), cells


def _column_positions(table: TextTable, names: Sequence[str]) -> list[int]:
    for name in names:
        if name not in table.header:
            raise FileError(
                f"is not there; expected exactly one such column among {', '.join(table.header)}",
                file=table.path,
                column=name,
                row=1,
            )
    return [table.header.index(name) for name in names]


def _selected_names(path: Path, published_names: list[str], spec: ImmuneSpec) -> list[str]:
    """Return the names that are neither dropped nor excluded; a pattern or name without a match is a mistake."""
    for pattern in spec.drop:
        if not any(fnmatchcase(name, pattern) for name in published_names):
            raise FileError(f"the drop pattern {pattern!r} matches nothing; correct or remove it", file=path)
    for name in spec.exclude:
        if name not in published_names:
            raise FileError(f"{name!r} is to be excluded but is not in the file; correct or remove it", file=path)
    return [
        name
        for name in published_names
        if name not in spec.exclude and not any(fnmatchcase(name, pattern) for pattern in spec.drop)
    ]


def _analytes_by_published_name(path: Path, names: list[str], unit: ImmuneUnit) -> dict[str, str]:
    published_name: dict[str, str] = {}
    for name in names:
        if not name:
            raise FileError("an analyte has no name; name it, or drop it", file=path)
        analyte = _analyte(name, unit)
        if analyte in published_name:
            raise FileError(
                f"{published_name[analyte]!r} and {name!r} are both {analyte}; list one of them under "
                "exclude_analytes, with the reason",
                file=path,
                column=name,
            )
        published_name[analyte] = name
    return {name: analyte for analyte, name in published_name.items()}


def _analyte(name: str, unit: ImmuneUnit) -> str:
    return canonical_analyte(name) if measurement_kind(unit) == "protein" else name


def _assay_ranges(spec: ImmuneSpec, analytes: Mapping[str, str]) -> dict[str, _AssayRange]:
    """Return the limits of quantification by canonical analyte, NaN where not reported."""
    ranges = {}
    for name, limits in spec.limits.items():
        analyte = _analyte(name, spec.unit)
        if analytes and analyte not in analytes.values():
            raise InputError(f"limits are stated for {name!r}, which is not among the analytes: {', '.join(analytes)}")
        lloq, uloq = (math.nan if limit is None else float(limit) for limit in limits)
        if lloq >= uloq:
            raise InputError(f"the limits of {name!r} are ({lloq}, {uloq}); expected the lower one first")
        ranges[analyte] = _AssayRange(lloq, uloq)
    return ranges


def _read_cell(path: Path, cell: _Cell, spec: ImmuneSpec, assay: _AssayRange) -> MeasuredValue:
    try:
        return _measured_value(cell, spec, assay)
    except InputError as error:
        if spec.layout == "wide":
            column, hint = cell.analyte, "; if the column is no analyte, list it under drop"
        else:
            column, hint = spec.value_column, f" (analyte {cell.analyte})"
        raise FileError(f"{error}{hint}", file=path, column=column, row=cell.row) from error


def _measured_value(cell: _Cell, spec: ImmuneSpec, assay: _AssayRange) -> MeasuredValue:
    """Parse a cell in its own unit, and convert it to the table's."""
    unit: ImmuneUnit = spec.unit
    if cell.unit is not None and cell.unit != spec.unit:
        unit = {"pg/ml": "pg/mL", "ng/ml": "ng/mL", "npx": "NPX"}.get(cell.unit.casefold(), cell.unit)  # type: ignore[assignment]
        lloq, uloq = convert(assay, spec.unit, unit)
        assay = _AssayRange(float(lloq), float(uloq))
    value = parse_value(cell.text, unit=unit, below=spec.below, above=spec.above, lloq=assay.lloq, uloq=assay.uloq)
    if unit == spec.unit:
        return value
    number, limit = convert((value.value, value.limit), unit, spec.unit)
    return MeasuredValue(float(number), value.censored, float(limit))
