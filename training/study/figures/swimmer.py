"""Each patient's course on one line: transplants, cycles, assessments, events, progression and death."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from features.cohort import Cohort
from features.outcomes import MONTH
from training.drawing import COLOURS, GREEN, INK, PALE, REST, VERMILION, WIDTH
from training.study.analysis.course import last_days
from training.study.analysis.response import RECIST
from training.study.figures.response import response_colour

PINK = COLOURS[3]


def swimmer_figure(
    cohort: Cohort, codes: Mapping[str, str], transplants: pd.DataFrame, best: Mapping[str, str]
) -> Figure:
    """Draw the patients' courses, the longest on top.

    Parameters
    ----------
    cohort : Cohort
    codes : mapping of str to str
        Each patient's code.
    transplants : pandas.DataFrame
        `patient`, an identifier, and `day`.
    best : mapping of str to str
        Best overall response by patient, written where the bar ends; may be empty.
    """
    ends = last_days(cohort, codes).dropna().sort_values(kind="stable")
    rows = {name: at for at, name in enumerate(ends.index)}
    unit, word = (MONTH, "months") if ends.max() > 200 else (1.0, "days")
    height = min(0.9 + max(0.14, 0.3 - 0.004 * len(rows)) * len(rows), 9.5)
    figure = Figure(figsize=(WIDTH, height + 0.5), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(rows.values()), ends / unit, height=0.55, color=REST)
    legend: list[Line2D] = []

    def mark(frame: pd.DataFrame, marker: str, colour: str, label: str, *, lift: float = 0.0, size: float = 5) -> None:
        frame = frame[frame["patient"].isin(rows.keys())].dropna(subset=["day"])
        if frame.empty:
            return
        y = frame["patient"].map(rows) + lift
        style: dict[str, Any] = {"color": colour, "markersize": size, "linestyle": "", "markeredgewidth": 0.8}
        axes.plot(frame["day"] / unit, y, marker, clip_on=False, **style)
        legend.append(Line2D([], [], marker=marker, label=label, **style))

    course, dates = cohort.course, cohort.labels.dates
    if dates is not None and "treatment_end" in dates:
        treated = dates["treatment_end"].reindex(ends.index).fillna(ends).clip(upper=ends)
        axes.barh(list(rows.values()), treated / unit, height=0.55, color="#b9d6ea")
        legend.append(Line2D([], [], color="#b9d6ea", linewidth=5, label="on treatment"))
    mark(cohort.samples, ".", "#7a7a7a", "stool", size=3)
    mark(course.cycles, "|", INK, "ICI cycle", size=4)
    mark(transplants, "v", GREEN, "FMT", lift=0.35)
    for response in (*RECIST, "iCPD"):
        found = course.assessments[course.assessments["response"] == response]
        mark(found, "D" if response == "iCPD" else "o", response_colour(response), response, size=4.5)
    if cohort.labels.events is not None:
        frame = cohort.labels.events.frame
        mark(frame[frame["grade"] < 3], "1", PINK, "adverse event, grade 1 or 2", lift=-0.3, size=6)
        mark(frame[frame["grade"] >= 3], "^", PINK, "grade 3 or above", lift=-0.32)
    mark(_dated(dates, "progression_free_survival", "overall_survival"), "s", VERMILION, "progression")
    mark(_dated(dates, "overall_survival"), "X", INK, "death", size=6)
    mark(_alive(dates), ">", INK, "alive at last follow-up")
    for name, at in rows.items():
        axes.annotate(
            best.get(name, ""),
            (max(ends[name], 0) / unit, at),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axes.set_yticks(list(rows.values()), [codes[name] for name in rows])
    axes.tick_params(axis="y", length=0, labelsize=min(8.0, 420 * height / 9.5 / max(len(rows), 1)))
    axes.set(xlabel=f"{word} from day 0: {cohort.manifest.clock.index}", ylim=(-0.8, len(rows) - 0.2))
    axes.axvline(0, color=PALE, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.spines["left"].set_visible(False)
    figure.legend(handles=legend, loc="outside lower center", ncols=5, columnspacing=1.2, handletextpad=0.4)
    return figure


def _dated(dates: pd.DataFrame | None, name: str, unless: str | None = None) -> pd.DataFrame:
    """Return the patients who had an event and its day, but for those in whom another came on that day."""
    if dates is None or name not in dates:
        return pd.DataFrame({"patient": [], "day": []})
    had = dates[f"{name}_event"].fillna(False).astype(bool)
    if unless is not None and unless in dates:
        had &= ~(dates[f"{unless}_event"].fillna(False).astype(bool) & (dates[unless] <= dates[name]))
    return pd.DataFrame({"patient": dates.index[had], "day": dates.loc[had, name].to_numpy()})


def _alive(dates: pd.DataFrame | None) -> pd.DataFrame:
    if dates is None or "overall_survival" not in dates:
        return pd.DataFrame({"patient": [], "day": []})
    alive = ~dates["overall_survival_event"].fillna(True).astype(bool)
    return pd.DataFrame({"patient": dates.index[alive], "day": dates.loc[alive, "overall_survival"].to_numpy()})
