"""How names and cells are read, and how what was guessed is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

from features.analytes import parse_value
from features.errors import InputError
from features.tables.text import TextTable

# Patterns are searched for in a column's name in snake case: "Days from firstDose" is "days_from_first_dose".
PATIENT = r"^(host_|study_)?(patient|subject|participant|individual|pt)(_?(id|identifier|name|code|number|no|nr))?$"
DAY = r"(^|_)days?(_|$)"
_OTHER_DAY = r"first_(collection|sample|visit)|surviv|pfs|(^|_)os(_|$)|follow|death|progress|(^|_)age(_|$)"
VISIT = r"^(visit|time_?point)(_?(number|no|nr|id))?$"
_DAY_IN_NAME = r"(?<=[0-9_.-])[Dd](ay)?_?(?P<day>-?[0-9]+)$"
_MISSING = {"", "na", "n/a", "nan", "null", "unknown", "not available", "not evaluable", "ne", "nd", "."}
_YAML_WORDS = {"yes", "no", "y", "n", "true", "false", "on", "off", "null"}


class When(NamedTuple):
    """The column that tells when something was taken, a `day` or a `visit`; of names that end in a day, the pattern."""

    key: str
    column: str
    pattern: str | None = None


def columns_of(sheet: TextTable, pattern: str) -> list[str]:
    """Return a sheet's columns in whose names, once in snake case, a pattern is found."""
    return columns_named(sheet.header, pattern)


def columns_named(names: Iterable[str], pattern: str) -> list[str]:
    """Return the names in which a pattern is found once they are in snake case."""
    return [name for name in names if re.search(pattern, snake(name))]


def patient_column(sheet: TextTable, patients: Iterable[str] = (), *, once: bool = False) -> str | None:
    """Return the column named as patients' are, or, where patients are known, the one that holds most of them."""
    known = set(patients)
    column = next(iter(columns_of(sheet, PATIENT)), None)
    if known:
        shared = {str(name): len(known & set(values)) for name, values in sheet.frame.items()}
        best = max(shared, key=lambda name: shared[name])
        column = best if 2 * shared[best] >= min(len(known), sheet.frame[best].nunique()) else None
        if once and 2 * shared[best] <= len(known):
            return None
    if column is None or (sheet.frame[column] == "").any() or (once and sheet.frame[column].duplicated().any()):
        return None
    return column


def when_taken(frame: pd.DataFrame) -> When | None:
    """Return the column that tells when samples were taken: a day, a name that ends in one, or a visit."""
    for key, pattern in (("day", DAY), ("name", ""), ("visit", VISIT)):
        for column, values in frame.items():
            name = snake(str(column))
            if key == "name" and values.map(lambda text: re.search(_DAY_IN_NAME, text) is not None).all():
                return When("day", str(column), _DAY_IN_NAME)
            named = key != "name" and re.search(pattern, name) and not re.search(_OTHER_DAY, name)
            if named and values.map(is_number).all():
                return When(key, str(column))
    return None


def snake(name: str) -> str:
    """Return a column's name in snake case."""
    return re.sub(r"[\W_]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name)).strip("_").lower()


def word(value: str) -> str:
    """Return a cell without case and punctuation, by which words of one meaning are alike."""
    return re.sub(r"\.0+$|[\W_]", "", value).casefold()


def is_missing(value: str) -> bool:
    """Tell whether a cell says that nothing is known."""
    return value.casefold() in _MISSING


def is_number(value: str) -> bool:
    """Tell whether a cell is a number."""
    return re.fullmatch(r"\s*[-+\N{MINUS SIGN}]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", value) is not None


def is_reading(value: str) -> bool:
    """Tell whether a cell is a measurement, such as ``12.5`` or ``<3.2``, or a code that stands for one."""
    try:
        parse_value(value, unit="log2_expression")  # of all units the one that takes codes such as -2 for numbers
    except InputError:
        return False
    return True


def in_yaml(value: object) -> str:
    """Return YAML on one line; whatever is not a plain word is quoted."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{in_yaml(key)}: {in_yaml(entry)}" for key, entry in value.items() if entry != []) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(in_yaml, value)) + "]"
    if isinstance(value, bool | float):
        return f"{value:g}" if isinstance(value, float) else str(value).lower()
    text = str(value)
    if re.fullmatch(r"[A-Za-z]\w*([ ./-]\w+)*", text, re.ASCII) and text.casefold() not in _YAML_WORDS:
        return text
    # JSON's quotes are YAML's too, but YAML takes U+2028 and the like for line breaks.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
