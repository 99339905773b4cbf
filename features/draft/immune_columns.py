"""Drafted lines of the columns of a long immune table that describe its values: panels, limits, plates, quality."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from features.draft.cells import is_missing, normalise_word
from features.draft.columns import columns_matching
from features.draft.yaml_lines import in_yaml
from features.manifest.tables import RangeColumn
from features.measured_values import find_side, parse_value
from features.tables.decimals import is_number
from features.tables.text import TextTable

_SAMPLE_TYPE = r"^((sample|assay|well)_?type|well_?group)$"
_SAMPLE_GROUP = r"^sample_?group$"
_KEPT_TYPES = {"sample", "samples", "unknown", "unknowns", "specimen", "assay"}
_KEPT_GROUPS = {"unknowns"}
"""What MSD calls samples in a group; a group of samples beside one of controls may be of patients."""
LIMIT_COLUMNS = {
    "lower_limit": r"^(lod|lloq|llod|loq|max_lod|plate_lod|detection_limits_calc_low|lower_limit)$",
    "upper_limit": r"^(uloq|ulod|detection_limits_calc_high|upper_limit)$",
}
RANGE_COLUMN = r"^detection_range$"
_QUALITY = r"^(qc|assay|sample)_?(qc|warning)$"
_WITHIN = {"", "ok", "inrange", "within", "withinrange", "normal", "valid", "quantifiable", "pass", "none", "na"}
_MANY_BRIDGES = 8
"""Samples measured on both plates from which plates are compared; OlinkAnalyze advises 8 to 16."""


class RowFilter(NamedTuple):
    """The table without the rows that a drafted filter leaves out, and the filter's line."""

    sheet: TextTable
    lines: list[str]


def draft_row_filter(sheet: TextTable) -> RowFilter:
    """Return a table of samples alone, where a column tells samples from controls."""
    filters: dict[str, list[str]] = {}
    sample_types = dict.fromkeys(columns_matching(sheet, _SAMPLE_TYPE), _KEPT_TYPES)
    sample_types |= dict.fromkeys(columns_matching(sheet, _SAMPLE_GROUP), _KEPT_GROUPS)
    for column, types in sample_types.items():
        cells = [str(cell) for cell in sheet.frame[column].unique()]
        samples = [cell for cell in cells if cell.casefold() in types]
        if samples and len(samples) < len(cells):
            filters[column] = samples
    if not filters:
        return RowFilter(sheet, [])
    filtered = sheet.keep_rows(filters)
    count = f"{len(sheet.rows) - len(filtered.rows)} of {len(sheet.rows)} rows are no samples"
    return RowFilter(filtered, [f"  keep_rows: {in_yaml(filters)}  # guessed: {count}"])


def value_column_lines(sheet: TextTable, patient: str, analyte: str) -> list[str]:
    """Return the lines of the columns that describe single values."""
    frame, lines = sheet.frame, []
    panel = next(iter(columns_matching(sheet, r"^panel$")), None)
    if panel and _n_most_values(frame, analyte, panel) > 1:
        lines.append(f"  panel: {in_yaml(panel)}  # guessed: some analytes are on several panels, and stay apart")
    for key, pattern in LIMIT_COLUMNS.items():
        column = next((name for name in columns_matching(sheet, pattern) if _holds_numbers(frame[name])), None)
        if column:
            lines.append(f"  {key}: {in_yaml(column)}  # guessed from its name")
    ranges = columns_matching(sheet, RANGE_COLUMN)
    for column in ranges:
        lines += _range_lines(column, map(str, frame[column].unique()))
    sides = None if ranges else _find_sides(frame)
    if sides:
        lines.append(f"  range: {in_yaml(sides)}  # guessed from its cells; TODO: confirm")
    for column in columns_matching(sheet, r"^plate(_?(id|name))?$"):
        if frame[column].nunique() > 1:
            lines += _plate_lines(frame, column, patient)
    quality = columns_matching(sheet, _QUALITY)
    return [*lines, *([f"  warnings: {in_yaml(quality)}  # guessed from their names"] if quality else [])]


def _find_sides(frame: pd.DataFrame) -> dict[str, object] | None:
    """Return the column whose cells are words for a side of the range or for none, and what its cells mean."""
    for column, cells in frame.items():
        sides: dict[str, list[str]] = {"below": [], "above": [], "within": []}
        for cell in map(str, cells.unique()):
            side = "within" if normalise_word(cell) in _WITHIN else find_side(cell) or _side_of_limit(cell)
            sides.setdefault(side, []).append(cell)
        if "" not in sides and (sides["below"] or sides["above"]):
            return {"column": str(column), **sides}
    return None


def _side_of_limit(cell: str) -> str:
    """Return the side that a sign and the name of a limit write, as '<LLOQ'; a sign and a number are a value."""
    return parse_value(cell).censored if cell.strip()[:1] in ("<", ">") and not re.search(r"\d", cell) else ""


def _n_most_values(frame: pd.DataFrame, key: str, column: str) -> int:
    return int(frame.groupby(key)[column].nunique().max())


def _holds_numbers(cells: pd.Series[str]) -> bool:
    reported = cells[~cells.map(is_missing)]
    return len(reported) > 0 and bool(reported.map(is_number).all())


def _range_lines(column: str, cells: Iterable[str]) -> list[str]:
    default = RangeColumn(column=column)
    words = {*default.below, *default.above, *default.within, ""}
    lines = [f"  range: {in_yaml({'column': column})}  # guessed from its name"]
    if unknown := sorted(set(cells) - words):
        lines.append(f"  # TODO: name {in_yaml(unknown)} under below, above or within of range")
    return lines


def _plate_lines(frame: pd.DataFrame, column: str, patient: str) -> list[str]:
    """Return the line of the plates; the largest is the reference where enough samples are on it and on another."""
    counts = frame[column].value_counts()
    if patient not in frame.columns:
        return [f"  plates: {in_yaml({'column': column})}  # guessed from its name"]
    reference = str(counts.index[0])
    samples = {str(plate): set(rows) for plate, rows in frame.groupby(column)[patient]}
    n_bridges = [len(samples[plate] & samples[reference]) for plate in samples if plate != reference]
    if min(n_bridges) < _MANY_BRIDGES:
        note = f"guessed from its name; the plates share {min(n_bridges)} samples, too few to compare them"
        return [f"  plates: {in_yaml({'column': column})}  # {note}"]
    note = f"guessed: {min(n_bridges)} samples or more are on both plates; TODO: confirm"
    return [f"  plates: {in_yaml({'column': column, 'reference': reference})}  # {note}"]
