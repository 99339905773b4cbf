"""Plain names of what codes denote, for sentences: clocks, profilers, cohorts by their title."""

from __future__ import annotations

import re

_DAY_0 = {"day_ici": "the first dose of immune checkpoint inhibitors", "day_fmt": "the first transplant"}
_METAPHLAN_4 = re.compile(r"mpa_v(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(\d\d)_CHOCOPhlAnSGB_\d+")
_MONTHS = {
    **{"Jan": "January", "Feb": "February", "Mar": "March", "Apr": "April", "May": "May", "Jun": "June"},
    **{"Jul": "July", "Aug": "August", "Sep": "September", "Oct": "October", "Nov": "November", "Dec": "December"},
}


def day_0_event(clock: str) -> str:
    """Return the event on day 0 of a clock, in words.

    Parameters
    ----------
    clock : str
        Name of a clock: `day_ici`, `day_fmt`, or a cohort's own, of which the name is all that is known.
    """
    return _DAY_0.get(clock, f"day 0 of the clock {clock}")


def profiler_title(profiler: str) -> str:
    """Return the program and the month of its database: `MetaPhlAn 4 (October 2022 database)`.

    Parameters
    ----------
    profiler : str
        Code of a profiler and database, such as `mpa_vOct22_CHOCOPhlAnSGB_202212`; any other code is returned as it is.
    """
    match = _METAPHLAN_4.fullmatch(profiler)
    return f"MetaPhlAn 4 ({_MONTHS[match[1]]} 20{match[2]} database)" if match else profiler


def short_title(title: str) -> str:
    """Return the first part of a cohort's title, up to a comma: `Lee 2022`."""
    return title.partition(",")[0]
