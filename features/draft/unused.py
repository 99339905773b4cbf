"""Why a file is not used in a draft, and what makes it usable."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from features.analytes import is_known_analyte
from features.draft.clinical import analytes_and_more, is_clinical
from features.draft.columns import columns_matching, find_patient_column, patient_column_with_gaps
from features.draft.immune import ANALYTE_COLUMN, VALUE_COLUMN
from features.draft.outcomes import (
    BEST_RESPONSE_COLUMN,
    EVENT_TERM_COLUMN,
    GRADE_COLUMN,
    RESPONSE_COLUMN,
    outcome_flag,
)
from features.draft.visit_labels import days_of_labels
from features.draft.yaml_lines import in_yaml
from features.name_matching import NAME_DIFFERENCES, simplified
from features.outcomes import parse_grade
from features.tables.text import TextTable

_MIN_ANALYTES = 3
_MIN_PATIENTS = 3


def unused_reason(
    sheet: TextTable, patients: Set[str], sheets: Sequence[TextTable], patient_sheet: TextTable | None
) -> str:
    """Return why a sheet has no role in a draft, and what to do.

    Parameters
    ----------
    sheet : TextTable
        The sheet.
    patients : set of str
        The patients with stool.
    sheets : sequence of TextTable
        All sheets of the cohort.
    patient_sheet : TextTable, optional
        The sheet of patients.
    """
    if twin := next((other for other in sheets if other.path != sheet.path and other.header == sheet.header), None):
        return f"its columns are those of {in_yaml(twin.path.name)}; put the rows of both into one file"
    if "PARAMCD" in sheet.header:
        return (
            "it has a row for each parameter, as CDISC's analysis data sets have; make a sheet of one row for each "
            "patient with a column for each parameter, where CNSR 0 is the event"
        )
    if columns_matching(sheet, GRADE_COLUMN) and columns_matching(sheet, EVENT_TERM_COLUMN):
        return (
            "it may list adverse events, of which the grade (1 to 5, 'G3', 'III') and the onset, a day counted from "
            f"day 0 or a date, are needed; add what is not there{_no_grade(sheet)}"
        )
    if (reason := _analytes_in_rows(sheet)) or (reason := visits_in_columns(sheet)):
        return reason
    if reason := _patients_in_columns(sheet, patients):
        return reason
    if reason := _cells_of_visits(sheet) or _patient_missing(sheet):
        return reason
    column = find_patient_column(sheet, patients) if patients else None
    repeated = [] if column is None else sheet.frame[column][sheet.frame[column].duplicated()].tolist()
    if repeated:
        best = ", with the best of its responses before progression" if _holds_responses(sheet) else ""
        return f"patient {in_yaml(repeated[0])} has several rows; write one row for each patient{best}"
    if column is not None and patient_sheet is not None and is_clinical(sheet):
        return f"a cohort has one sheet of patients; add these columns to {in_yaml(patient_sheet.path.name)}"
    if column is not None:
        return (
            f"it names patients in column {in_yaml(column)}, but no other column is known by its name; describe it "
            "under 'patients', with the columns to learn from as 'covariates'"
        )
    return _other_spelling(sheet, patients) or "it was not recognised"


def _no_grade(sheet: TextTable) -> str:
    for column in columns_matching(sheet, GRADE_COLUMN):
        for line, cell in sheet.frame[column].items():
            if parse_grade(cell) is None:
                value = in_yaml(cell) if cell else "an empty cell"
                return f", and write the grade that was reached in row {line}, where {value} is no grade of an event"
    return ""


def _holds_responses(sheet: TextTable) -> bool:
    columns = columns_matching(sheet, f"{BEST_RESPONSE_COLUMN}|{RESPONSE_COLUMN}")
    return any(outcome_flag(column, sheet.frame[column]) is not None for column in columns)


def _patients_in_columns(sheet: TextTable, patients: Set[str]) -> str:
    names = [name for name in sheet.header if name in patients]
    if len(names) < _MIN_PATIENTS or 2 * len(names) < len(sheet.header):
        return ""
    return f"its patients, such as {in_yaml(names[0])}, are columns; swap rows and columns, so that each is a row"


def _analytes_in_rows(sheet: TextTable) -> str:
    n_analytes = sum(is_known_analyte(cell) for cell in sheet.frame[sheet.header[0]])
    if n_analytes < _MIN_ANALYTES:
        return ""
    return "its analytes are rows; swap rows and columns, so that each blood draw is a row with its patient and day"


def _cells_of_visits(sheet: TextTable) -> str:
    """Return what to do about a table of a row for each patient and analyte with columns of visits; empty of others."""
    if not columns_matching(sheet, ANALYTE_COLUMN) or columns_matching(sheet, VALUE_COLUMN):
        return ""
    visits = [column for column, day in days_of_labels(sheet.header).items() if day is not None]
    if len(visits) < 2:
        return ""
    return (
        f"its values stand in a column for each visit, such as {in_yaml(visits[0])}; write a row for each patient with "
        f"columns such as {in_yaml(f'IL6_{visits[0]}')}"
    )


def _patient_missing(sheet: TextTable) -> str:
    """Return what to do about a sheet in which few rows have no patient, as one of units below the header."""
    column = patient_column_with_gaps(sheet)
    if column is None:
        return ""
    cells = sheet.frame[column]
    if 2 * (cells == "").sum() >= len(cells):
        return ""
    row = cells.index[cells == ""][0]
    return (
        f"{in_yaml(column)} is empty in rows such as {row}; remove rows of units and the like, and fill in the patient "
        "in others, since of merged cells the first alone holds the text"
    )


def visits_in_columns(sheet: TextTable) -> str:
    """Return what to do about columns that name an analyte and more, as a visit; empty where there are none."""
    columns = analytes_and_more(sheet)
    if len(columns) < _MIN_ANALYTES:
        return ""
    return (
        f"columns such as {in_yaml(columns[0])} name an analyte and more, as a visit or a statistic; part visits from "
        "analytes as in IL6_D28, or write a row for each blood draw with its day, and name other columns by the "
        "analyte and its unit alone"
    )


def _other_spelling(sheet: TextTable, patients: Set[str]) -> str:
    spellings = {_simplified(patient): patient for patient in patients}
    for column in sheet.header:
        cells = sheet.frame[column].unique()
        pairs = {cell: spellings.get(_simplified(cell)) for cell in cells}
        near = {cell: patient for cell, patient in pairs.items() if patient not in (None, cell)}
        if near and 2 * len(near) >= len(pairs):
            cell, patient = next(iter(near.items()))
            return (
                f"{in_yaml(cell)} in column {in_yaml(column)} may be patient {in_yaml(patient)}; write each patient's "
                "name in one way"
            )
    return ""


def _simplified(name: str) -> str:
    """Return a name without differences of spelling, and without the decimals that a spreadsheet writes: 101.0."""
    return simplified(re.sub(r"(?<=^\d)(\d*)\.0$", r"\1", name), NAME_DIFFERENCES)
