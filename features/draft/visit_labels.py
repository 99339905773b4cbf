"""The days that labels of visits state, as 'Week 6', 'C1D8', '3 months post FMT' or 'baseline'."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from features.draft.translations import AFTER_WORDS, BEFORE_WORDS, TREATMENT_WORDS, UNIT_WORDS
from features.outcomes import DAYS_PER_MONTH

_BEFORE, _AFTER, _TREATMENT = map("|".join, (BEFORE_WORDS, AFTER_WORDS, TREATMENT_WORDS))
_BASELINE = re.compile(rf"baseline|bl|m0|({_BEFORE})({_TREATMENT}|dose|fmt)?")
_DAYS_OF_UNIT: Mapping[str, float] = {
    word: days
    for unit, days in (("days", 1.0), ("weeks", 7.0), ("months", DAYS_PER_MONTH))
    for word in UNIT_WORDS[unit]
}
_UNITS = "|".join(sorted(_DAYS_OF_UNIT, key=len, reverse=True))
_UNIT_FIRST = re.compile(rf"(?P<unit>{_UNITS})(?P<gap>[ _]*)(?P<sign>[+-]?) ?(?P<number>\d+)")
_NUMBER_FIRST = re.compile(rf"(?P<sign>[+-]?)(?P<number>\d+)(?P<gap>[ _-]*)(?P<unit>{_UNITS})")
_EVENT = rf"(?:the[ _-]*)?(?P<event>fmt|dose|{_TREATMENT})"
_TIME_AFTER = (
    re.compile(rf"(?:{_AFTER})[ _-]*(?:{_EVENT})?[ _-]*(?P<time>.*)"),
    re.compile(rf"(?P<time>.*?)[ _-]*(?:{_AFTER})[ _-]*(?:{_EVENT})?"),
)
"""A time behind the words for after an event, and before them: 'post FMT day 7', 'W6 post'."""
_TIME_BEFORE = re.compile(rf"(?P<time>.*?)[ _-]*(?:{_BEFORE})[ _-]*{_EVENT}")
_CYCLE_1 = re.compile(r"(?:c|cycle)[ _]*0?1[ _,.-]*(?:d|day)[ _]*(?P<day>[1-9]\d*)")
_CLOCK = re.compile(rf"(?P<fmt>fmt)|(?P<ici>ici|\bc(?:ycle)?[ _]*\d+[ _,.-]*d)|dose|{_TREATMENT}")
"""The events from which labels count: a transplant, or the first dose, which is day 1 of the first cycle."""
_CYCLE = re.compile(r"(?P<patient>|.*[\W\d_])(?:c|cycle)[ _.-]?\d+[ _,.-]*(?:d|day)[ _.-]?(?P<day>\d+)", re.IGNORECASE)


def days_of_labels(labels: Iterable[str]) -> dict[str, float | None]:
    """Return the day that each label of a column of visits states; None where it states none.

    A dash right behind a unit, as in 'D-7', is a minus where another label has none ('D+14', 'D28'); else it may part
    the two, and the day is None. Where several labels mean the baseline in words, or one beside a day 0, which of them
    is day 0 is open too. So is every day where some labels count from a transplant and some from a first dose, and a
    time after no event or after a treatment, which may be after its end: the former beside times alone.
    """
    texts = {label: _text(label) for label in labels}
    if len({match["fmt"] is None for text in texts.values() if (match := _CLOCK.search(text))}) > 1:
        return dict.fromkeys(texts)
    dashes = {re.search(r"[a-z]-\d", text) is not None for text in texts.values() if _UNIT_FIRST.search(text)}
    days = {label: _day_of_text(text, is_dash_a_minus=dashes == {True, False}) for label, text in texts.items()}
    later = {label: re.search(_AFTER, texts[label]) is not None for label, day in days.items() if day and day > 0}
    if False in later.values():
        days |= {label: None for label, is_after in later.items() if is_after and not _CLOCK.search(texts[label])}
    words = {label: _squeezed(text) for label, text in texts.items() if _BASELINE.fullmatch(_squeezed(text))}
    if len(set(words.values())) > 1 or 0 in days.values():
        return days | dict.fromkeys(words)
    return days | dict.fromkeys(words, 0.0)


def event_of_labels(labels: Iterable[str]) -> str:
    """Return the event that labels name as that of day 0: 'fmt', 'ici', or none where they name none, or both."""
    matches = [match for label in labels if (match := _CLOCK.search(_text(label)))]
    events = [event for event in ("fmt", "ici") if any(match[event] for match in matches)]
    return events[0] if len(events) == 1 else ""


def count_from_event(days: Mapping[str, float | None]) -> bool:
    """Tell whether labels count from an event: one names it, or is on day 0 or before it, as no length of time is."""
    return any(
        _CLOCK.search(_text(label)) or (day is not None and day <= 0 and not label.strip()[:1].isdigit())
        for label, day in days.items()
    )


def are_days_of_cycles(cells: Iterable[str]) -> bool:
    """Tell whether cells end in a day of a cycle of treatment, as 'C2D1', which is no day of a cohort's clock."""
    matches = [_CYCLE.fullmatch(cell.strip()) for cell in cells]
    if any(match and match["patient"] for match in matches):
        return True
    days = [int(match["day"]) for match in matches if match]
    # Each cycle begins on its day 1; C01-D28 may also be day 28 of patient C01.
    return len(days) == len(matches) and 1 in days


def _text(label: str) -> str:
    return re.sub(r"\s+", " ", label.replace("\N{MINUS SIGN}", "-").strip().casefold())


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def _day_of_text(text: str, *, is_dash_a_minus: bool) -> float | None:
    if cycle := _CYCLE_1.fullmatch(text):
        return float(cycle["day"]) - 1
    if time := _UNIT_FIRST.fullmatch(text) or _NUMBER_FIRST.fullmatch(text):
        return _signed_days(time, is_dash_a_minus=is_dash_a_minus)
    for pattern in _TIME_AFTER:
        side = pattern.fullmatch(text)
        bare_time = side["time"].strip(" ()") if side else ""
        time = _UNIT_FIRST.fullmatch(bare_time) or _NUMBER_FIRST.fullmatch(bare_time)
        if side and time:
            is_clear = side["event"] in (None, "fmt", "dose")
            return _signed_days(time, is_dash_a_minus=is_dash_a_minus) if is_clear else None
    # 'W6 predose' is a visit of week 6; '2 weeks before treatment' is no visit.
    side = _TIME_BEFORE.fullmatch(text)
    time = _NUMBER_FIRST.fullmatch(side["time"]) if side and side["event"] != "dose" else None
    days = _signed_days(time, is_dash_a_minus=False) if time and not time["sign"] else None
    return None if days is None else 0.0 - days


def _signed_days(time: re.Match[str], *, is_dash_a_minus: bool) -> float | None:
    is_dash = time["sign"] == "-" and time.re is _UNIT_FIRST and not time["gap"]
    if is_dash and not is_dash_a_minus:
        return None
    days = float(round(int(time["number"]) * _DAYS_OF_UNIT[time["unit"]]))
    return 0.0 - days if time["sign"] == "-" else days
