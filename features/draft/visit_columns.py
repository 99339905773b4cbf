"""Columns that hold an analyte and a visit, as 'IL6_D28', 'pre IL-10 (pg/mL)' and 'CRP (baseline)'."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from features.analytes import is_known_analyte
from features.draft.visit_labels import days_of_labels
from features.draft.visit_names import VISIT
from features.immune import VisitColumn
from features.units import split_name_and_unit

_LONGEST_NAME = 200
"""Characters of a name up to which it is read, since the time that this takes grows with their square."""
_MIN_COLUMNS = 3
"""Columns of known analytes and visits from which a sheet has visits in the names of its columns."""


def find_visit_columns(columns: Iterable[str]) -> dict[str, VisitColumn]:
    """Return the columns that are named for a known analyte and a visit, and what their names hold; empty for a few.

    Numbers alone are visits where they recur with several analytes. What else stands behind an analyte may be another
    analyte, as in IL-12 p70 and IL-1 RA, a statistic, or a stimulus.
    """
    unread = [column for column in columns if len(column) <= _LONGEST_NAME and not is_known_analyte(column)]
    parts = {column: part for column in unread if (part := _split(column, _is_visit))}
    if len(parts) >= _MIN_COLUMNS:
        return parts
    parts = {column: part for column in unread if (part := _split(column, str.isdecimal))}
    analytes, visits = ({getattr(part, field) for part in parts.values()} for field in ("analyte", "visit"))
    return parts if len(analytes) > 1 and len(visits) > 1 else {}


def _split(column: str, is_visit: Callable[[str], bool]) -> VisitColumn | None:
    """Return the analyte and the visit of a column's name, the visit as long as it can be; None for another name."""
    name, unit = split_name_and_unit(column)
    gaps = [match.span() for match in re.finditer(r"[\W_]+", name.rstrip(")] "))]
    for begin, end in gaps:
        analyte, visit = name[:begin], name[end:].rstrip(")] ")
        if is_visit(visit) and is_known_analyte(analyte):
            return _part(analyte, visit, unit)
    for begin, end in reversed(gaps):
        visit, analyte = name[:begin].lstrip("([ "), name[end:]
        if is_visit(visit) and is_known_analyte(analyte):
            return _part(analyte, visit, unit)
    return None


def _part(analyte: str, visit: str, unit: str) -> VisitColumn:
    analyte, inner_unit = split_name_and_unit(analyte)
    return VisitColumn(analyte, visit, unit or inner_unit)


def _is_visit(label: str) -> bool:
    return re.fullmatch(VISIT, label, re.IGNORECASE) is not None or days_of_labels([label])[label] is not None
