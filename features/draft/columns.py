"""Columns of a sheet, recognised by their names: patient, day, visit.

The patterns are searched for in a column's name in snake case: "Days from firstDose" is "days_from_first_dose".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Literal, NamedTuple

import pandas as pd

from features.dates import find_date_order, parse_date
from features.draft.cells import is_missing
from features.draft.header_codes import without_codes
from features.draft.translations import ENGLISH_NAMES, ENGLISH_WORDS, UNIT_WORDS
from features.draft.visit_columns import find_visit_columns
from features.draft.visit_labels import are_days_of_cycles
from features.errors import InputError
from features.outcomes import DAYS_PER_MONTH
from features.tables.decimals import is_number
from features.tables.text import TextTable

PATIENT_COLUMN = (
    r"^(host_|study_)?(patient|subject|participant|individual|pt|pat)(_?(id|identifier|name|code|number|no|nr))?$"
)
_RECORD_COLUMN = r"^(record_id|study_id|usubjid|case_id)$"
"""The columns by which REDCap and trial databases name a patient."""
OTHER_PATIENT_COLUMN = r"^(id|mrn|upn|case_(no|number)|code|pseudonym|initials|anonymi[sz]ed_id)$"
"""The columns of a patient by names that may also be of a sample."""
DAY_COLUMN = r"(^|_)days?(_|$)"
VISIT_COLUMN = r"^(visit|time_?point)(_?(number|no|nr|id|name|label))?$"
DATE_COLUMN = r"(^|_)(date|collected|sampled|collection|sampling|drawn)(_|$)"
INDEX_DATE_COLUMN = (
    r"((^|_)(first|start|baseline|index|c1d1)(_|$).*(dose|treatment|therapy|ici|infusion|date|cycle)|"
    r"(dose|treatment|therapy|ici|infusion|cycle)_(1|one|start|begin)|(^|_)(fmt|transplant(ation)?)(_|$).*date|"
    r"date.*(fmt|transplant|first|start))"
)
"""The columns of the date of day 0: of the first dose, or of the transplant."""
OTHER_ORIGIN = r"diagnos|(?<![a-z])dx(?![a-z])|birth|surg|resect|metasta|biops|stage|relapse|recurr|progress"
"""Events before treatment from which a time may count."""
_DAY_OF_ANOTHER_EVENT = (
    r"first_(collection|sample|visit)|surviv|pfs|(^|_)os(_|$)|follow|contact|death|deceased"
    rf"|(^|_)age(_|$)|(^|_)last(_|$)|to_(first_)?(respon|ir_?ae|toxic)|antibio|steroid|hospital|{OTHER_ORIGIN}"
)
"""Days in columns of these names count from or to another event than day 0 of the cohort's clock."""
_MOST_LABELS = 40
CLOCK_EVENT = r"(?:fmt|transplant(?:ation)?|treatment|therapy|immunotherapy|first_dose|dose|ici|infusion|baseline)"
"""The events from which a cohort's clock may count."""
_COUNTED_UNIT = re.compile(
    rf"(?:(?:study|visit|sample|sampling|collection)_)?(?P<unit>{'|'.join(UNIT_WORDS['weeks'] + UNIT_WORDS['months'])})"
    rf"(?P<event>_(?:from|since|relative_to)_(?:start_of_)?{CLOCK_EVENT}(?:_start)?"
    r"|_(?:after|post)_(?:fmt|transplant(?:ation)?|first_dose))?"
)
"""Columns of weeks or months alone, or from the event at day 0; a time after treatment may be after its end."""
_UNCLEAR_DAYS = rf"^(?!.*{CLOCK_EVENT}).*(^|_)days(_|$)"
"""Days that may be of follow-up, or a length of time."""
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
    labels : mapping of str to float or None
        For a column of weeks or months: the day that each of its cells means.
    """

    key: Literal["day", "visit"]
    column: str
    pattern: str | None = None
    labels: Mapping[str, float] | None = None


def snake_case(name: str) -> str:
    """Return a column's name in snake case, in English where it is a known word of another language."""
    snake_name = _name_in_file(name)
    return ENGLISH_NAMES.get(snake_name) or "_".join(ENGLISH_WORDS.get(word, word) for word in snake_name.split("_"))


def _name_in_file(name: str) -> str:
    """Return a column's name in snake case, in the language of the file."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", unicodedata.normalize("NFC", without_codes(name)))
    return re.sub(r"[\W_]+", "_", words).strip("_").lower()


def names_matching(names: Iterable[str], pattern: str) -> list[str]:
    """Return the names in whose snake case a pattern is found, those of other languages behind those in English."""
    matches = [name for name in names if re.search(pattern, snake_case(name))]
    return sorted(matches, key=lambda name: re.search(pattern, _name_in_file(name)) is None)


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


def reported_patients(sheets: Iterable[TextTable], patients: Set[str], pattern: str) -> set[str]:
    """Return the patients for whom a sheet reports anything in columns that match a pattern by their names."""
    reported: set[str] = set()
    for sheet in sheets:
        column = find_patient_column(sheet, patients)
        for name in columns_matching(sheet, pattern) if column else []:
            reported |= set(sheet.frame[column][~sheet.frame[name].map(is_missing)])
    return reported & patients


def patient_column_with_gaps(sheet: TextTable) -> str | None:
    """Return the column named for the patient in which some cells are empty; None where there is none."""
    column = next(iter(columns_matching(sheet, PATIENT_COLUMN)), None)
    return column if column and (sheet.frame[column] == "").any() and (sheet.frame[column] != "").any() else None


def is_of_another_event(column: str) -> bool:
    """Tell whether times in a column count from or to another event than day 0, or are a patient's age."""
    return re.search(_DAY_OF_ANOTHER_EVENT, snake_case(column)) is not None


def find_time_column(frame: pd.DataFrame, patient: str | None = None) -> TimeColumn | None:
    """Return the column that states when samples were taken: a day, weeks, a name that ends in a day, or a visit.

    A column in another language counts only where none in English does: a tag may also be a barcode. Days that do not
    change within any `patient` of several samples date none of them, unless their name states an event; weeks never do.
    """
    return _time_column(frame, patient, _name_in_file) or _time_column(frame, patient, snake_case)


def _time_column(frame: pd.DataFrame, patient: str | None, read_name: Callable[[str], str]) -> TimeColumn | None:
    measured_columns = find_visit_columns(map(str, frame))
    names = {
        str(column): read_name(str(column))
        for column, cells in frame.items()
        if str(column) not in measured_columns and not is_of_another_event(str(column)) and cells.map(is_number).all()
    }
    patients = frame[patient] if patient in frame else frame.index.to_series()
    has_repeats = bool(patients.duplicated().any())

    def is_fixed(column: str) -> bool:
        return has_repeats and bool(frame[column].groupby(patients).nunique().max() == 1)

    days = [
        column
        for column, name in names.items()
        if re.search(DAY_COLUMN, name) and not (re.search(_UNCLEAR_DAYS, name) and is_fixed(column))
    ]
    if days:
        return TimeColumn("day", days[0])
    for week_column, name in names.items():
        labels = _days_of_weeks(name, frame[week_column])
        if labels and not is_fixed(week_column):
            return TimeColumn("day", week_column, labels=labels)
    for column, cells in frame.items():
        has_day = cells.map(lambda cell: re.search(_DAY_IN_SAMPLE_NAME, cell) is not None)
        if has_day.all() and not are_days_of_cycles(cells):
            return TimeColumn("day", str(column), _DAY_IN_SAMPLE_NAME)
    visits = [column for column, name in names.items() if re.search(VISIT_COLUMN, name)]
    return TimeColumn("visit", visits[0]) if visits else None


def _days_of_weeks(name: str, cells: pd.Series[str]) -> dict[str, float]:
    """Return the day of each cell of a column of weeks or months; empty for another column.

    A column named month may be the month of a calendar: it counts from an event if it says so, or begins at 0. Weeks
    to or from another event, or of something, date no sample.
    """
    match = _COUNTED_UNIT.fullmatch(name)
    numbers = {str(cell): float(cell.replace("\N{MINUS SIGN}", "-")) for cell in cells.unique()}
    is_counted = match and (match["event"] or min(numbers.values(), default=1) <= 0)
    if not match or not is_counted or len(numbers) > _MOST_LABELS:
        return {}
    days = 7.0 if match["unit"] in UNIT_WORDS["weeks"] else DAYS_PER_MONTH
    return {cell: float(round(number * days)) for cell, number in numbers.items()}


def holds_dates(cells: pd.Series[str]) -> bool:
    """Tell whether every reported cell of a column is a date, its order stated or not."""
    reported = [cell for cell in cells if not is_missing(cell)]
    order = find_date_order(reported)
    try:
        return bool(reported) and all(parse_date(cell, order) is not None for cell in reported)
    except InputError:
        return all(parse_date(cell, "day_first") or parse_date(cell, "month_first") for cell in reported)
