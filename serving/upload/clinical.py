"""Clinical fields, under the names that the served models read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from features.columns import levels_by_field
from features.draft import PATIENT_COLUMN, names_matching
from features.measured_values import MISSING_MARKS
from features.tables.text import read_text_table
from serving.upload.findings import Refused, Told
from serving.upload.intake import StoredFile
from serving.upload.sheets import NO_MEASUREMENT, finite_number, kind_in, only_patient

_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


def fields(told: Told, file: StoredFile) -> dict[str, Any]:
    """Return the clinical fields of a request's `patient`.

    Raises
    ------
    Refused, FileError
        The file cannot be read any further.
    """
    kind_in("clinical", file, told.known)
    sheet = read_text_table(file.path)
    only_patient(sheet, file)
    (row, cells), *more = zip(sheet.frame.index.tolist(), sheet.frame.to_dict("records"), strict=True)
    if more:
        advice = "Leave this patient's row alone in the table."
        raise Refused("several_patients", f"{len(more) + 1} rows", "one", advice, file=file.name, row=more[0][0])
    told.say("file", "clinical table", "one row", file.name)
    levels = levels_by_field(sorted(told.known.names("clinical")))
    spelled, ranges = {name.casefold(): name for name in levels}, told.known.ranges("clinical")
    given = {str(column): text for column, text in cells.items() if text.casefold() not in MISSING_MARKS}
    found: dict[str, Any] = {}
    strange = [column for column in given if column.casefold() not in spelled]
    for column in (column for column in given if column not in strange):
        name, place = spelled[column.casefold()], {"file": file.name, "row": row, "column": column}
        value, range = _value(given[column], levels[name]), ranges.get(name)
        if value is None:
            expected = f"one of {', '.join(levels[name])}" if levels[name] else "a number, yes or no"
            told.stop("value", f"{name} of {given[column]!r}", expected, "Correct it, or leave it empty.", **place)
            continue
        found[name] = value
        told.say("clinical", f"{name} {value}", str(range or ""), file.name)
        if range and not range.holds(float(value)):
            told.warn("out_of_range", f"{name} of {value}", str(range), "Check the value and its unit.", **place)
    strange = [column for column in strange if not names_matching([column], f"{PATIENT_COLUMN}|{NO_MEASUREMENT}")]
    if strange:
        read = ", ".join(levels) or "none: no model that is served reads clinical fields"
        advice = "They are left out; rename those that a model reads."
        told.warn("unknown_column", ", ".join(strange), read, advice, file=file.name, row=1, column=strange[0])
    return found


def _value(text: str, levels: Sequence[str]) -> float | str | bool | None:
    if levels:
        return next((level for level in levels if level.casefold() == text.casefold()), None)
    return _TRUTH[text.casefold()] if text.casefold() in _TRUTH else finite_number(text)
