"""Cells of a sheet: missing, numbers, measurements, and words that mean the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

from features.errors import InputError
from features.measured_values import parse_value

_MISSING = {
    *(
        "",
        "na",
        "n/a",
        "n.a.",
        "#n/a",
        "<na>",
        "nan",
        "null",
        ".",
        "--",
        "unknown",
        "unk",
        "missing",
        "nd",
        "ne",
        "n.e.",
    ),
    *("not available", "not applicable", "not evaluable", "not assessed", "not done", "not reported"),
}
_CODE = re.compile(r"^\s*\d+\s*[=:.)-]\s*(?=[^\W\d])")
_ABBREVIATION = re.compile(r"(.*\w)\s*\(([A-Za-z]{1,4})\)\s*")


def without_code(cell: str) -> str:
    """Return a label without the number before it, as in '3 = Stable disease'."""
    return _CODE.sub("", cell)


def label_meaning(cell: str, words: Mapping[str, str]) -> str | None:
    """Return the meaning of a label; an abbreviation behind it must mean the same, as in '3 = Stable disease (SD)'."""
    label = without_code(cell)
    parts = _ABBREVIATION.fullmatch(label)
    meanings = [_word_meaning(part, words) for part in (parts.groups() if parts else (label,))]
    return meanings[0] if len(set(meanings)) == 1 and meanings[0] else _word_meaning(label, words)


def _word_meaning(word: str, words: Mapping[str, str]) -> str | None:
    return words.get(normalise_word(word).removeprefix("recist"))


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
