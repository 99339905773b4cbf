"""Columns of a sheet, recognised by their names: patient, day, visit.

The patterns are searched for in a column's name in snake case: "Days from firstDose" is "days_from_first_dose".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

import pandas as pd

from features.dates import find_date_order, parse_date
from features.draft.cells import is_missing
from features.errors import InputError
from features.tables.decimals import is_number
from features.tables.text import TextTable

PATIENT_COLUMN = (
    r"^(host_|study_)?(patient|subject|participant|individual|pt)(_?(id|identifier|name|code|number|no|nr))?$"
)
_RECORD_COLUMN = r"^(record_id|study_id|usubjid|case_id)$"
"""The columns by which REDCap and trial databases name a patient."""
DAY_COLUMN = r"(^|_)days?(_|$)"
VISIT_COLUMN = r"^(visit|time_?point)(_?(number|no|nr|id|name|label))?$"
DATE_COLUMN = r"(^|_)(date|collected|sampled|collection|sampling|drawn)(_|$)"
INDEX_DATE_COLUMN = (
    r"((^|_)(first|start|baseline|index|c1d1)(_|$).*(dose|treatment|therapy|ici|infusion|date|cycle)|"
    r"(dose|treatment|therapy|ici|infusion|cycle)_(1|one|start|begin)|(^|_)(fmt|transplant(ation)?)(_|$).*date|"
    r"date.*(fmt|transplant|first|start))"
)
"""The columns of the date of day 0: of the first dose, or of the transplant."""
_DAY_OF_ANOTHER_EVENT = r"first_(collection|sample|visit)|surviv|pfs|(^|_)os(_|$)|follow|death|progress|(^|_)age(_|$)"
_DAY_IN_SAMPLE_NAME = r"(?<=[0-9_.-])[Dd](ay)?_?(?P<day>-?[0-9]+)$"


class TimeColumn(NamedTuple):
    """The column that states when a sample was taken, as a day or a visit.

    Attributes
    ----------
    key : {'day', 'visit'}
        The key of the manifest.
    column : str
        The column.
    pattern : str or None
        For names of samples that end in a day: the pattern that finds it.
    """

    key: Literal["day", "visit"]
    column: str
    pattern: str | None = None


def snake_case(name: str) -> str:
    """Return a column's name in snake case."""
    return re.sub(r"[\W_]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name)).strip("_").lower()


def names_matching(names: Iterable[str], pattern: str) -> list[str]:
    """Return the names in whose snake case a pattern is found."""
    return [name for name in names if re.search(pattern, snake_case(name))]


def columns_matching(sheet: TextTable, pattern: str) -> list[str]:
    """Return the columns of a sheet in the snake case of whose names a pattern is found."""
    return names_matching(sheet.header, pattern)


def find_patient_column(sheet: TextTable, patients: Iterable[str] = (), *, one_row_each: bool = False) -> str | None:
    """Return the column of the patient, None where there is none.

    Parameters
    ----------
    sheet : TextTable
        The sheet.
    patients : iterable of str
        The patients, where they are known: the column is then the one that holds most of them, whatever its name.
    one_row_each : bool
        Whether the column must hold each patient once, and more than half of the known patients.
    """
    patient_set = set(patients)
    named_columns = [*columns_matching(sheet, PATIENT_COLUMN), *columns_matching(sheet, _RECORD_COLUMN)]
    column = next(iter(named_columns), None)
    if patient_set:
        shared = {name: len(patient_set & set(sheet.frame[name])) for name in sheet.header}
        best = max(shared, key=lambda name: shared[name])
        column = best if 2 * shared[best] >= min(len(patient_set), sheet.frame[best].nunique()) else None
        if one_row_each and 2 * shared[best] <= len(patient_set):
            return None
    if column is None or (sheet.frame[column] == "").any():
        return None
    return None if one_row_each and sheet.frame[column].duplicated().any() else column


def find_time_column(frame: pd.DataFrame) -> TimeColumn | None:
    """Return the column that states when samples were taken: a day, a name that ends in a day, or a visit."""
    for column, cells in frame.items():
        if _holds_numbers_named(str(column), cells, DAY_COLUMN):
            return TimeColumn("day", str(column))
    for column, cells in frame.items():
        if cells.map(lambda cell: re.search(_DAY_IN_SAMPLE_NAME, cell) is not None).all():
            return TimeColumn("day", str(column), _DAY_IN_SAMPLE_NAME)
    for column, cells in frame.items():
        if _holds_numbers_named(str(column), cells, VISIT_COLUMN):
            return TimeColumn("visit", str(column))
    return None


def holds_dates(cells: pd.Series[str]) -> bool:
    """Tell whether every reported cell of a column is a date, its order stated or not."""
    reported = [cell for cell in cells if not is_missing(cell)]
    order = find_date_order(reported)
    try:
        return bool(reported) and all(parse_date(cell, order) is not None for cell in reported)
    except InputError:
        return all(parse_date(cell, "day_first") or parse_date(cell, "month_first") for cell in reported)


def day_of_label(label: str) -> float | None:
    """Return the day that the label of a visit states, as in 'Week 6' or 'baseline'; None where it states none."""
    word = re.sub(r"[\W_]+", "", label).casefold()
    if re.fullmatch(r"baseline|bl|pre(treatment|ici|dose|fmt)?|d0|w0|m0", word):
        return 0.0
    match = re.fullmatch(r"(?:(d|day|days)|(w|wk|week|weeks))(\d+)", word)
    return None if match is None else float(match[3]) * (1 if match[1] else 7)


def _holds_numbers_named(column: str, cells: pd.Series[str], pattern: str) -> bool:
    name = snake_case(column)
    is_named = re.search(pattern, name) is not None and re.search(_DAY_OF_ANOTHER_EVENT, name) is None
    return is_named and bool(cells.map(is_number).all())
