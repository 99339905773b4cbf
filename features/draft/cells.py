"""Cells of a sheet: missing, numbers, measurements, and words that mean the same."""

from __future__ import annotations

import re

from features.errors import InputError
from features.measured_values import parse_value

_MISSING = {"", "na", "n/a", "nan", "null", "unknown", "not available", "not evaluable", "ne", "nd", "."}


def normalise_word(cell: str) -> str:
    """Return a cell without case and punctuation, so that two spellings of one word are equal."""
    return re.sub(r"\.0+$|[\W_]", "", cell).casefold()


def is_missing(cell: str) -> bool:
    """Tell whether a cell means "not reported"."""
    return cell.casefold() in _MISSING


def is_measurement(cell: str) -> bool:
    """Tell whether a cell is a measurement, such as ``12.5`` or ``<3.2``, or a code that stands for one."""
    try:
        # Of all units this is the one in which codes such as -2 are numbers.
        parse_value(cell, unit="log2_expression")
    except InputError:
        return False
    return True
