"""The days of samples, blood draws and adverse events on the cohort's clock: stated, by label, or from two dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd

from features.dates import DateOrder, find_date_order, parse_date
from features.errors import InputError
from features.manifest import DayFromDates, DayPattern
from features.tables.text import TextTable, finite_numbers


@dataclass(frozen=True)
class DayRule:
    """How the days of a table are found.

    Attributes
    ----------
    key : str
        The rule's key in the manifest, such as 'samples.day', for errors.
    rule : DayPattern or DayFromDates
        The rule.
    patient : str
        The table's column of the patient.
    """

    key: str
    rule: DayPattern | DayFromDates
    patient: str

    def days(
        self, table: TextTable, may_lack: pd.Series[bool], patients: tuple[TextTable, str] | None
    ) -> pd.Series[float]:
        """Return the day of each row of a table, (n_rows,).

        Parameters
        ----------
        table : TextTable
            The table of samples, blood draws or adverse events.
        may_lack : pandas.Series of bool
            The rows that may lack a day, (n_rows,), such as those of donors: they have none on a recipient's clock.
        patients : tuple of TextTable and str, optional
            The patients' sheet and its column of the patient, which may hold the dates of day 0.

        Raises
        ------
        FileError
            If a row that may not lack a day has none, or a date may be two.
        """
        if isinstance(self.rule, DayPattern):
            return self._stated_days(self.rule, table, may_lack)
        return self._days_between(self.rule, table, may_lack, patients)

    def _stated_days(self, rule: DayPattern, table: TextTable, may_lack: pd.Series[bool]) -> pd.Series[float]:
        text = table.column(rule.column)
        if rule.labels:
            days = text.map(dict(rule.labels)).astype(float)
            expectation = f"{self.key}.labels has the days of {list(rule.labels)}; add its day"
        else:
            days = finite_numbers(text.str.extract(rule.pattern, expand=True)["day"])
            expectation = (
                f"{self.key} expects {rule.pattern!r} to find one; days of labels stand under {self.key}.labels"
            )
        is_invalid = days.isna() & ~may_lack
        if is_invalid.any():
            position = int(is_invalid.to_numpy().argmax())
            raise table.error(f"no day in {text.iloc[position]!r}; {expectation}", rule.column, position)
        return days

    def _days_between(
        self,
        rule: DayFromDates,
        table: TextTable,
        may_lack: pd.Series[bool],
        patients: tuple[TextTable, str] | None,
    ) -> pd.Series[float]:
        """Return the days from the date of day 0 to that of each row, (n_rows,)."""
        sampling_date = self._dates(table, rule.date, rule.order, may_lack)
        # A date of the row itself is no date of day 0, which the patients' sheet may have under the same name.
        is_own_date = rule.index == rule.date and patients is not None and rule.index in patients[0].header
        if (rule.index in table.header and not is_own_date) or patients is None:
            index = self._dates(table, rule.index, rule.order, may_lack)
        else:
            sheet, patient_column = patients
            by_patient = self._dates(sheet, rule.index, rule.order, pd.Series(False, index=sheet.frame.index))
            by_patient = by_patient.set_axis(sheet.column(patient_column))
            index = table.column(self.patient).map(by_patient[~by_patient.index.duplicated()])
        days = (pd.to_datetime(sampling_date) - pd.to_datetime(index)).dt.days.astype(float)
        is_invalid = days.isna() & ~may_lack
        if is_invalid.any():
            position = int(is_invalid.to_numpy().argmax())
            patient = table.column(self.patient).iloc[position]
            raise table.error(
                f"patient {patient!r} has no date {rule.index!r}, from which the day of this row counts; add it",
                self.patient,
                position,
            )
        return days

    def _dates(
        self, table: TextTable, column: str, order: DateOrder | None, may_lack: pd.Series[bool]
    ) -> pd.Series[date]:
        """Return the dates of a column, (n_rows,); None where a row that may lack one does."""
        cells = table.column(column)
        order = order or find_date_order(cells)
        dates: list[date | None] = []
        for position, cell in enumerate(cells):
            try:
                parsed = parse_date(cell, order)
            except InputError as error:
                problem = f"{error}; state {self.key}.order, day_first or month_first, or write 2023-04-03"
                raise table.error(problem, column, position) from error
            if parsed is None and not may_lack.iloc[position]:
                raise table.error(
                    f"expected a date such as 2023-04-03, got {cell!r}; correct it, or leave the row out",
                    column,
                    position,
                )
            dates.append(parsed)
        return pd.Series(dates, index=cells.index, dtype=object)
