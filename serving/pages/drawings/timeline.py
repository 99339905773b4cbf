"""The timeline: lanes of marks, spans and curves above one time axis. Positions are percentages of the width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

MAX_TICKS = 8
"""Labels of an axis of visits, at most."""
LINEAR_DAYS = 30
"""Days are drawn as the inverse hyperbolic sine of this share of them: evenly about day 0, where samples are dense, and
closer and closer beyond."""
TICK_DAYS = (0, 7, 14, 30, 60, 90, 180, 365, 730, 1460, 2920, 5840)
"""Days that an axis may label, and the same before day 0."""
MIN_TICK_DISTANCE = 7
"""Percent of the axis between two labels."""
CURVE_HEIGHT = 56
"""Height of a lane with a curve."""
TEXT_HEIGHT = 11
"""Least distance of the baselines of two texts."""


@dataclass(frozen=True)
class TimeTick:
    """A label of the time axis at the position `x`."""

    x: float
    text: str


@dataclass(frozen=True)
class TimeAxis:
    """The time axis that all lanes share.

    Attributes
    ----------
    start, stop : float
        Times at both ends; the second is later.
    ticks : tuple of TimeTick
    zero_x : float or None
        Position of time 0; None where it lies outside, or visits are not dated.
    end_x : float or None
        Position after which samples are later than the last day of the models; None where there are none.
    dated : bool
        Whether time is in days; else visits are equally spaced.
    """

    start: float
    stop: float
    ticks: tuple[TimeTick, ...]
    zero_x: float | None
    end_x: float | None
    dated: bool

    def position(self, time: float) -> float:
        """Return the position of a time; an earlier one than the axis is at its start, a later one at its end."""
        start, stop, place = (self._place(end) for end in (self.start, self.stop, time))
        return round(100 * min(max((place - start) / (stop - start), 0.0), 1.0), 2)

    def _place(self, time: float) -> float:
        return math.asinh(time / LINEAR_DAYS) if self.dated else time


@dataclass(frozen=True)
class LaneMark:
    """One event; a hollow mark is of a sample that no prediction may use. A text replaces the symbol."""

    x: float
    label: str
    text: str = ""
    hollow: bool = False


@dataclass(frozen=True)
class LaneSpan:
    """One period, from `x` over `width`."""

    x: float
    width: float
    label: str


@dataclass(frozen=True)
class CurvePoint:
    """One point of a curve; a hollow one is censored, or not confirmed."""

    x: float
    y: float
    label: str
    hollow: bool


@dataclass(frozen=True)
class LaneCurve:
    """Points joined in the order of time; `name` says of what, and is part of the class of its style.

    `text` stands at the last point, on a baseline of the height `text_y`.
    """

    name: str
    points: tuple[CurvePoint, ...]
    text: str = ""
    text_y: float = 0.0


@dataclass(frozen=True)
class LaneBand:
    """The horizontal band from the height `top` to `bottom`: a training range, the inner one darker."""

    top: float
    bottom: float
    inner: bool


@dataclass(frozen=True)
class Lane:
    """One line of the timeline.

    Attributes
    ----------
    kind : str
        What it shows, for its name and its symbols.
    title : str
        Its name where the kind has none, such as that of an analyte.
    unit : str
    summary : str
        First and last value, or how many events.
    marks : tuple of LaneMark
    spans : tuple of LaneSpan
    curves : tuple of LaneCurve
    bands : tuple of LaneBand
    limit_y : float or None
        Height of the lower limit of quantification.
    ends : tuple of str
        Values at the bottom and at the top of the curves; empty without curves.
    """

    kind: str
    title: str = ""
    unit: str = ""
    summary: str = ""
    marks: tuple[LaneMark, ...] = ()
    spans: tuple[LaneSpan, ...] = ()
    curves: tuple[LaneCurve, ...] = ()
    bands: tuple[LaneBand, ...] = ()
    limit_y: float | None = None
    ends: tuple[str, ...] = ()


@dataclass(frozen=True)
class ValueScale:
    """The vertical scale of a lane, from `low` at its bottom to `high` at its top."""

    low: float
    high: float

    def height(self, value: float) -> float:
        """Return the height of a value, within the lane."""
        share = (value - self.low) / (self.high - self.low)
        return round(CURVE_HEIGHT * (1 - min(max(share, 0.0), 1.0)), 1)


def day_axis(days: Sequence[float], last_day: float) -> TimeAxis:
    """Return the axis of days, from the earliest to the latest.

    Parameters
    ----------
    days : sequence of float
        At least one.
    last_day : float
        Last day of samples that a prediction may use.
    """
    start = min(days)
    stop = max(*days, start + 1)
    axis = TimeAxis(start, stop, (), None, None, dated=True)
    return TimeAxis(
        start,
        stop,
        _ticks(axis),
        axis.position(0) if start <= 0 <= stop else None,
        axis.position(last_day) if start <= last_day < stop else None,
        dated=True,
    )


def visit_axis(labels: Sequence[str]) -> TimeAxis:
    """Return the axis of visits without days, equally spaced; their times are 0, 1, 2 and so on."""
    stop = max(len(labels) - 1, 1)
    axis = TimeAxis(0, stop, (), None, None, dated=False)
    spacing = math.ceil(len(labels) / MAX_TICKS)
    ticks = [TimeTick(axis.position(i), labels[i]) for i in range(0, len(labels), spacing)]
    return TimeAxis(0, stop, tuple(ticks), None, None, dated=False)


def _ticks(axis: TimeAxis) -> tuple[TimeTick, ...]:
    """Return the labels of an axis of days: day 0 first, then from it outwards as many as have room."""
    ticks: list[TimeTick] = []
    for day in (sign * day for day in TICK_DAYS for sign in (1, -1)):
        x = axis.position(day)
        if axis.start <= day <= axis.stop and all(abs(x - tick.x) >= MIN_TICK_DISTANCE for tick in ticks):
            ticks.append(TimeTick(x, f"{day}"))
    return tuple(sorted(ticks, key=lambda tick: tick.x))


def with_text_heights(curves: Sequence[LaneCurve]) -> tuple[LaneCurve, ...]:
    """Return the curves of a lane, at most two, with their texts beside the last points and clear of each other.

    The text of the upper curve stands above its end, that of the lower one below; that of a single curve where there is
    more room.
    """
    order = sorted((curve for curve in curves if curve.points), key=lambda curve: curve.points[-1].y)
    top, bottom = TEXT_HEIGHT - 2, CURVE_HEIGHT - 2
    heights: list[float] = []
    for curve in order:
        end = curve.points[-1].y
        is_above = curve is order[0] if len(order) > 1 else end >= CURVE_HEIGHT / 2
        heights.append(min(max(end - 3 if is_above else end + 10, top), bottom))
    if len(heights) > 1 and heights[1] - heights[0] < TEXT_HEIGHT:
        heights[0] = min(heights[0], bottom - TEXT_HEIGHT)
        heights[1] = heights[0] + TEXT_HEIGHT
    text_y = {curve.name: height for curve, height in zip(order, heights, strict=True)}
    return tuple(replace(curve, text_y=text_y.get(curve.name, 0.0)) for curve in curves)
