"""Codes whose meaning stands in the name of their column, as in 'Response (1 = yes, 0 = no)' and 'Sex [M=1, F=2]'."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

_LONGEST_NAME = 500
"""Characters of a name up to which it is read, since the time that this takes grows with their square."""
_BRACKET = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")
_LABEL = r"[^\W\d_][^;|=:<>()\[\]{}]*?"
"""A label, which may name several values, as in 'CR, PR' and 'SD/PD'."""
_END = r"(?=\s*(?:[;|]|[,/]?\s*\d{1,2}\s*[=:]|,\s*[^\W\d_][\w ]*[=:]|$))"
_CODE_FIRST = re.compile(rf"(?<![\w.])(\d{{1,2}})\s*[=:]\s*({_LABEL}){_END}")
_LABEL_FIRST = re.compile(rf"({_LABEL})\s*=\s*(\d{{1,2}})(?![\w.])")
_SEVERAL_CODES = re.compile(
    r"\d\s*[-\u2013]\s*\d{1,2}\s*[=:]|(?:^|[,;|/])\s*\d{1,2}\s*,\s*\d{1,2}\s*[=:]|=\s*\d{1,2}\s*[-\u2013]"
)
"""Codes that share a meaning, as in '0-1 = no', of which not all are named."""
_AS_R_WRITES = re.compile(r"\.\.?(\d)\.+([A-Za-z]+)(?=\.)")
"""'Response (1=yes, 0=no)' is 'Response..1.yes..0.no.' among the names of columns that R has checked."""
_ANY_CODE_FIRST = re.compile(r"(?<![\w.<>])(\d{1,2})\s*=\s*[^\W\d_]")
_ANY_LABEL_FIRST = re.compile(r"[^\W\d_][)\]}\s]*=\s*(\d{1,2})(?![\w.])")


def codes_in_name(column: str) -> dict[str, str]:
    """Return the meaning of each code that a column's name explains; empty where it explains none.

    One pair is enough where the code comes first, as in 'Death (1=dead)'; a label first may be a formula, or a grade. A
    code that is explained in words that are not read means the whole name: not what it means without an explanation.
    """
    if len(column) > _LONGEST_NAME:
        return {}
    unread = _ANY_CODE_FIRST.findall(column) + _ANY_LABEL_FIRST.findall(column)
    if "=" in column and _SEVERAL_CODES.search(column):
        unread = list(string.digits)
    return dict.fromkeys(unread, column) | _read_codes(column)


def code_label(cell: str, codes: Mapping[str, str]) -> str:
    """Return the meaning of a cell that is one of the codes, or else the cell; pandas writes 1 as 1.0 beside blanks."""
    return codes.get(re.sub(r"\.0+$", "", cell), cell)


def _read_codes(column: str) -> dict[str, str]:
    for text in _BRACKET.findall(column) or [column if "=" in column else ""]:
        if _SEVERAL_CODES.search(text):
            continue
        if codes := dict(_CODE_FIRST.findall(text)):
            return codes
        pairs = [(code, label.strip()) for label, code in _LABEL_FIRST.findall(text)]
        if len(pairs) > 1:
            return dict(pairs)
    pairs = _AS_R_WRITES.findall(column) if ".." in column else []
    return dict(pairs) if len(pairs) > 1 else {}


def without_codes(column: str) -> str:
    """Return a column's name without the codes that it explains; 0 alone may be a scale's, as in 'Day (0 = FMT)'."""
    codes = codes_in_name(column)
    if codes.keys() <= {"0"}:
        return column
    if not _read_codes(column):
        return column if len(codes) == 1 else re.sub(r"[(\[{].*[)\]}]", "", column).strip()
    for match in _BRACKET.finditer(column):
        if _read_codes(match[0]):
            return f"{column[: match.start()]} {column[match.end() :]}".strip()
    first_code = min(
        match.start() for pattern in (_CODE_FIRST, _LABEL_FIRST, _AS_R_WRITES) for match in pattern.finditer(column)
    )
    return column[:first_code].strip(" :,;.-") or column
