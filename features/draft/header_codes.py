"""Codes whose meaning stands in the name of their column, as in 'Response (1 = yes, 0 = no)' and 'Sex [M=1, F=2]'."""

from __future__ import annotations

import re

_BRACKET = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")
_LABEL = r"[^\W\d_][^,;|=:<>()\[\]{}]*?"
_END = r"(?=\s*(?:[,;|]|/?\s*\d{1,2}\s*[=:]|$))"
_CODE_FIRST = re.compile(rf"(?<![\w.])(\d{{1,2}})\s*[=:]\s*({_LABEL}){_END}")
_LABEL_FIRST = re.compile(r"([^\W\d_][^,;/|=:<>()\[\]{}]*?)\s*=\s*(\d{1,2})(?![\w.])")
_SEVERAL_CODES = re.compile(r"\d\s*[-\u2013,]\s*\d{1,2}\s*[=:]|=\s*\d{1,2}\s*[-\u2013]")
"""Codes that share a meaning, as in '0-1 = no', of which not all are named."""
_AS_R_WRITES = re.compile(r"\.\.?(\d)\.+([A-Za-z]+)(?=\.)")
"""'Response (1=yes, 0=no)' is 'Response..1.yes..0.no.' among the names of columns that R has checked."""


def codes_in_name(column: str) -> dict[str, str]:
    """Return the meaning of each code that a column's name explains; empty where it explains none.

    One pair is enough where the code comes first, as in 'Death (1=dead)'; a label first may be a formula.
    """
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
    """Return a column's name without the codes that it explains."""
    if not codes_in_name(column):
        return column
    for match in _BRACKET.finditer(column):
        if codes_in_name(match[0]):
            return f"{column[: match.start()]} {column[match.end() :]}".strip()
    first_code = min(
        match.start() for pattern in (_CODE_FIRST, _LABEL_FIRST, _AS_R_WRITES) for match in pattern.finditer(column)
    )
    return column[:first_code].strip(" :,;.-") or column
