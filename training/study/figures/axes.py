"""Axes that figures of several sections share."""

from __future__ import annotations

from matplotlib.axes import Axes

from features.arrays import Vector


def day_axis(axes: Axes, days: Vector) -> None:
    """Spread the first month, in which most changes happen, on an axis of days."""
    axes.set_xscale("symlog", linthresh=30, linscale=0.8)
    ticks = [day for day in (-30, 0, 30, 300) if days.min() - 10 <= day <= 1.4 * max(days.max(), 30)]
    axes.set_xticks(ticks, [f"{day}".replace("-", "−") for day in ticks])
    axes.minorticks_off()
