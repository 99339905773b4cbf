"""Swimmer plot: transplants, cycles, assessments, events, progression and death of each patient on one line."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from features.outcomes import DAYS_PER_MONTH
from training.drawing import COLOURS, DONOR_COLOUR, INK, PALE, REST, VERMILION, WIDTH
from training.study.analysis.course import CourseResult
from training.study.analysis.response import RECIST
from training.study.figures.response import response_colour

PINK, TREATED = COLOURS[3], "#b9d6ea"
MAX_DAYS = 200
"""The longest follow-up that is drawn in days; a longer one is drawn in months."""


@dataclass
class _Lines:
    """The axes with one line a patient, and the legend of the marks on them.

    Attributes
    ----------
    axes : Axes
    position : dict of str to int
        Of each patient's line.
    unit : float
        Days in a unit of the x axis.
    legend : list of Line2D
    """

    axes: Axes
    position: dict[str, int]
    unit: float
    legend: list[Line2D] = field(default_factory=list)

    def bars(self, days: pd.Series[float], colour: str) -> None:
        """Draw a bar from day 0 for each patient; `days` in the order of lines."""
        self.axes.barh(list(self.position.values()), days / self.unit, height=0.55, color=colour)

    def mark(
        self, rows: pd.DataFrame, marker: str, colour: str, label: str, *, lift: float = 0.0, size: float = 5
    ) -> None:
        """Draw a marker at each `patient` and `day`, `lift` above the line, and enter it in the legend."""
        rows = rows[rows["patient"].isin(self.position.keys())].dropna(subset=["day"])
        if rows.empty:
            return
        y = rows["patient"].map(self.position) + lift
        self.axes.plot(
            rows["day"] / self.unit, y, marker, color=colour, markersize=size, markeredgewidth=0.8, clip_on=False
        )
        self.legend.append(
            Line2D([], [], linestyle="", marker=marker, color=colour, markersize=size, markeredgewidth=0.8, label=label)
        )


def swimmer_figure(course: CourseResult) -> Figure:
    """Draw the course of each patient, the longest on top."""
    last_day = course.last_day
    unit, unit_name = (DAYS_PER_MONTH, "months") if last_day.max() > MAX_DAYS else (1.0, "days")
    n = len(last_day)
    height = min(0.9 + max(0.14, 0.2 - 0.004 * n) * n, 9.5)
    figure = Figure(figsize=(WIDTH, height + 0.5), layout="constrained")
    axes = figure.subplots()
    lines = _Lines(axes, {name: position for position, name in enumerate(last_day.index)}, unit)
    lines.bars(last_day, REST)
    if course.treatment_end is not None:
        lines.bars(course.treatment_end, TREATED)
        lines.legend.append(Line2D([], [], color=TREATED, linewidth=5, label="on treatment"))
    _marks(lines, course)
    for name, position in lines.position.items():
        axes.annotate(
            course.best_response.get(name, ""),
            (max(last_day[name], 0) / unit, position),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    _separate_arms(lines, course)
    axes.set_yticks(list(lines.position.values()), [course.codes[name] for name in lines.position])
    axes.tick_params(axis="y", length=0, labelsize=min(8.0, 420 * height / 9.5 / max(n, 1)))
    bar_end = "" if course.follow_up_dated else "; bars end at the last record, not at the end of follow-up"
    axes.set(xlabel=f"{unit_name} from day 0: {course.day_zero}{bar_end}", ylim=(-0.8, n - 0.2))
    axes.axvline(0, color=PALE, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.spines["left"].set_visible(False)
    figure.legend(handles=lines.legend, loc="outside lower center", ncols=5, columnspacing=1.2, handletextpad=0.4)
    return figure


def _separate_arms(lines: _Lines, course: CourseResult) -> None:
    """Draw a line between arms, and name each beside its topmost patient, at the right."""
    names = [course.arm.get(patient, "arm not known") for patient in lines.position]
    if len(set(names)) < 2:
        return
    for position, (name, name_above) in enumerate(zip(names, [*names[1:], None], strict=True)):
        if name != name_above:
            right_edge = lines.axes.get_yaxis_transform()
            lines.axes.text(
                1.04,
                position + 0.5,
                name,
                transform=right_edge,
                ha="left",
                va="top",
                rotation=270,
                fontsize=7,
                color=INK,
            )
            lines.axes.axhline(position + 0.5, color=PALE, linewidth=0.8)


def _marks(lines: _Lines, course: CourseResult) -> None:
    lines.mark(course.stool, ".", "#7a7a7a", "stool", size=3)
    lines.mark(course.cycles, "|", INK, "ICI cycle", size=4)
    lines.mark(course.transplants, "v", DONOR_COLOUR, "FMT", lift=0.35)
    for response in (*RECIST, "iCPD"):
        rows = course.assessments[course.assessments["response"] == response]
        lines.mark(rows, "D" if response == "iCPD" else "o", response_colour(response), response, size=4.5)
    severe = course.events["grade"] >= 3
    mild = course.events["grade"] < 3
    lines.mark(course.events[mild], "1", PINK, "adverse event, grade 1 or 2", lift=-0.3, size=6)
    lines.mark(course.events[severe], "^", PINK, "grade 3 or above", lift=-0.32)
    lines.mark(course.progressions, "s", VERMILION, "progression")
    lines.mark(course.deaths, "X", INK, "death", size=6)
    lines.mark(course.alive, ">", INK, "alive at last follow-up")
