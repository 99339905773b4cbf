"""Axes that figures of several sections share."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from features.arrays import Vector
from training.drawing import INK, PALE, WIDTH

DAYS = "days from day 0"
"""Label of an axis of days; the report's head states what day 0 is."""


def day_axis(axes: Axes, days: Vector) -> None:
    """Spread the first month, in which most changes happen, on an axis of days."""
    axes.set_xscale("symlog", linthresh=30, linscale=0.8)
    last_day = max(days.max(), 30)
    # Much beyond a year, the label of day 90 would touch that of day 300.
    late_ticks = (90, 300) if last_day < 400 else (300,)
    ticks = [day for day in (-30, 0, 30, *late_ticks) if days.min() - 10 <= day <= 1.1 * last_day]
    axes.set_xticks(ticks, [f"{day}".replace("-", "−") for day in ticks])
    axes.minorticks_off()


def ratio_panels(windows: Sequence[str], names: Sequence[str], label: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel of ratios for each window, on one scale around 1, and a row for each name."""
    figure = Figure(figsize=(WIDTH, 0.8 + 0.19 * len(names)), layout="constrained")
    panels = list(figure.subplots(1, len(windows), sharex=True, sharey=True, squeeze=False)[0])
    for window, axes in zip(windows, panels, strict=True):
        axes.axvline(1, color=PALE, linewidth=0.8)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_title(window, loc="left")
        axes.set_xlabel(label)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return figure, panels


def draw_ratio(
    axes: Axes, y: int, log2: float, limits: tuple[float, float], *, significant: bool, is_range: bool = False
) -> None:
    """Draw a ratio, given as its base-2 logarithm, with its interval, or dotted its range: filled if significant."""
    axes.plot([2**end for end in limits], [y, y], ":" if is_range else "-", color=INK, linewidth=1.2)
    axes.plot(2**log2, y, "o", color=INK, markerfacecolor=INK if significant else "white")
