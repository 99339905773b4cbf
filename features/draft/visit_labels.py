"""The days that labels of visits state, as 'Week 6', 'C1D8', '3 months post FMT' or 'baseline'."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from features.outcomes import DAYS_PER_MONTH

_BASELINE = re.compile(
    r"baseline|bl|m0|(pre|before|vor|avant)(treatment|traitement|immunotherapy|therapy|therapie|ici|dose|fmt)?"
)
_DAYS_OF_UNIT: Mapping[str, float] = {
    **dict.fromkeys(("d", "day", "days", "tag", "tage", "jour", "jours"), 1),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks", "woche", "wochen", "semaine", "semaines"), 7),
    **dict.fromkeys(("mo", "mos", "month", "months", "monat", "monate", "mois"), DAYS_PER_MONTH),
}
"""M alone is no month: it may be a measurement."""
_UNITS = "|".join(sorted(_DAYS_OF_UNIT, key=len, reverse=True))
_UNIT_FIRST = re.compile(rf"(?P<unit>{_UNITS})(?P<gap>[ _]*)(?P<sign>[+-]?) ?(?P<number>\d+)")
_NUMBER_FIRST = re.compile(rf"(?P<sign>[+-]?)(?P<number>\d+)(?P<gap>[ _-]*)(?P<unit>{_UNITS})")
_SIDE = r"(?:(?P<after>post|after|nach|apr\u00e8s)|(?P<before>pre|before|vor|avant))"
_EVENT = r"(?:the[ _-]*)?(?:fmt|ici|treatment|therapy|immunotherapy|dose|therapie|traitement)?"
_EVENTS = r"(?P<transplant>fmt)|ici|treatment|therapy|dose|therapie|traitement"
_TIMES = (
    re.compile("(?P<after>)(?P<before>)(?P<time>.*)"),
    re.compile(rf"{_SIDE}[ _-]*{_EVENT}[ _-]*(?P<time>.*)"),
    re.compile(rf"(?P<time>.*?)[ _-]*{_SIDE}[ _-]*{_EVENT}"),
)
"""A time alone, behind the words for a side of an event, and before them: '4 weeks', 'post FMT day 7', 'W6 post'."""
_CYCLE_1 = re.compile(r"(?:c|cycle)[ _]*0?1[ _,.-]*(?:d|day)[ _]*(?P<day>[1-9]\d*)")
_CYCLE = re.compile(r"(?:^|.*[\W_])(?:c|cycle)[ _.-]?\d+[ _,.-]*(?:d|day)[ _.-]?(?P<day>\d+)", re.IGNORECASE)


def days_of_labels(labels: Iterable[str]) -> dict[str, float | None]:
    """Return the day that each label of a column of visits states; None where it states none.

    A dash right behind a unit, as in 'D-7', is a minus where another label has none ('D+14', 'D28'); else it may part
    the two, and the day is None. Where several labels mean the baseline in words, or one beside a day 0, which of them
    is day 0 is open too, and so are days after a transplant beside days after a first dose.
    """
    texts = {label: re.sub(r"\s+", " ", label.replace("\N{MINUS SIGN}", "-").strip().casefold()) for label in labels}
    dashes = {re.search(r"[a-z]-\d", text) is not None for text in texts.values() if _UNIT_FIRST.search(text)}
    days = {label: _day_of_text(text, is_dash_a_minus=dashes == {True, False}) for label, text in texts.items()}
    # A day after the transplant and one after the first dose are not of one clock.
    events = {label: re.search(_EVENTS, text) for label, text in texts.items() if days[label]}
    if len({match["transplant"] is None for match in events.values() if match}) > 1:
        days |= {label: None for label, match in events.items() if match}
    words = {label: _squeezed(text) for label, text in texts.items() if _BASELINE.fullmatch(_squeezed(text))}
    if len(set(words.values())) > 1 or 0 in days.values():
        return days | dict.fromkeys(words)
    return days | dict.fromkeys(words, 0.0)


def are_days_of_cycles(cells: Iterable[str]) -> bool:
    """Tell whether cells end in a day of a cycle of treatment, as 'C2D1', which is no day of a cohort's clock."""
    matches = [_CYCLE.fullmatch(cell.strip()) for cell in cells]
    days = [int(match["day"]) for match in matches if match]
    # Each cycle begins on its day 1; C01-D28 may also be day 28 of patient C01.
    return len(days) == len(matches) and 1 in days


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def _day_of_text(text: str, *, is_dash_a_minus: bool) -> float | None:
    if cycle := _CYCLE_1.fullmatch(text):
        return float(cycle["day"]) - 1
    for pattern in _TIMES:
        side = pattern.fullmatch(text)
        time = side["time"].strip(" ()") if side else ""
        match = _UNIT_FIRST.fullmatch(time) or _NUMBER_FIRST.fullmatch(time)
        if side is None or match is None:
            continue
        is_dash = match["sign"] == "-" and match.re is _UNIT_FIRST and not match["gap"]
        if (is_dash and not is_dash_a_minus) or (match["sign"] and side["before"]):
            return None
        days = round(int(match["number"]) * _DAYS_OF_UNIT[match["unit"]])
        return float(-days if match["sign"] == "-" or side["before"] else days)
    return None
