"""The clinical table of an upload: fields under the names that the served models read."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from features.columns import levels_by_field
from features.draft import PATIENT_COLUMN, names_matching
from features.measured_values import MISSING_MARKS
from features.tables.text import read_text_table
from serving.upload.intake import StoredFile
from serving.upload.report import Place, Report, UnreadableFile
from serving.upload.sheets import NO_MEASUREMENT, check_file_kind, check_one_patient, finite_number

_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def read_clinical_fields(report: Report, file: StoredFile) -> dict[str, JsonValue]:
    """Return the clinical fields of a request's `patient`.

    Raises
    ------
    UnreadableFile, FileError
        The file cannot be read.
    """
    check_file_kind("clinical", report, file)
    table = read_text_table(file.path)
    check_one_patient(table, file)
    (row, cells), *other_rows = zip(table.frame.index.tolist(), table.frame.to_dict("records"), strict=True)
    if other_rows:
        observed, advice = f"{len(other_rows) + 1} rows", "Keep only this patient's row in the table."
        raise UnreadableFile("several_patients", observed, "one", advice, file=file.name, row=other_rows[0][0])
    report.interpret("file", "clinical table", "one row", file.name)
    levels = levels_by_field(sorted(report.training.names("clinical")))
    names, ranges = {name.casefold(): name for name in levels}, report.training.ranges("clinical")
    filled = {str(column): text for column, text in cells.items() if text.casefold() not in MISSING_MARKS}
    fields: dict[str, JsonValue] = {}
    for column in (column for column in filled if column.casefold() in names):
        name = names[column.casefold()]
        place: Place = {"file": file.name, "row": row, "column": column}
        value, training_range = _field_value(filled[column], levels[name]), ranges.get(name)
        if value is None:
            requirement = f"one of {', '.join(levels[name])}" if levels[name] else "a number, yes or no"
            advice = "Correct it, or leave it empty."
            report.stop("value", f"{name} of {filled[column]!r}", requirement, advice, **place)
            continue
        fields[name] = value
        report.interpret("clinical", f"{name} {value}", str(training_range or ""), file.name)
        if training_range and not training_range.contains(float(value)):
            advice = "Check the value and its unit."
            report.warn("out_of_range", f"{name} of {value}", str(training_range), advice, **place)
    _warn_of_unknown(report, file, [column for column in filled if column.casefold() not in names], list(levels))
    return fields


def _warn_of_unknown(report: Report, file: StoredFile, columns: Sequence[str], fields: Sequence[str]) -> None:
    unknown = [column for column in columns if not names_matching([column], f"{PATIENT_COLUMN}|{NO_MEASUREMENT}")]
    if unknown:
        requirement = ", ".join(fields) or "none: no served model reads clinical fields"
        advice = "Ignored; rename the columns that a model reads."
        report.warn("unknown_column", ", ".join(unknown), requirement, advice, file=file.name, row=1, column=unknown[0])


def _field_value(text: str, levels: Sequence[str]) -> float | str | bool | None:
    if levels:
        return next((level for level in levels if level.casefold() == text.casefold()), None)
    return _BOOLEANS[text.casefold()] if text.casefold() in _BOOLEANS else finite_number(text)
