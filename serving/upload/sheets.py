"""Checks of any uploaded file: that its kind fits the field of the form, and that it is of one patient."""

from __future__ import annotations

from features.columns import levels_by_field
from features.draft import CLINICAL_COLUMN, PATIENT_COLUMN, FileKind, find_file_kind, find_immune_layout, names_matching
from features.immune import read_immune_export
from features.measured_values import MISSING_MARKS
from features.tables.decimals import is_number, parse_number
from features.tables.text import TextTable
from features.units import split_name_and_unit
from serving.upload.form import DESCRIPTIONS, Field
from serving.upload.intake import StoredFile
from serving.upload.report import Place, Report, UnreadableFile
from serving.upload.training_columns import TrainingColumns

NO_MEASUREMENT = r"(^|_)(id|identifier|sample|date|visit|time_?point|batch|plate)(_|$)"
"""Matches the names, in snake case, of columns that identify or date a row."""

MAX_COLUMNS = 20_000
"""The most columns of an immune or clinical table; the largest proteomic panels have some 11,000 analytes."""


def check_file_kind(field: Field, report: Report, file: StoredFile) -> FileKind:
    """Return the kind of a file.

    Raises
    ------
    UnreadableFile
        The kind belongs in another field of the form, or the table has more columns than `MAX_COLUMNS`.
    FileError
        The file cannot be read.
    """
    kind = find_file_kind(file.path)
    possible_fields: list[Field] = ["taxonomy"] if kind == "taxonomy" else ["taxa"]
    if kind == "sheet":
        table = read_immune_export(file.path).table
        if (n_columns := len(table.header)) > MAX_COLUMNS:
            advice = "Keep only the columns that a model reads."
            raise UnreadableFile(
                "too_large", f"{n_columns:,} columns", f"at most {MAX_COLUMNS:,}", advice, file=file.name
            )
        possible_fields = _possible_fields(table, report.training)
    if possible_fields and field not in possible_fields:
        observed = f"what looks like {DESCRIPTIONS[possible_fields[0]].partition(':')[0]}"
        advice = "Choose it in the field where it belongs."
        raise UnreadableFile("wrong_field", observed, DESCRIPTIONS[field], advice, file=file.name)
    return kind


def check_one_patient(table: TextTable, file: StoredFile) -> None:
    """Raise an error if a column names several patients.

    Raises
    ------
    UnreadableFile
        A column names several patients.
    """
    for column in names_matching(table.header, PATIENT_COLUMN):
        first_rows: dict[str, int] = {}
        for row, name in zip(table.frame.index.tolist(), table.frame[column], strict=True):
            if name.casefold() not in MISSING_MARKS:
                first_rows.setdefault(name, row)
        if len(first_rows) > 1:
            place: Place = {"file": file.name, "row": list(first_rows.values())[1], "column": column}
            observed, advice = f"{len(first_rows)} patients", "Keep only this patient's rows in the table."
            raise UnreadableFile("several_patients", observed, "one patient", advice, **place)


def finite_number(text: str) -> float | None:
    """Return the number that a cell contains; None if it contains none."""
    return parse_number(text) if is_number(text) else None


def _possible_fields(table: TextTable, training: TrainingColumns) -> list[Field]:
    columns = table.header
    clinical_fields = {field.casefold() for field in levels_by_field(training.names("clinical"))}
    fields: list[Field] = []
    if find_immune_layout(table) or any(training.is_analyte(split_name_and_unit(column)[0]) for column in columns):
        fields.append("immune")
    if names_matching(columns, CLINICAL_COLUMN) or clinical_fields & {column.casefold() for column in columns}:
        fields.append("clinical")
    return fields
