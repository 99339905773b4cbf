"""Numbers as files write them: decimal commas told from thousands marks, and never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

DecimalMark = Literal[".", ","]

_SIGN = r"\s*+(?:OOR)?\s*+[<>]?\s*+=?\s*+[-+\N{MINUS SIGN}]?"
_EXPONENT = r"(?:[eE][-+]?\d+)?\s*"
_NUMBER = re.compile(rf"\s*[-+\N{{MINUS SIGN}}]?(?:\d+(?:\.\d*)?|\.\d+){_EXPONENT}", re.ASCII)
_COMMA_NUMBER = re.compile(rf"{_SIGN}(\d*),(\d+){_EXPONENT}", re.ASCII)
_POINT_NUMBER = re.compile(rf"{_SIGN}(\d*)\.(\d+){_EXPONENT}", re.ASCII)
_POINTS_IN_THOUSANDS = re.compile(rf"{_SIGN}\d{{1,3}}(?:\.\d{{3}})+(?:,\d+)?\s*", re.ASCII)
_COMMAS_IN_THOUSANDS = re.compile(rf"{_SIGN}\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?\s*", re.ASCII)


def is_number(cell: str) -> bool:
    """Tell whether a cell is a finite number: digits, a sign, a decimal point, an exponent, and blanks around them."""
    return _NUMBER.fullmatch(cell) is not None and abs(parse_number(cell)) < float("inf")


def parse_number(cell: str) -> float:
    """Return the number that a cell writes, NaN where it writes none.

    Digits of other scripts, ``1_000``, ``0x10``, ``nan`` and ``inf``, which Python reads, are no numbers.
    """
    return float(cell.replace("\N{MINUS SIGN}", "-")) if _NUMBER.fullmatch(cell) else float("nan")


def find_decimal_mark(rows: Iterable[Sequence[str]]) -> DecimalMark | None:
    """Return the decimal mark that a table's cells show; None where no cell shows it.

    It is the comma where a comma stands in a number in which it cannot part thousands ('0,123', '12,5'), and no number
    has a decimal point; in ``1,234`` or ``1.234`` alone either may be meant.
    """
    has_decimal_comma = False
    for cells in rows:
        for cell in cells:
            if "," in cell:
                if "." in cell and _COMMAS_IN_THOUSANDS.fullmatch(cell):
                    return "."
                number = _COMMA_NUMBER.fullmatch(cell)
                is_european = "." in cell and _POINTS_IN_THOUSANDS.fullmatch(cell) is not None
                has_decimal_comma |= is_european or (number is not None and not _may_part_thousands(number))
            elif "." in cell and (number := _POINT_NUMBER.fullmatch(cell)) and not _may_part_thousands(number):
                return "."
    return "," if has_decimal_comma else None


def _may_part_thousands(number: re.Match[str]) -> bool:
    return len(number[2]) == 3 and 1 <= len(number[1]) <= 3 and not number[1].startswith("0")


def with_decimal_point(cell: str) -> str:
    """Return a cell of a table with decimal commas, its number written with a decimal point."""
    return cell.replace(",", ".") if _COMMA_NUMBER.fullmatch(cell) else cell


def has_thousands_mark(cell: str, mark: DecimalMark) -> bool:
    """Tell whether a cell writes a number with marks between thousands, as '1.234,5' beside the decimal comma."""
    return (_POINTS_IN_THOUSANDS if mark == "," else _COMMAS_IN_THOUSANDS).fullmatch(cell) is not None


def number_advice(cell: str) -> str:
    """Return what to do about a cell that is no number because of its commas or a sign; empty where it has none."""
    if re.fullmatch(r"[^%]*\d\s*%\s*", cell):
        return "; write percent without the sign"
    if re.match(r"\s*[<>\N{LESS-THAN OR EQUAL TO}]", cell):
        return "; write the number that was measured, or 0 where it was below what can be"
    if "," not in cell:
        return ""
    if has_thousands_mark(cell, "."):
        return "; the comma may part thousands or decimals: write the number without marks between thousands"
    return "; write the decimal mark as a point" if _COMMA_NUMBER.fullmatch(cell) else ""
