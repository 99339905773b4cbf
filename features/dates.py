"""Calendar dates as they stand in sheets: ISO 8601, dates with the month in words, and days and months in numbers.

'03/04/2023' is the third of April or the fourth of March: the order of a column is stated, or follows from one of its
cells, such as '23/04/2023'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Literal

from features.errors import InputError

DateOrder = Literal["day_first", "month_first"]

_YEAR_FIRST = re.compile(
    r"(\d{4})(?:([-/.]?)(\d{2})\2(\d{2})|([-/.])(\d{1,2})\5(\d{1,2})|\u5e74(\d{1,2})\u6708(\d{1,2})\u65e5)"
    r"(?:[T ]\d{1,2}:\d{2}.*)?"
)
"""The year first; in Chinese and Japanese the words for year, month and day part the numbers."""
_IN_NUMBERS = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?:[T ]\d{1,2}:\d{2}.*)?")
_MONTH_IN_WORDS = (
    re.compile(r"(?P<day>\d{1,2})(?:st|nd|rd|th)?[-\s.]+(?P<month>[A-Za-z]{3,9})[-\s.,]+(?P<year>\d{4})"),
    re.compile(r"(?P<month>[A-Za-z]{3,9})[-\s.]+(?P<day>\d{1,2})(?:st|nd|rd|th)?[-\s.,]+(?P<year>\d{4})"),
    re.compile(r"(?P<year>\d{4})[-\s.]+(?P<month>[A-Za-z]{3,9})[-\s.]+(?P<day>\d{1,2})"),
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parse_date(text: str, order: DateOrder | None = None) -> date | None:
    """Return the date that a cell writes, None where it writes none.

    Parameters
    ----------
    text : str
        The cell.
    order : {"day_first", "month_first"}, optional
        The order of dates in numbers that end in the year; without it, only one whose day is above 12 is read.

    Raises
    ------
    InputError
        If the cell writes two dates, and `order` does not say which.
    """
    text = text.strip()
    if match := _YEAR_FIRST.fullmatch(text):
        month, day = (number for number in match.group(3, 4, 6, 7, 8, 9) if number)
        return _date(int(match[1]), int(month), int(day))
    if match := _IN_NUMBERS.fullmatch(text):
        number_1, number_2, year = int(match[1]), int(match[3]), int(match[4])
        if order is None and number_1 <= 12 and number_2 <= 12 and number_1 != number_2:
            raise InputError(
                f"{text!r} may be {year}-{number_2:02}-{number_1:02} or {year}-{number_1:02}-{number_2:02}"
            )
        is_day_first = order == "day_first" or (order is None and number_2 <= 12)
        return _date(year, number_2, number_1) if is_day_first else _date(year, number_1, number_2)
    for pattern in _MONTH_IN_WORDS:
        if (match := pattern.fullmatch(text)) and (month := match["month"][:3].casefold()) in _MONTHS:
            return _date(int(match["year"]), _MONTHS.index(month) + 1, int(match["day"]))
    return None


def find_date_order(cells: Iterable[str]) -> DateOrder | None:
    """Return the order that the unambiguous dates of a column prove; None where none does, or they differ."""
    orders: set[DateOrder] = set()
    for cell in cells:
        if match := _IN_NUMBERS.fullmatch(cell.strip()):
            if int(match[1]) > 12:
                orders.add("day_first")
            elif int(match[3]) > 12:
                orders.add("month_first")
    return orders.pop() if len(orders) == 1 else None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
