"""The days on which samples were taken, on the cohort's clock: stated, by label, or from two dates."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from features.dates import DateOrder, find_date_order, parse_date
from features.errors import InputError
from features.manifest import DayFromDates, DayPattern, Samples
from features.tables.text import TextTable, finite_numbers


def sample_days(
    part: Samples, table: TextTable, is_donor: pd.Series[bool], patients: tuple[TextTable, str] | None
) -> pd.Series[float]:
    """Return the day of each row of the samples' sheet, (n_rows,); NaN where no sample is dated, or it is a donor's.

    Parameters
    ----------
    part : Samples
        The part of the manifest that describes the sheet.
    table : TextTable
        The sheet.
    is_donor : pandas.Series of bool
        The rows of donor samples, (n_rows,): they need no day on a recipient's clock.
    patients : tuple of TextTable and str, optional
        The patients' sheet and its column of the patient, which may hold the dates of day 0.

    Raises
    ------
    FileError
        If a sample that is not a donor's has no day, or a date may be two.
    """
    match part.day:
        case None:
            return pd.Series(np.nan, index=table.frame.index)
        case DayFromDates() as dates:
            return _days_between(dates, part, table, is_donor, patients)
        case DayPattern() as pattern:
            return _stated_days(pattern, table, is_donor)


def _stated_days(part: DayPattern, table: TextTable, is_donor: pd.Series[bool]) -> pd.Series[float]:
    text = table.column(part.column)
    if part.labels:
        days = text.map(dict(part.labels)).astype(float)
        expectation = f"samples.day.labels has the days of {list(part.labels)}; add its day"
    else:
        days = finite_numbers(text.str.extract(part.pattern, expand=True)["day"])
        expectation = f"samples.day expects {part.pattern!r} to find one; days of labels stand under samples.day.labels"
    is_invalid = days.isna() & ~is_donor
    if is_invalid.any():
        position = int(is_invalid.to_numpy().argmax())
        raise table.error(f"no day in {text.iloc[position]!r}; {expectation}", part.column, position)
    return days


def _days_between(
    part: DayFromDates,
    samples: Samples,
    table: TextTable,
    is_donor: pd.Series[bool],
    patients: tuple[TextTable, str] | None,
) -> pd.Series[float]:
    """Return the days from the date of day 0 to that of each sample, (n_rows,)."""
    sampled = _dates(table, part.date, part.order, is_donor)
    if part.index in table.header or patients is None:
        index = _dates(table, part.index, part.order, is_donor)
    else:
        sheet, patient_column = patients
        by_patient = _dates(sheet, part.index, part.order, pd.Series(False, index=sheet.frame.index))
        by_patient = by_patient.set_axis(sheet.column(patient_column))
        index = table.column(samples.patient).map(by_patient[~by_patient.index.duplicated()])
    days = (pd.to_datetime(sampled) - pd.to_datetime(index)).dt.days.astype(float)
    is_invalid = days.isna() & ~is_donor
    if is_invalid.any():
        position = int(is_invalid.to_numpy().argmax())
        patient = table.column(samples.patient).iloc[position]
        raise table.error(
            f"patient {patient!r} has no date {part.index!r}, from which the day of this sample counts; add it",
            samples.patient,
            position,
        )
    return days


def _dates(table: TextTable, column: str, order: DateOrder | None, may_lack: pd.Series[bool]) -> pd.Series[date]:
    """Return the dates of a column, (n_rows,); None where a row that may lack one does."""
    cells = table.column(column)
    order = order or find_date_order(cells)
    dates: list[date | None] = []
    for position, cell in enumerate(cells):
        try:
            parsed = parse_date(cell, order)
        except InputError as error:
            problem = f"{error}; state samples.day.order, day_first or month_first, or write 2023-04-03"
            raise table.error(problem, column, position) from error
        if parsed is None and not may_lack.iloc[position]:
            raise table.error(
                f"expected a date such as 2023-04-03, got {cell!r}; correct it, or leave the row out", column, position
            )
        dates.append(parsed)
    return pd.Series(dates, index=cells.index, dtype=object)
