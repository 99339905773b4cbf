"""The columns from which a draft takes the days of samples and blood draws: dates, or labels of visits."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from features.draft.cells import is_missing
from features.draft.columns import (
    DATE_COLUMN,
    INDEX_DATE_COLUMN,
    VISIT_COLUMN,
    day_of_label,
    find_patient_column,
    holds_dates,
    names_matching,
)
from features.tables.text import TextTable


def label_column(recipients: pd.DataFrame) -> tuple[str, dict[str, float | None]] | None:
    """Return the column of the labels of visits, and the day that each states."""
    for column in names_matching(map(str, recipients), VISIT_COLUMN):
        labels = list(recipients[column].unique())
        if 1 < len(labels) <= 20 and not any(map(is_missing, labels)):
            return column, {label: day_of_label(label) for label in labels}
    return None


def date_columns(
    sheet: TextTable, recipients: pd.DataFrame, patient: str, sheets: Sequence[TextTable]
) -> tuple[str, str] | None:
    """Return the column of the date of each sample, and that of day 0, which may stand in a sheet of patients."""
    date_columns = [name for name in names_matching(sheet.header, DATE_COLUMN) if holds_dates(recipients[name])]
    sampled = [name for name in date_columns if not names_matching([name], INDEX_DATE_COLUMN)]
    if not sampled:
        return None
    patients = set(recipients[patient])
    for other_sheet in (sheet, *(other_sheet for other_sheet in sheets if other_sheet is not sheet)):
        if other_sheet is sheet or find_patient_column(other_sheet, patients, one_row_each=True):
            for column in names_matching(other_sheet.header, INDEX_DATE_COLUMN):
                if column not in sampled and holds_dates(other_sheet.frame[column]):
                    return sampled[0], column
    return None
