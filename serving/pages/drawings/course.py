"""The course: the predicted probabilities of a patient over the visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.prediction import Verdict

WIDTH, HEIGHT = 560, 160
"""Size of the drawing."""
MIN_TICK_DISTANCE = 34
"""Width that the label of a visit takes."""


@dataclass(frozen=True)
class VisitPrediction:
    """The predictions at one visit.

    Attributes
    ----------
    label : str
        Label of the visit.
    day : float or None
    usable : bool
        Whether the sample is no later than the last day of the models.
    probabilities : tuple of float or None
        One for each predicted outcome; None where the model abstains.
    verdicts : tuple of Verdict
        One for each predicted outcome.
    """

    label: str
    day: float | None
    usable: bool
    probabilities: tuple[float | None, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Dot:
    """One probability in the drawing."""

    x: float
    y: float
    usable: bool


@dataclass(frozen=True)
class Line:
    """The probabilities of one side (response, toxicity); `points` are those of an SVG polyline."""

    side: str
    dots: tuple[Dot, ...]
    points: str


@dataclass(frozen=True)
class CourseDrawing:
    """The drawing, and its numbers.

    Attributes
    ----------
    visits : tuple of VisitPrediction
    lines : tuple of Line
    abstentions : tuple of float
        x of each visit at which a model abstains.
    end_x : float or None
        x after which samples are later than the last day of the models; None where there are none.
    ticks : tuple of (float, str)
        x and label of the visits that have room for one.
    has_days : bool
        Whether x is the day; else visits are equally spaced.
    """

    visits: tuple[VisitPrediction, ...]
    lines: tuple[Line, ...]
    abstentions: tuple[float, ...]
    end_x: float | None
    ticks: tuple[tuple[float, str], ...]
    has_days: bool


def draw_course(visits: Sequence[VisitPrediction], sides: Sequence[str]) -> CourseDrawing:
    """Place the predictions of at least two visits.

    Parameters
    ----------
    visits : sequence of VisitPrediction
        In order of time.
    sides : sequence of str
        Side of each predicted outcome.
    """
    days = [visit.day for visit in visits if visit.day is not None]
    has_days = len(days) == len(visits) and len(set(days)) > 1
    times = days if has_days else [float(index) for index in range(len(visits))]
    xs = [round(WIDTH * (time - times[0]) / (times[-1] - times[0]), 1) for time in times]
    positions = list(zip(xs, visits, strict=True))
    later = [x for x, visit in positions if not visit.usable]
    last_usable = max((x for x, visit in positions if visit.usable), default=0)
    return CourseDrawing(
        visits=tuple(visits),
        lines=tuple(_line(side, index, positions) for index, side in enumerate(sides)),
        abstentions=tuple(x for x, visit in positions if None in visit.probabilities),
        end_x=(later[0] + last_usable) / 2 if later else None,
        ticks=_ticks(positions),
        has_days=has_days,
    )


def _line(side: str, index: int, positions: Sequence[tuple[float, VisitPrediction]]) -> Line:
    dots = tuple(
        Dot(x, round(HEIGHT * (1 - probability), 1), visit.usable)
        for x, visit in positions
        if (probability := visit.probabilities[index]) is not None
    )
    return Line(side, dots, " ".join(f"{dot.x},{dot.y}" for dot in dots))


def _ticks(positions: Sequence[tuple[float, VisitPrediction]]) -> tuple[tuple[float, str], ...]:
    ticks: list[tuple[float, str]] = []
    for x, visit in positions:
        if not ticks or x - ticks[-1][0] >= MIN_TICK_DISTANCE:
            ticks.append((x, visit.label.split()[-1]))
    return tuple(ticks)
