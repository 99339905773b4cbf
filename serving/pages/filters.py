"""Filters of the templates: how names and numbers are written."""

from __future__ import annotations

from collections.abc import Callable

from features.plain_names import day_0_event, profiler_title, short_title
from serving.number_text import chance, percent, percent_range, points, significant


def readable(name: str) -> str:
    """Return an identifier, such as a taxon or a column, with spaces: `sex=female` as `sex: female`."""
    return name.replace("_", " ").replace("=", ": ")


def sentence(text: str) -> str:
    """Return a text with a capital first letter."""
    return text[:1].upper() + text[1:]


def decimals(value: float | None, digits: int = 2) -> str:
    """Return a number with so many decimals; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, and a minus sign in place of a hyphen."""
    return f"{value:+.{digits}f}".replace("-", "−")


FILTERS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        *(readable, sentence, day_0_event, profiler_title, short_title),
        *(percent, percent_range, chance, decimals, significant, signed, points),
    )
}
"""The filters by the name that templates use."""
