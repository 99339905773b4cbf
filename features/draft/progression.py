"""Columns of progression and death, recognised by their names and cells: flags of freedom from progression, and times.

A flag such as `PFS12` says whether a patient was free of progression after some months; it is never a response.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from features.draft.cells import is_missing, normalise_word
from features.draft.columns import CLOCK_EVENT, OTHER_ORIGIN, snake_case
from features.draft.header_codes import code_label, codes_in_name
from features.draft.translations import NO_WORDS, UNIT_WORDS, YES_WORDS
from features.manifest import TimeUnit
from features.tables.decimals import is_number

PROGRESSION_COLUMN = r"pfs|progress|(^|_)(dfs|rfs|efs|ttp)\d*(_|$)|relapse"
"""The columns of progression, whatever they say of it."""
_FREE_OF_PROGRESSION = r"(^|_)pfs|pfs(_|$)|progression_?free"
_PROGRESSED = r"(^|_)progress(ed|ion)(_|$)"
DATE_COLUMN = r"(^|_)(dates?|days?|onset)(_|$)"
"""The columns that date an event."""
_NO_FLAG = r"status|event|censor|time|date|day|reason|cause"
_NUMBER_OF_MONTHS = rf"(?<!\d)0*(\d+)_?(m|{'|'.join(UNIT_WORDS['months'] + UNIT_WORDS['years'])})?(?=_|$)"
_YES_NO = {
    **dict.fromkeys((*YES_WORDS, "true", "t", "1"), True),
    **dict.fromkeys((*NO_WORDS, "false", "f", "0"), False),
}
_EVENT = ("deceased", "dead", "died", "death", "progressed", "progression", "recurredprogressed", "event")
_NO_EVENT = ("living", "alive", "censored", "diseasefree", "notprogressed", "progressionfree", "noevent")
_UNFAVOURABLE_EVENT = r"(^|_)(progress(ed|ion)?|death|dead|died|deceased)(_|$)|vital_status"
_EVENT_OF_TIME = (
    r"(^|_)(os|pfs|dfs|rfs|efs|ttp)_?(status|event)(_|$)|(status|event)_(os|pfs|dfs|rfs|efs|ttp)(_|$)"
    r"|survival_(status|event)"
)
_TIME_TO_EVENT = (
    r"(^|_)(os|pfs|dfs|rfs|efs|ttp)(_|$)|survival"
    r"|(time|days|weeks|months|years)_to_(death|progression|treatment_failure)"
)
_CENSORED_IF_YES = r"(^|_)cnsr(_|$)|censored"
"""The columns of which yes, or a number above zero, means that the time ends without the event, as CDISC's CNSR."""
_NO_EVENT_IF_YES = r"^(alive|living|progression_free|event_free)(_at_(the_)?(last|end)_\w+)?$"
"""The columns of which yes means that there was no event."""
_UNCLEAR_IF_YES = r"vital_status|^status$|^(os|pfs)$|(^|_)cens(_|$)|censor(ing)?(_|$)|uncensored|(not|non)_censored"
"""The columns of which yes means the event in some sheets, and in others that there was none."""
_EVENT_WORDS = {**dict.fromkeys(_EVENT, True), **dict.fromkeys(_NO_EVENT, False)}


class ProgressionFlag(NamedTuple):
    """A column of freedom from progression after a number of months.

    Attributes
    ----------
    months : int or None
        The number of months, None where the column's name states none.
    yes, no, unknown : list of str
        The cells that mean free of progression, progressed, and unknown.
    """

    months: int | None
    yes: list[str]
    no: list[str]
    unknown: list[str]

    @property
    def rule(self) -> dict[str, list[str]]:
        """The meaning of the cells by the keys of a manifest."""
        return {"yes": self.yes, "no": self.no, "unknown": self.unknown}


def find_progression_flag(column: str, cells: pd.Series[str]) -> ProgressionFlag | None:
    """Return how a column flags freedom from progression; None where it does not, or a cell has no obvious meaning."""
    name = snake_case(column)
    is_freedom = re.search(_FREE_OF_PROGRESSION, name) is not None
    if re.search(_NO_FLAG, name) or not (is_freedom or re.search(_PROGRESSED, name)):
        return None
    values = list(cells.unique())
    unknown = [value for value in values if is_missing(value)]
    codes = codes_in_name(column)
    meanings = {
        value: _YES_NO.get(normalise_word(code_label(value, codes))) for value in values if value not in unknown
    }
    if set(meanings.values()) != {True, False}:
        return None
    free = [value for value, meaning in meanings.items() if meaning is is_freedom]
    progressed = [value for value, meaning in meanings.items() if meaning is not is_freedom]
    return ProgressionFlag(_months_in_name(name), free, progressed, unknown)


def _months_in_name(name: str) -> int | None:
    counts = re.findall(_NUMBER_OF_MONTHS, name)
    if len(counts) != 1 or not int(counts[0][0]):
        return None
    number, unit = counts[0]
    return int(number) * (12 if unit in UNIT_WORDS["years"] else 1)


_UNITS_IN_NAMES: Mapping[TimeUnit, tuple[str, ...]] = {
    "months": (*UNIT_WORDS["months"], "m"),
    "days": UNIT_WORDS["days"],
    "weeks": UNIT_WORDS["weeks"],
    "years": UNIT_WORDS["years"],
}


class SurvivalColumns(NamedTuple):
    """The columns of a time to an event, and the meaning of their cells.

    Attributes
    ----------
    time, event : str
        The columns of the time, and of whether the event happened.
    unit : {'days', 'weeks', 'months', 'years'} or None
        The unit of the time, None where the column's name states none.
    yes, no, unknown : list of str
        The cells of `event` that mean that it happened, that it did not, and of either column that mean unknown; `yes`
        and `no` are empty where the column's name leaves open which is which.
    """

    time: str
    event: str
    unit: TimeUnit | None
    yes: list[str]
    no: list[str]
    unknown: list[str]

    @property
    def is_clear(self) -> bool:
        """Whether it is clear which cells mean that the event happened."""
        return bool(self.yes)


_SURVIVAL: Mapping[str, tuple[str, str]] = {
    "overall_survival": (
        r"(^|_)os(_|$)|overall_survival"
        r"|^survival(?!.*(sans|libre|libera|without|free|progress|relapse))(_|$)",
        r"(^|_)os_(status|event|cens|cnsr)|overall_survival_(status|event|cens|cnsr)|^(death|dead|died|deceased)(_event)?$"
        r"|vital_status|^status$|^os$|^(alive|living)(_at_(the_)?(last|end)_\w+)?$",
    ),
    "progression_free_survival": (
        r"(^|_)pfs(_|$)|progression_free_survival",
        r"(^|_)pfs_(status|event|cens|cnsr)|progression_free_survival_(status|event|cens|cnsr)|^(progressed|progression)(_event)?$"
        r"|^pfs$|^(progression|event)_free$",
    ),
}
"""The patterns of the columns of time and of event, by the key of the manifest."""


def find_survival(columns: Mapping[str, pd.Series[str]]) -> dict[str, SurvivalColumns]:
    """Return the columns of each time to an event that are recognised, by the key of the manifest's `survival`.

    Where several columns may tell of the event, it is the first in which it is clear what the cells mean.
    """
    pairs: dict[str, SurvivalColumns] = {}
    for key, (time_pattern, event_pattern) in _SURVIVAL.items():
        times = [
            name
            for name, cells in columns.items()
            if re.search(time_pattern, snake_case(name)) and _is_time(cells) and not is_of_other_origin(name)
        ]
        for event in (name for name in columns if re.search(event_pattern, snake_case(name))):
            values = [value for value in columns[event].unique() if not is_missing(value)]
            meanings = {value: _event_meaning(value, event) for value in values}
            time = next((name for name in times if name != event), None)
            is_code = len(values) == 2 and all(value.isdecimal() for value in values)
            is_unclear = all(normalise_word(value) in _YES_NO for value in values) if _is_unclear(event) else is_code
            # Of a small trial, every patient may have died; an empty cell beside deaths is probably of a survivor.
            has_died = set(meanings.values()) == {True} and len(columns[event].unique()) == 1
            is_clear = set(meanings.values()) == {True, False} or has_died
            codes = codes_in_name(event)
            is_of_progression = any("progress" in normalise_word(code_label(value, codes)) for value in values)
            if time is None or not (is_clear or is_unclear) or (key == "overall_survival" and is_of_progression):
                continue
            unknown = {value for name in (time, event) for value in columns[name].unique() if is_missing(value)}
            happened = [value for value, meaning in meanings.items() if meaning and is_clear]
            censored = [value for value, meaning in meanings.items() if not meaning and is_clear]
            pair = SurvivalColumns(time, event, _unit_in_name(time), happened, censored, sorted(unknown))
            if is_clear:
                pairs[key] = pair
                break
            pairs.setdefault(key, pair)
    return pairs


def find_event_flag(column: str, cells: pd.Series[str]) -> dict[str, bool | None] | None:
    """Return whether cells mean that a patient progressed or died; None of another column.

    A column that dates such an event, and is empty for other patients, means so where it is not empty.
    """
    name = snake_case(column)
    is_event = re.search(_UNFAVOURABLE_EVENT, name) and not re.search(_FREE_OF_PROGRESSION, name)
    if re.search(r"censor|reason|cause", name) or not (is_event or re.search(_EVENT_OF_TIME, name)):
        return None
    values = {value: is_missing(value) for value in cells.unique()}
    if is_event and re.search(DATE_COLUMN, name) and set(values.values()) == {True, False}:
        return {value: not missing for value, missing in values.items()}
    meanings = {value: None if missing else _event_meaning(value, column) for value, missing in values.items()}
    return meanings if {meanings[value] for value, missing in values.items() if not missing} == {True, False} else None


def is_time_to_event(column: str, cells: pd.Series[str]) -> bool:
    """Tell whether a column holds times to death or progression, or until then to the last day without it."""
    name = snake_case(column)
    is_survival = re.search(_TIME_TO_EVENT, name) and not re.search(r"status|event|censor", name)
    return bool(is_survival) and _is_time(cells)


def is_overall_survival(column: str) -> bool:
    """Tell whether a column is named for overall survival."""
    return re.search(_SURVIVAL["overall_survival"][0], snake_case(column)) is not None


def is_date_of_death(column: str) -> bool:
    """Tell whether a column is named for the date of a patient's death."""
    name = snake_case(column)
    return re.search(DATE_COLUMN, name) is not None and re.search(r"(^|_)(death|died|deceased)(_|$)", name) is not None


def is_of_other_origin(column: str) -> bool:
    """Tell whether a column of times says that they count from another event than treatment, as from a diagnosis.

    It is the first event behind the word that states it: survival since FMT after surgery counts from FMT.
    """
    name = snake_case(column)
    if re.search(rf"({OTHER_ORIGIN})[a-z]*_to_", name):
        return True
    origin = next((match[1] for words in ("from|since", "after|post") if (match := _origin(name, words))), "")
    match = re.search(rf"(?<![a-z]){CLOCK_EVENT}(?![a-z])|(?P<other>{OTHER_ORIGIN})", origin)
    return match is not None and match["other"] is not None


def _origin(name: str, words: str) -> re.Match[str] | None:
    """Return what stands behind the words for the event from which times count, as a group."""
    return re.search(rf"(?:^|_)(?:{words})_?(\w+)", name)


def _event_meaning(cell: str, column: str) -> bool | None:
    """Return whether a cell means that an event happened; cBioPortal writes '1:DECEASED'."""
    cell = code_label(cell, codes_in_name(column))
    word = normalise_word(re.sub(r"^[01]\s*:", "", cell))
    if word in _EVENT_WORDS:
        return _EVENT_WORDS[word]
    if _is_unclear(column):
        return None
    if re.search(_NO_EVENT_IF_YES, snake_case(column)):
        return None if word not in _YES_NO else not _YES_NO[word]
    if not re.search(_CENSORED_IF_YES, snake_case(column)):
        return _YES_NO.get(word)
    is_censored = True if word.isdecimal() and int(word) > 0 else _YES_NO.get(word)
    return None if is_censored is None else not is_censored


def _is_unclear(column: str) -> bool:
    """Tell whether a column's name leaves open whether yes means the event or that there was none."""
    name = snake_case(column)
    is_both = re.search(_CENSORED_IF_YES, name) and re.search(r"(^|_)(status|event|death|dead)(_|$)", name)
    return bool(is_both or re.search(_UNCLEAR_IF_YES, name))


def _is_time(cells: pd.Series[str]) -> bool:
    reported = cells[~cells.map(is_missing)]
    if reported.empty or not reported.map(is_number).all():
        return False
    numbers = pd.to_numeric(reported.str.replace("\N{MINUS SIGN}", "-"))
    return bool((numbers >= 0).all()) and reported.nunique() > 2


def _unit_in_name(column: str) -> TimeUnit | None:
    words = snake_case(column).split("_")
    return next((unit for unit, names in _UNITS_IN_NAMES.items() if not set(names).isdisjoint(words)), None)
