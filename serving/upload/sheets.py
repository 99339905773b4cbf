"""Which kind of file an uploaded one is, and whether a sheet is one patient's."""

from __future__ import annotations

import math

from features.columns import levels_by_field
from features.draft import CLINICAL_COLUMN, PATIENT_COLUMN, FileKind, find_file_kind, find_immune_layout, names_matching
from features.measured_values import MISSING_MARKS
from features.tables.text import TextTable, read_text_table
from features.units import split_name_and_unit
from serving.upload.findings import WHAT, Field, Known, Refused
from serving.upload.intake import StoredFile

NO_MEASUREMENT = r"(^|_)(id|identifier|sample|date|visit|time_?point|batch|plate)(_|$)"
"""Columns that name or date a row, in snake case."""


def kind_in(field: Field, file: StoredFile, known: Known) -> FileKind:
    """Return the kind of a file.

    Raises
    ------
    Refused
        It is of a kind that belongs in another field.
    FileError
        It cannot be read.
    """
    kind = find_file_kind(file.path)
    looks: list[Field] = ["taxonomy"] if kind == "taxonomy" else ["taxa"]
    if kind == "sheet":
        looks = _looks_of(read_text_table(file.path), known)
    if looks and field not in looks:
        came = f"what looks like {WHAT[looks[0]].partition(':')[0]}"
        raise Refused("wrong_field", came, WHAT[field], "Choose it in the field where it belongs.", file=file.name)
    return kind


def only_patient(sheet: TextTable, file: StoredFile) -> None:
    """Raise the fault of a sheet in which a column names several patients."""
    for column in names_matching(sheet.header, PATIENT_COLUMN):
        rows: dict[str, int] = {}
        for row, name in zip(sheet.frame.index.tolist(), sheet.frame[column], strict=True):
            if name.casefold() not in MISSING_MARKS:
                rows.setdefault(name, row)
        if len(rows) > 1:
            place = {"file": file.name, "row": list(rows.values())[1], "column": column}
            advice = "Leave this patient's rows alone in the table."
            raise Refused("several_patients", f"{len(rows)} patients", "one patient", advice, **place)


def finite_number(text: str) -> float | None:
    """Return the number that a cell writes, if it does."""
    try:
        number = float(text.replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _looks_of(sheet: TextTable, known: Known) -> list[Field]:
    columns = sheet.header
    fields = {field.casefold() for field in levels_by_field(known.names("clinical"))}
    looks: list[Field] = []
    if find_immune_layout(sheet) or any(known.is_analyte(split_name_and_unit(column)[0]) for column in columns):
        looks.append("immune")
    if names_matching(columns, CLINICAL_COLUMN) or fields & {column.casefold() for column in columns}:
        looks.append("clinical")
    return looks
