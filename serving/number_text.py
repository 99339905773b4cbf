"""Numbers as pages, uploads and the command line write them."""

from __future__ import annotations

from models.confirmation import LEAST_CHANCE, MOST_CHANCE, page_probability

HALF_POINT = 0.005
"""Difference of probabilities below which whole percentage points round to 0."""


def significant(value: float) -> str:
    """Return a number with three significant digits, without an exponent from 1000 on."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share in percent; a dash for None."""
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def distinct_digits(share: float, other: float) -> int:
    """Return the fewest decimals with which two percents differ; one where two decimals do not tell them apart."""
    return next((digits for digits in range(3) if percent(share, digits) != percent(other, digits)), 1)


def percent_range(low: float, high: float) -> str:
    """Return a range of shares in percent; with decimals where both ends round to the same whole percent."""
    digits = distinct_digits(low, high)
    return f"{percent(low, digits).removesuffix('%')}–{percent(high, digits)}"


def unstated_ranges(low: float, high: float) -> list[tuple[float, float]]:
    """Return the parts of an axis of probabilities, from `low` to `high`, that lie beyond what pages state."""
    ranges = [(low, LEAST_CHANCE), (MOST_CHANCE, high)]
    return [(start, stop) for start, stop in ranges if start < stop]


def chance(probability: float | None, digits: int = 0) -> str:
    """Return a predicted probability in percent; from `LEAST_CHANCE` or `MOST_CHANCE` on, "about" that limit.

    If all of sixty held-out patients with a similar probability had the outcome, the exact interval of their rate would
    still reach down to 94%: held-out patients could hardly confirm a more extreme probability. A dash for None.
    """
    if probability is None or LEAST_CHANCE < probability < MOST_CHANCE:
        return percent(probability, digits)
    return f"about {percent(page_probability(probability))}"


def points(share: float) -> str:
    """Return a difference of probabilities in whole percentage points; a minus sign in place of a hyphen.

    A cohort of a few hundred patients tells a rate to within several points: tenths of a point would only seem exact.
    """
    return "0" if abs(share) < HALF_POINT else f"{100 * share:+.0f}".replace("-", "−")
