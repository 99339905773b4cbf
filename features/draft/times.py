"""The columns from which a draft takes the days of samples and blood draws: dates, or labels of visits."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence, Set

import pandas as pd

from features.dates import parse_date
from features.draft.cells import is_missing
from features.draft.clinical import is_clinical
from features.draft.columns import (
    DATE_COLUMN,
    INDEX_DATE_COLUMN,
    VISIT_COLUMN,
    find_patient_column,
    holds_dates,
    is_of_another_event,
    names_matching,
)
from features.draft.visit_labels import count_from_event, days_of_labels
from features.draft.yaml_lines import in_yaml
from features.gene_dates import MONTH_NAMES
from features.tables.text import TextTable

_TIME_COLUMN = (
    r"^(?!.*(respon|durat|antibio|treat|therap|dose|grade|onset|scan)).*"
    r"(^|_)(time|tp|time_?point|visit|days?|weeks?|phase|event_name|sampling|collection|zeitpunkt)(_|$)"
)
_PART_OF_DATE = re.compile(
    r"\d{1,2}([-/.])\d{1,2}\1\d{2}|\d{4}[-/]\d{1,2}|\d{1,2}/\d{4}"
    rf"|({'|'.join(MONTH_NAMES)})[^\W\d]*\.?[- ]\d{{2,4}}",
    re.IGNORECASE,
)
"""Dates without a century or a day, as '15/01/23' and 'Jan-2023'."""
_NUMBER_OF_DAY = re.compile(r"[2-6]\d{4}(\.\d+)?")
"""How spreadsheets number the days: 45349 is 2024-02-27."""


def label_column(recipients: pd.DataFrame) -> tuple[str, dict[str, float | None]] | None:
    """Return the column of the labels of visits, and the day that each states."""
    for column in names_matching(map(str, recipients), VISIT_COLUMN):
        labels = list(recipients[column].unique())
        if 1 < len(labels) <= 20 and not any(map(is_missing, labels)):
            return column, days_of_labels(labels)
    for column in names_matching(map(str, recipients), _TIME_COLUMN):
        labels = list(recipients[column].unique())
        days = days_of_labels(labels) if 1 < len(labels) <= 20 else {}
        # Under other names a column counts as one of visits only if each of its labels states a day, and they count
        # from an event: samples are also stored, and shipped, for days and weeks.
        if days and None not in days.values() and count_from_event(days) and not is_of_another_event(column):
            return column, days
    return None


def date_columns(
    sheet: TextTable, recipients: pd.DataFrame, patient: str, sheets: Sequence[TextTable]
) -> tuple[str, str] | None:
    """Return the column of the date of each sample, and that of day 0, which may stand in a sheet of patients."""
    date_columns = [name for name in names_matching(sheet.header, DATE_COLUMN) if holds_dates(recipients[name])]
    sampled = [name for name in date_columns if not names_matching([name], INDEX_DATE_COLUMN)]
    if not sampled:
        return None
    index = index_column(sheet, set(recipients[patient]), sheets, sampled)
    return None if index is None else (sampled[0], index)


def index_column(
    sheet: TextTable, patients: Set[str], sheets: Sequence[TextTable], dates: Collection[str] = ()
) -> str | None:
    """Return the column of the date of day 0, of a sheet itself or of one that may become the sheet of patients.

    `dates` are columns of the sheet that date something else.
    """
    for other_sheet in (sheet, *(other_sheet for other_sheet in sheets if other_sheet is not sheet)):
        if other_sheet is sheet or (
            is_clinical(other_sheet) and find_patient_column(other_sheet, patients, one_row_each=True)
        ):
            for column in names_matching(other_sheet.header, INDEX_DATE_COLUMN):
                is_other_date = other_sheet is sheet and column in dates
                if not is_other_date and holds_dates(other_sheet.frame[column]):
                    return column
    return None


def date_questions(sheet: TextTable, recipients: pd.DataFrame, sheets: Sequence[TextTable]) -> list[str]:
    """Return what keeps columns of dates from dating samples: a cell that is no date, or no date of day 0."""
    sampled = [name for name in names_matching(sheet.header, DATE_COLUMN) if _mostly_dates(recipients[name])]
    sampled = [name for name in sampled if not names_matching([name], INDEX_DATE_COLUMN)]
    if not sampled:
        return []
    columns = {sampled[0]: recipients[sampled[0]]}
    for other_sheet in sheets:
        names = names_matching(other_sheet.header, INDEX_DATE_COLUMN)
        columns |= {name: other_sheet.frame[name] for name in names if _mostly_dates(other_sheet.frame[name])}
    questions = [
        f"  # TODO: {in_yaml(name)} {problem}" for name, cells in columns.items() if (problem := _problem(cells))
    ]
    rule = in_yaml({"from": sampled[0], "index": "COLUMN"})
    return questions or [
        f"  # TODO: {in_yaml(sampled[0])} dates the samples; name the column of the date of day 0 too: 'day: {rule}'"
    ]


def _mostly_dates(cells: pd.Series[str]) -> bool:
    reported = [cell for cell in cells if not is_missing(cell)]
    dates = [
        cell for cell in reported if _is_date(cell) or _NUMBER_OF_DAY.fullmatch(cell) or _PART_OF_DATE.fullmatch(cell)
    ]
    return 2 * len(dates) > len(reported)


def _is_date(cell: str) -> bool:
    return parse_date(cell, "day_first") is not None or parse_date(cell, "month_first") is not None


def _problem(cells: pd.Series[str]) -> str:
    cell = next((cell for cell in cells if not is_missing(cell) and not _is_date(cell)), "")
    if not cell:
        return ""
    if _NUMBER_OF_DAY.fullmatch(cell):
        return f"holds {cell}, a spreadsheet's number of a day; export the column as dates, such as 2024-02-27"
    return f"would date the samples, but {in_yaml(cell)} is no date of one day, such as 2024-02-27; correct it"
