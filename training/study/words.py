"""Numbers as the report's sentences have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.outcomes import MONTH
from features.trajectories import WINDOWS, Window
from training.statistics.metrics import Estimate
from training.study.rates import exact_rate


def counted(n: int, thing: str) -> str:
    """Return how many there are of a thing whose plural ends in s."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def share_in_words(events: int, n: int) -> str:
    """Return a share as a sentence has it: ``3 of 15 patients (20%, 95% interval 4 to 48%)``."""
    rate = exact_rate(events, n)
    return f"{events} of {n} patients ({rate.value:.0%}, 95% interval {100 * rate.low:.0f} to {rate.high:.0%})"


def in_words(found: Estimate, digits: int = 3) -> str:
    """Return a number and its 95% interval as a sentence has them; the interval only where there is one."""
    # Without the zero, what rounds to none would have a sign.
    value, low, high = (round(one, digits) + 0.0 for one in (found.value, found.low, found.high))
    if np.isnan(low):
        return f"{value:.{digits}f} (no interval)"
    return f"{value:.{digits}f} (95% interval {low:.{digits}f} to {high:.{digits}f})"


def p_in_words(p: float) -> str:
    """Return a p-value as a sentence has it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def windows_in_words(windows: Sequence[Window]) -> str:
    """Return which windows were compared, and who chose them, as the methods have it."""
    chosen = "as the program has them for every trial" if tuple(windows) == WINDOWS else "chosen by the analyst"
    return f"Measurements were compared in windows of days, {chosen}: {', '.join(one.name for one in windows)}."


def median_in_words(days: Estimate) -> str:
    """Return a median survival as a sentence has it: ``8.3 months (95% interval 2.5 to not reached)``."""
    value, low, high = (months_in_words(each) for each in (days.value, days.low, days.high))
    span = "not estimable" if np.isnan(days.low) and np.isinf(days.high) else f"{low} to {high}"
    return f"{value}{' months' if np.isfinite(days.value) else ''} (95% interval {span})"


def months_in_words(days: float) -> str:
    """Return days as months, also where they are infinite or unknown."""
    return "not estimable" if np.isnan(days) else "not reached" if np.isinf(days) else f"{days / MONTH:.1f}"
