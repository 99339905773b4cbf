"""Filters of the templates: how names and numbers are written."""

from __future__ import annotations

from collections.abc import Callable

from serving.number_text import significant

LEAST_CHANCE, MOST_CHANCE = 0.05, 0.95
"""Predicted probabilities beyond which pages and texts state about this limit; the API returns the number."""


def readable(name: str) -> str:
    """Return an identifier, such as a taxon or a column, with spaces: `sex=female` as `sex: female`."""
    return name.replace("_", " ").replace("=", ": ")


def sentence(text: str) -> str:
    """Return a text with a capital first letter."""
    return text[:1].upper() + text[1:]


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share in percent; a dash for None."""
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def page_probability(probability: float) -> float:
    """Return a predicted probability within `LEAST_CHANCE` and `MOST_CHANCE`, as pages draw it and compute with it."""
    return min(max(probability, LEAST_CHANCE), MOST_CHANCE)


def chance(probability: float | None) -> str:
    """Return a predicted probability in percent; from `LEAST_CHANCE` or `MOST_CHANCE` on, "about" that limit.

    If all of sixty held-out patients with a similar probability had the outcome, the exact interval of their rate would
    still reach down to 94%: held-out patients could hardly confirm a more extreme probability. A dash for None.
    """
    if probability is None or LEAST_CHANCE < probability < MOST_CHANCE:
        return percent(probability)
    return f"about {percent(page_probability(probability))}"


def decimals(value: float | None, digits: int = 2) -> str:
    """Return a number with so many decimals; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, and a minus sign in place of a hyphen."""
    return f"{value:+.{digits}f}".replace("-", "−")


def points(share: float) -> str:
    """Return a difference of probabilities in whole percentage points; a minus sign in place of a hyphen.

    A cohort of a few hundred patients tells a rate to within several points: tenths of a point would only seem exact.
    """
    return "0" if abs(share) < 0.005 else f"{100 * share:+.0f}".replace("-", "−")


FILTERS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (readable, sentence, percent, chance, decimals, significant, signed, points)
}
"""The filters by the name that templates use."""
