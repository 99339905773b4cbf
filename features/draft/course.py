"""The lines of the trial's course."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.draft.immune import VALUE
from features.draft.words import columns_of, in_yaml, is_missing, is_number, patient_column, snake, when_taken, word
from features.tables.text import TextTable

_TOLD = {
    "transplants": {"donor": r"donor", "batch": r"batch|(^|_)lot(_|$)", "dose": r"dose|volume",
                    "unit": r"^(dose_)?unit", "route": r"route", "preparation": r"prep"},
    "cycles": {"drug": r"drug|agent|treatment|regimen|therapy|medication"},
    "assessments": {"response": r"response|recist|assessment", "sum_mm": r"diameter|(^|_)(sum|sld)(_|$)"},
    "medications": {"name": r"medic|drug|agent|concomitant", "start": r"start|begin|first|from",
                    "end": r"(^|_)end|stop|last|until"},
    "measures": {"name": r"^(measure|parameter|test|item|variable)(_?name)?$", "value": VALUE, "unit": r"^units?$"},
}  # fmt: skip
"""Columns of the trial's course, by part and by the manifest's keys."""
_NUMBERS = {"dose", "sum_mm", "start", "end", "value"}
_INHIBITORS = r"(?i)nivo|pembro|atezo|durva|cemip|avelu|ipili|treme|relatl|pd-?l?1|ctla"
_KINDS_OF_DRUG = (
    ("antibiotic", r"(?i)cillin|floxacin|cyclin|mycin|micin|(^|\W)cef|penem|nidazole|rifax|sulfameth|antibiotic"),
    ("steroid", r"(?i)predni|dexameth|cortiso|budesonide|steroid"),
    ("ppi", r"(?i)(ome|panto|lanso|rabe)prazole|(^|\W)ppi(\W|$)|proton"),
)
_JUDGED = {code.casefold(): code for code in ("CR", "PR", "SD", "PD", "iUPD", "iCPD", "NE")}
_MEASURED = (
    ("weight", r"weight", "kg"),
    ("albumin", r"albumin", "g/L"),
    ("CRP", r"(^|_)crp(_|$)|c_reactive", "mg/L"),
    ("ECOG", r"ecog|performance_status", ""),
    ("quality of life", r"(^|_)qol(_|$)|quality_of_life|eortc|(^|_)fact(_|$)", ""),
)
"""What is measured over time, its column's name, and the unit if the name tells none."""


def course_lines(sheets: Sequence[TextTable], patients: frozenset[str]) -> dict[Path, str]:
    """Return the files that tell the trial's course, each with its line."""
    lines: dict[Path, str] = {}
    parts = {"transplants": _transplants, "assessments": _assessments, "cycles": _cycles,
             "medications": _medications, "measures": _measures}  # fmt: skip
    for sheet in sheets:
        patient = patient_column(sheet, patients)
        found = next(((part, told) for part, tell in parts.items() if patient and (told := tell(sheet))), None)
        if found is None:
            continue
        part, told = found
        del parts[part]
        odd = sorted({value for value in sheet.frame.to_numpy().ravel() if is_missing(value)} - {"", "NA"})
        rule = {"file": sheet.path.name, "patient": patient, **told} | ({"missing": ["", "NA", *odd]} if odd else {})
        lines[sheet.path] = f"  {part}: {in_yaml(rule)}  # guessed; TODO: confirm"
    return lines


def _told(sheet: TextTable, part: str, *, dated: bool = True) -> dict[str, Any]:
    """Return the columns of a part of the course by the manifest's keys; none where its day is not told."""
    when = when_taken(sheet.frame)
    if dated and (when is None or when.key != "day" or when.pattern):
        return {}
    found: dict[str, Any] = {"day": when.column} if dated and when else {}
    for key, pattern in _TOLD[part].items():
        for column in columns_of(sheet, pattern):
            values = sheet.frame[column]
            known = values[~values.map(is_missing)]
            if column not in found.values() and len(known) and known.map(is_number).all() == (key in _NUMBERS):
                found.setdefault(key, column)
    return found


def _transplants(sheet: TextTable) -> dict[str, Any]:
    told = _told(sheet, "transplants")
    return told if len({"donor", "batch", "route", "preparation"} & set(told)) > 1 else {}


def _cycles(sheet: TextTable) -> dict[str, Any]:
    told = _told(sheet, "cycles")
    given = "drug" in told and sheet.frame[told["drug"]].str.contains(_INHIBITORS).mean() > 0.5
    return told if given else {}


def _assessments(sheet: TextTable) -> dict[str, Any]:
    told = _told(sheet, "assessments")
    if "response" in told:
        words = [value for value in sheet.frame[told["response"]].unique() if value not in ("", "NA")]
        judged = {value: _JUDGED.get(word(value).removeprefix("recist"), "NE") for value in words}
        if 2 * sum(word(value).removeprefix("recist") in _JUDGED for value in words) <= len(words):
            return {}
        told["response"] = {"column": told["response"], "values": judged}
    return told if {"response", "sum_mm"} & set(told) else {}


def _medications(sheet: TextTable) -> dict[str, Any]:
    told = _told(sheet, "medications", dated=False)
    if not {"name", "start"} <= set(told):
        return {}
    column = told.pop("name")
    kinds = {
        name: next((kind for kind, drugs in _KINDS_OF_DRUG if re.search(drugs, name)), "other")
        for name in sheet.frame[column].unique()
    }
    return {"name": column, "kind": {"column": column, "values": kinds}, **told}


def _measures(sheet: TextTable) -> dict[str, Any]:
    told = _told(sheet, "measures")
    if not told or {"name", "value"} <= set(told):
        return told
    columns: dict[str, Any] = {}
    for measure, pattern, unit in _MEASURED:
        for column in columns_of(sheet, pattern):
            values = sheet.frame[column]
            if measure not in columns and values[~values.map(is_missing)].map(is_number).all():
                spelled = re.search(r"_(?:(kg|lb)|(m?g)_(?:per_)?(d?)l)$", snake(column))
                stated = spelled and (spelled[1] or f"{spelled[2]}/{spelled[3]}L")
                columns[measure] = {"column": column, "unit": stated or unit}
    return {"day": told["day"], "columns": columns} if columns else {}
