"""Gene symbols that a spreadsheet turned into dates: recognised, with the genes that they may have been.

Excel reads MARCH1 or SEPT2 as a day of a month (Ziemann et al. 2016, Genome Biol 17:177), for which reason the symbols
were changed (Bruford et al. 2020, Nat Genet 52:754).
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Mapping

MONTH_NAMES: Mapping[str, int] = {
    "jan": 1, "feb": 2, "fev": 2, "mar": 3, "mrz": 3, "apr": 4, "avr": 4, "may": 5, "mai": 5, "jun": 6, "jul": 7,
    "aug": 8, "sep": 9, "oct": 10, "okt": 10, "nov": 11, "dec": 12, "dez": 12,
}  # fmt: skip
"""Months by the first letters of their names in English, German and French, without accents."""
_MONTH = rf"(?P<month>{'|'.join(MONTH_NAMES)})[a-z]*"
_NAMED_MONTHS = (
    re.compile(rf"(?P<number>\d{{1,2}})[-/. ]+{_MONTH}([-/. ]+\d{{2,4}})?", re.IGNORECASE),
    re.compile(rf"{_MONTH}[-/. ]+(?P<number>\d{{1,2}})", re.IGNORECASE),
)
_ISO_DATE = re.compile(r"\d{4}-(\d{1,2})-(\d{1,2})([ T]00:00(:00)?)?")
_SLASHED_DATE = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](?:\d{4}|\d{2})")
_SERIAL_DAY = re.compile(r"\d{5}")
_FIRST_SERIAL_DAY, _LAST_SERIAL_DAY = 36526, 55153
"""Excel's numbers of 2000-01-01 and 2050-12-31; day 0 is 1899-12-30."""

_GENES: Mapping[tuple[int, int], tuple[str, ...]] = {
    **{(3, n): (f"MARCHF{n} (MARCH{n})",) for n in range(3, 12)},
    **{(3, n): (f"MARCHF{n} (MARCH{n})", f"MTARC{n} (MARC{n})") for n in (1, 2)},
    **{(9, n): (f"SEPTIN{n} (SEPT{n})",) for n in (*range(1, 13), 14)},
    (4, 1): ("MAGEH1 (APR1)",),
    (4, 3): ("ATRAID (APR3)",),
    (10, 1): ("POU2F1 (OCT1)",),
    (10, 2): ("POU2F2 (OCT2)",),
    (10, 4): ("POU5F1 (OCT4)",),
    (12, 1): ("DELEC1 (DEC1)", "BHLHE40 (DEC1)"),
    (12, 2): ("BHLHE41 (DEC2)",),
}
"""Genes by month and number: today's symbol, and the one that became a date."""


def is_date(name: str) -> bool:
    """Tell whether a name is a date, which no gene or protein is called."""
    return bool(_months_and_numbers(name))


def genes_of_date(name: str) -> tuple[str, ...]:
    """Return the genes that a date may have been, as ``("SEPTIN2 (SEPT2)",)`` for ``"2-Sep"``; none where unknown."""
    return tuple(gene for key in _months_and_numbers(name) for gene in _GENES.get(key, ()))


def gene_date_problem(names: Iterable[str]) -> str:
    """Return what happened to gene symbols that are dates, and what they may have been; empty where none is a date."""
    dates = list(dict.fromkeys(name for name in names if is_date(name)))
    if not dates:
        return ""
    meanings = "; ".join(f"{name!r} may be {' or '.join(genes_of_date(name)) or 'any gene'}" for name in dates)
    return f"a spreadsheet turned gene symbols into dates: {meanings}"


def _months_and_numbers(name: str) -> list[tuple[int, int]]:
    """Return the month and the number that a date was made of; two where day and month cannot be told apart."""
    text = "".join(
        letter for letter in unicodedata.normalize("NFKD", name.strip()) if not unicodedata.combining(letter)
    )
    for pattern in _NAMED_MONTHS:
        if match := pattern.fullmatch(text):
            return [(MONTH_NAMES[match["month"].casefold()], int(match["number"]))]
    if match := _ISO_DATE.fullmatch(text):
        return [(int(match[1]), int(match[2]))]
    if match := _SLASHED_DATE.fullmatch(text):
        parts = int(match[1]), int(match[2])
        return [(month, number) for month, number in dict.fromkeys([parts, parts[::-1]]) if month <= 12]
    if _SERIAL_DAY.fullmatch(text) and _FIRST_SERIAL_DAY <= int(text) <= _LAST_SERIAL_DAY:
        day = dt.date(1899, 12, 30) + dt.timedelta(days=int(text))
        return [(day.month, day.day)]
    return []
