"""Drafted lines of the course of a trial: transplants, cycles, assessments, lesions, medications and measures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from features.draft.cells import is_missing, normalise_word
from features.draft.columns import (
    DATE_COLUMN,
    columns_matching,
    find_patient_column,
    find_time_column,
    holds_dates,
    names_matching,
    snake_case,
)
from features.draft.immune import UNIT_COLUMN, VALUE_COLUMN
from features.draft.times import index_column
from features.draft.yaml_lines import in_yaml
from features.tables.decimals import is_number
from features.tables.text import TextTable

Rule = Mapping[str, object]
"""The keys of one part of the course, as they stand in a manifest; empty where a sheet is no such part."""

_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "transplants": {"donor": r"donor", "batch": r"batch|(^|_)lot(_|$)", "dose": r"dose|volume",
                    "unit": r"^(dose_)?unit", "route": r"route", "preparation": r"prep"},
    "cycles": {"drug": r"drug|agent|treatment|regimen|therapy|medication"},
    "assessments": {"response": r"response|recist|assessment", "sum_mm": r"diameter|(^|_)(sum|sld)(_|$)"},
    "lesions": {"lesion": r"^(target_)?lesion(_?(id|no|nr|number|name|label))?$",
                "site": r"(^|_)(site|location|organ)(_|$)", "diameter_mm": r"diameter|(^|_)size(_|$)"},
    "medications": {"name": r"medic|drug|agent|concomitant", "start": r"start|begin|first|from",
                    "end": r"(^|_)end|stop|last|until"},
    "measures": {"name": r"^(measure|parameter|test|item|variable)(_?name)?$", "value": VALUE_COLUMN,
                 "unit": UNIT_COLUMN},
}  # fmt: skip
"""The patterns of columns, by the part of the course and the manifest's key."""
_NUMERIC_KEYS = {"dose", "sum_mm", "diameter_mm", "start", "end", "value"}
_NAME_OR_NUMBER = {"lesion"}
_DAY_KEYS = ("day", "start", "end")
"""The keys that are days, which may follow from dates."""
_CHECKPOINT_INHIBITORS = r"(?i)nivo|pembro|atezo|durva|cemip|avelu|ipili|treme|relatl|pd-?l?1|ctla"
_KINDS_OF_MEDICATION = (
    ("antibiotic", r"(?i)cillin|floxacin|cyclin|mycin|micin|(^|\W)cef|penem|nidazole|rifax|sulfameth|antibiotic"),
    ("steroid", r"(?i)predni|dexameth|cortiso|budesonide|steroid"),
    ("ppi", r"(?i)(ome|panto|lanso|rabe)prazole|(^|\W)ppi(\W|$)|proton"),
)
_RESPONSES = {code.casefold(): code for code in ("CR", "PR", "SD", "PD", "iUPD", "iCPD", "NE")}
_MEASURES = (
    ("weight", r"weight", "kg"),
    ("albumin", r"albumin", "g/L"),
    ("CRP", r"(^|_)crp(_|$)|c_reactive", "mg/L"),
    ("ECOG", r"ecog|performance_status", ""),
    ("quality of life", r"(^|_)qol(_|$)|quality_of_life|eortc|(^|_)fact(_|$)", ""),
)
"""Repeated measures: their name, the pattern of their column, and their unit where the column's name states none."""


def course_lines(
    sheets: Sequence[TextTable], patients: frozenset[str], patient_sheets: Sequence[TextTable] = ()
) -> dict[Path, str]:
    """Return a line for each sheet that is recognised as a part of the course; each part is drafted once.

    The date of day 0 may stand in the sheet itself, or in one of `patient_sheets`.
    """
    lines: dict[Path, str] = {}
    drafted: set[str] = set()
    for sheet in sheets:
        patient = find_patient_column(sheet, patients)
        if patient is None:
            continue
        for part, draft_rule in _PARTS.items():
            rule = draft_rule(sheet) if part not in drafted else {}
            if rule:
                rule = _with_index(
                    rule, sheet, index_column(sheet, patients, patient_sheets, _dates(rule, sheet).values())
                )
                cells = {cell for row in sheet.rows for cell in row}
                other_missing = sorted({cell for cell in cells if is_missing(cell)} - {"", "NA"})
                rule = {"file": sheet.path.name, "patient": patient, **rule}
                if other_missing:
                    rule = {**rule, "missing": ["", "NA", *other_missing]}
                lines[sheet.path] = f"  {part}: {in_yaml(rule)}  # guessed; TODO: confirm"
                drafted.add(part)
                break
    return lines


def _dates(rule: Rule, sheet: TextTable) -> dict[str, str]:
    """Return the columns of dates from which days of a part follow, by the manifest's keys."""
    columns = {key: column for key in _DAY_KEYS if isinstance(column := rule.get(key), str)}
    return {key: column for key, column in columns.items() if holds_dates(sheet.frame[column])}


def _with_index(rule: Rule, sheet: TextTable, index: str | None) -> Rule:
    """Return a rule whose days follow from the date of day 0, where they are dates."""
    dates = _dates(rule, sheet)
    return {**rule, **{key: {"from": column, "index": index or "TODO"} for key, column in dates.items()}}


def is_measure(column: str) -> bool:
    """Tell whether a column is named for a repeated measure of the course, such as CRP."""
    return any(names_matching([column], pattern) for _, pattern, _ in _MEASURES)


def _find_columns(sheet: TextTable, part: str, *, is_dated: bool = True) -> dict[str, str]:
    """Return the columns of a part of the course by the manifest's keys; none where its day is not found."""
    columns: dict[str, str] = {}
    if is_dated:
        time = find_time_column(sheet.frame)
        dates = [name for name in names_matching(sheet.header, DATE_COLUMN) if holds_dates(sheet.frame[name])]
        if time is not None and time.key == "day" and not time.pattern and not time.labels:
            columns["day"] = time.column
        elif dates:
            columns["day"] = dates[0]
        else:
            return {}
    for key, pattern in _COLUMNS[part].items():
        for column in columns_matching(sheet, pattern):
            cells = sheet.frame[column]
            reported = [cell for cell in cells if not is_missing(cell)]
            is_numeric = all(map(is_number, reported))
            if (
                column not in columns.values()
                and reported
                and (
                    key in _NAME_OR_NUMBER
                    or (key in _DAY_KEYS and holds_dates(cells))
                    or is_numeric == (key in _NUMERIC_KEYS)
                )
            ):
                columns.setdefault(key, column)
    return columns


def _transplants(sheet: TextTable) -> Rule:
    columns = _find_columns(sheet, "transplants")
    return columns if len({"donor", "batch", "route", "preparation"} & set(columns)) > 1 else {}


def _cycles(sheet: TextTable) -> Rule:
    columns = _find_columns(sheet, "cycles")
    if "drug" not in columns or sheet.frame[columns["drug"]].str.contains(_CHECKPOINT_INHIBITORS).mean() <= 0.5:
        return {}
    return columns


def _assessments(sheet: TextTable) -> Rule:
    columns = _find_columns(sheet, "assessments")
    if "response" not in columns:
        return columns if "sum_mm" in columns else {}
    values = [value for value in sheet.frame[columns["response"]].unique() if value not in ("", "NA")]
    codes = {value: _RESPONSES.get(normalise_word(value).removeprefix("recist")) for value in values}
    if 2 * sum(code is not None for code in codes.values()) <= len(values):
        return {}
    meanings = {value: code or "NE" for value, code in codes.items()}
    return {**columns, "response": {"column": columns["response"], "values": meanings}}


def _lesions(sheet: TextTable) -> Rule:
    columns = _find_columns(sheet, "lesions")
    return columns if {"lesion", "site"} <= set(columns) else {}


def _medications(sheet: TextTable) -> Rule:
    columns = _find_columns(sheet, "medications", is_dated=False)
    if not {"name", "start"} <= set(columns):
        return {}
    column = columns.pop("name")
    kinds = {
        name: next((kind for kind, pattern in _KINDS_OF_MEDICATION if re.search(pattern, name)), "other")
        for name in sheet.frame[column].unique()
    }
    return {"name": column, "kind": {"column": column, "values": kinds}, **columns}


def _measures(sheet: TextTable) -> Rule:
    columns = _find_columns(sheet, "measures")
    if not columns or {"name", "value"} <= set(columns):
        return columns
    measures: dict[str, Rule] = {}
    for measure, pattern, unit in _MEASURES:
        for column in columns_matching(sheet, pattern):
            cells = sheet.frame[column]
            if measure not in measures and all(is_missing(cell) or is_number(cell) for cell in cells):
                measures[measure] = {"column": column, "unit": _unit_in_name(column) or unit}
    return {"day": columns["day"], "columns": measures} if measures else {}


def _unit_in_name(column: str) -> str | None:
    unit = re.search(r"_(?:(kg|lb)|(m?g)_(?:per_)?(d?)l)$", snake_case(column))
    return unit and (unit[1] or f"{unit[2]}/{unit[3]}L")


_PARTS: Mapping[str, Callable[[TextTable], Rule]] = {
    "transplants": _transplants,
    "lesions": _lesions,
    "assessments": _assessments,
    "cycles": _cycles,
    "medications": _medications,
    "measures": _measures,
}
"""How each part of the course is recognised, the most specific first."""
