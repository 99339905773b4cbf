"""Formats of numbers in the report's sentences. Each function is a filter of templates: ``{{ p | p_text }}``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from features.outcomes import DAYS_PER_MONTH
from features.trajectories import WINDOWS, Window
from training.statistics.interval_estimate import IntervalEstimate
from training.study.analysis.limits import states_p
from training.study.analysis.rates import ExactRate


def count_noun(count: int, noun: str) -> str:
    """Return a count with its noun, whose plural ends in s: ``3 patients``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def rate_text(rate: ExactRate) -> str:
    """Return a rate with its interval: ``3 of 15 patients (20%, 95% interval 4 to 48%)``."""
    return (
        f"{rate.events} of {rate.n} patients ({rate.value:.0%}, 95% interval {100 * rate.low:.0f} to {rate.high:.0%})"
    )


def estimate_text(estimate: IntervalEstimate, digits: int = 3) -> str:
    """Return an estimate with its 95% interval, if it has one: ``0.120 (95% interval 0.034 to 0.206)``."""
    # Adding zero drops the sign of a value that rounds to -0.
    value, low, high = (round(number, digits) + 0.0 for number in (estimate.value, estimate.low, estimate.high))
    if np.isnan(low):
        return f"{value:.{digits}f} (no interval)"
    return f"{value:.{digits}f} (95% interval {low:.{digits}f} to {high:.{digits}f})"


def p_text(p: float, floor: float = 0, source: str = "") -> str:
    """Return a p-value as a comparison: ``p = 0.031`` or ``p < 0.001``.

    Parameters
    ----------
    p : float
    floor : float
        The smallest p that the test can give, which is named where it is reached: a smaller one was out of reach,
        whatever the effect.
    source : str
        What limits it: ``5 patients`` gives ``p = 0.062, the least that 5 patients can give``, and nothing
        ``p = 0.062, the least``.
    """
    if p < 0.001:
        return "p < 0.001"
    is_least = p <= floor * (1 + 1e-6)
    return f"p = {p:.2g}" + (f", the least{f' that {source} can give' if source else ''}" if is_least else "")


def windows_text(windows: Sequence[Window]) -> str:
    """Return the sentence of the methods that names the windows of days and states who chose them."""
    choice = "the defaults of the program" if tuple(windows) == WINDOWS else "chosen by the analyst"
    names = ", ".join(window.name for window in windows)
    return f"Measurements were compared in windows of days, {choice}: {names}."


def median_text(days: IntervalEstimate) -> str:
    """Return a median survival in months with its interval: ``8.3 months (95% interval 2.5 to not reached)``."""
    unit = " months" if np.isfinite(days.value) else ""
    return f"{months_text(days.value)}{unit} (95% interval {months_interval(days)})"


def months_interval(days: IntervalEstimate) -> str:
    """Return the interval of a number of days in months: ``2.5 to not reached``."""
    if np.isnan(days.low) and np.isinf(days.high):
        return "not estimable"
    return f"{months_text(days.low)} to {months_text(days.high)}"


def months_text(days: float) -> str:
    """Return days as months; infinity is ``not reached``, NaN ``not estimable``."""
    return "not estimable" if np.isnan(days) else "not reached" if np.isinf(days) else f"{days / DAYS_PER_MONTH:.1f}"


def percent_text(share: float) -> str:
    """Return a probability in percent, without claiming certainty: ``above 99%``."""
    return "below 1%" if share < 0.01 else "above 99%" if share > 0.99 else f"{share:.0%}"


def initial_capital(text: str) -> str:
    """Return a text with its first letter in upper case, and the rest as it is."""
    return text[:1].upper() + text[1:]


def number_text(value: float, spec: str = "g") -> str:
    """Return a number by its format specification: ``number_text(0.2, ".0%")`` is ``20%``."""
    return format(value, spec)


FILTERS: dict[str, Callable[..., str | bool]] = {
    function.__name__: function
    for function in (
        *(count_noun, rate_text, estimate_text, p_text, windows_text, median_text, months_text, percent_text),
        *(initial_capital, number_text, states_p),
    )
}
"""The filters of templates, by name."""
