"""Columns of a wide table that are named for an analyte and a visit, as IL6_D28."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from features.analytes import canonical_analyte, is_known_analyte
from features.errors import FileError
from features.name_matching import is_match
from features.units import split_name_and_unit

VISIT_KEY = "visit"
"""The name under which the visit of a column becomes part of the key of a blood draw."""


class VisitColumn(NamedTuple):
    """What a column's name holds: the analyte, the visit, and the unit, "" where there is none."""

    analyte: str
    visit: str
    unit: str


def split_visit(column: str, visits: Sequence[str]) -> VisitColumn | None:
    """Return what the name of a column holds that begins or ends with one of these visits; None where none does.

    Of visits that end alike, as D1 and C2_D1, it is the longest. A name with another visit in it, as IL6_D28_vs_D0, is
    of neither: a change is known on the later of two days.
    """
    name, unit = split_name_and_unit(column)
    for visit in sorted(visits, key=len, reverse=True):
        label = re.escape(visit)
        for pattern in (rf"(.*?)(?<![\W_])[\W_]+?{label}[)\]\s]*", rf"[(\[\s]*{label}[\W_]+(.*)"):
            if match := re.fullmatch(pattern, name):
                analyte, inner_unit = split_name_and_unit(match[1])
                if analyte and not _names_visit(analyte, visits):
                    return VisitColumn(analyte, visit, unit or inner_unit)
                if analyte:
                    return None
    return None


def _names_visit(analyte: str, visits: Sequence[str]) -> bool:
    """Tell whether what stands beside a visit names another one; numbers alone may be part of an analyte."""
    if is_known_analyte(analyte):
        return False
    labels = "|".join(re.escape(visit) for visit in visits if not visit.isdecimal())
    if labels and re.search(rf"(?<![^\W_])({labels})(?![^\W_])", analyte):
        return True
    part = split_visit(analyte, visits)
    return part is not None and is_known_analyte(part.analyte)


def read_visit_columns(
    path: Path, columns: Sequence[str], visits: Sequence[str], drop: Sequence[str]
) -> dict[str, VisitColumn]:
    """Return what each column's name holds, without those that match a pattern of `drop`.

    An analyte that is spelled in several ways has its first spelling.

    Raises
    ------
    FileError
        If a column is of none of the visits, a visit is of no column, or two columns are of one analyte and visit.
    """
    first_spelling: dict[str, str] = {}
    parts: dict[str, VisitColumn] = {}
    for column in columns:
        if any(is_match(column, pattern) for pattern in drop):
            continue
        part = split_visit(column, visits)
        if part is None:
            raise FileError(
                f"its name neither begins nor ends with one of the visits {', '.join(visits)}, or holds two of them; "
                "name its visit under immune.day.in_names, or list the column under drop",
                file=path,
                column=column,
                row=1,
            )
        spelling = first_spelling.setdefault(canonical_analyte(part.analyte), part.analyte)
        parts[column] = part._replace(analyte=spelling)
    first_column: dict[tuple[str, str], str] = {}
    for column, part in parts.items():
        twin = first_column.setdefault((part.analyte, part.visit), column)
        if twin != column:
            raise FileError(
                f"{twin!r} is {part.analyte} of visit {part.visit} too; list one of them under drop",
                file=path,
                column=column,
                row=1,
            )
    for visit in visits:
        if all(part.visit != visit for part in parts.values()):
            raise FileError(
                f"no column's name begins or ends with the visit {visit!r} of immune.day.in_names, behind or before "
                f"'_' or the like; the columns are {', '.join(columns)}",
                file=path,
                row=1,
            )
    return parts
