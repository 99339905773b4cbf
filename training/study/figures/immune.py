"""Figures of the immune section: trajectories of analytes, and their changes from the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from features.trajectories import Trajectories
from features.units import LOG2_UNITS, ImmuneUnit
from training.drawing import INK, PALE, WIDTH
from training.study.analysis.immune import ImmuneResults
from training.study.analysis.immune_changes import LevelChange
from training.study.figures.axes import DAYS, draw_ratio, ratio_panels
from training.study.figures.patients import PatientStyle, patient_styles

MAX_WINDOWS = 4
"""Windows that `changes_figure` draws, the first ones."""
MIN_VISIT_PATIENTS = 3
"""Fewest patients of a numbered visit whose mean is drawn."""
_UNIT_TITLES: dict[ImmuneUnit, str] = {
    "pg/mL": "pg/mL",
    "ng/mL": "ng/mL",
    "mg/L": "mg/L",
    "mg/dL": "mg/dL",
    "NPX": "NPX (log2)",
    "log2_expression": "expression (log2)",
    "unstated": "level, unit not reported",
}


def trajectories_figure(results: ImmuneResults, analytes: Sequence[str]) -> Figure:
    """Draw the levels of some analytes over time, a panel for each: patients as thin lines, the mean in bold.

    The unit stands beside the panels, and a dotted line marks day 0.
    """
    present = set(results.trajectories.rows["patient"])
    styles = patient_styles(code for patient, code in results.codes.items() if patient in present)
    n_columns = min(4, len(analytes))
    n_rows = -(-len(analytes) // n_columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 1.55 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharex=True, squeeze=False).ravel()
    for axes in panels[len(analytes) :]:
        axes.axis("off")
    for analyte, axes in zip(analytes, panels, strict=False):
        _trajectory_panel(axes, results, analyte, styles)
        axes.tick_params(labelbottom=True)
    # Not `supxlabel`, over which a legend outside the panels would be written.
    for axes in panels[max(0, len(analytes) - n_columns) : len(analytes)]:
        axes.set_xlabel(DAYS if results.dated else "visit")
    figure.supylabel(_UNIT_TITLES[results.trajectories.unit], fontsize=8)
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=3.5, label=code)
        for code, (colour, marker) in styles.items()
    ]
    handles.append(Line2D([], [], color=INK, linewidth=2, marker="_", label="geometric mean"))
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
    return figure


def _trajectory_panel(axes: Axes, results: ImmuneResults, analyte: str, styles: Mapping[str, PatientStyle]) -> None:
    """Draw one analyte; `styles` are those of each patient by code, empty where there are too many."""
    course = results.trajectories
    rows = course.rows[course.rows["analyte"] == analyte]
    last_time = float(course.rows["time"].max())
    for window in results.windows[1:] if course.dated else ():
        axes.axvspan(window.start, min(window.end, last_time), color=PALE, alpha=0.15, linewidth=0)
    if course.dated:
        axes.axvline(0, color=INK, linewidth=0.7, linestyle=":")
    if styles:
        for patient, draws in rows.groupby("patient", sort=False):
            _patient_lines(axes, course, draws, *styles[results.codes[str(patient)]], bold=True)
    else:
        _patient_lines(axes, course, rows, PALE, "o", bold=False)
    _mean_line(axes, results, analyte, rows)
    _scale_axes(axes, course, rows, last_time)
    n_below = int((rows["censored"] == "below").sum())
    axes.set_title(f"{analyte}{f'  ({n_below} of {len(rows)} <)' if n_below else ''}", loc="left", fontsize=7)
    axes.tick_params(labelsize=6)


def _patient_lines(
    axes: Axes, course: Trajectories, draws: pd.DataFrame, colour: str, marker: str, *, bold: bool
) -> None:
    """Draw patients' levels: hollow at the limit of detection if below it, a triangle if above the range."""
    level = _linear(course, draws["limit"].fillna(draws["log2"]))
    # A line breaks where the next patient's begins.
    breaks = np.flatnonzero(draws["patient"].to_numpy()[1:] != draws["patient"].to_numpy()[:-1]) + 1
    x, y = (np.insert(values.to_numpy(float), breaks, np.nan) for values in (draws["time"], level))
    axes.plot(x, y, color=colour, linewidth=0.9 if bold else 0.5, alpha=1 if bold else 0.6)
    for side, shape, fill in (("", marker, colour), ("below", marker, "white"), ("above", "^", colour)):
        mask = (draws["censored"] == side).to_numpy()
        axes.plot(
            draws["time"][mask], level[mask], shape, color=colour, markerfacecolor=fill,
            markersize=2.6 if bold else 1.8, markeredgewidth=0.7,
        )  # fmt: skip


def _mean_line(axes: Axes, results: ImmuneResults, analyte: str, rows: pd.DataFrame) -> None:
    """Draw the geometric mean of each window, at the median time of its draws."""
    times, means = [], []
    for position, window in enumerate(results.windows):
        members = (results.levels.index.get_level_values("analyte") == analyte) & (
            results.levels.index.get_level_values("window") == position
        )
        level = results.levels.loc[members, "log2"]
        if len(level) >= (1 if results.dated else MIN_VISIT_PATIENTS):
            times.append(rows.loc[rows["time"].between(window.start, window.end), "time"].median())
            means.append(level.mean())
    if times:
        level = _linear(results.trajectories, pd.Series(means))
        axes.plot(times, level, color=INK, linewidth=2, marker="_", markersize=5)


def _scale_axes(axes: Axes, course: Trajectories, rows: pd.DataFrame, last_time: float) -> None:
    if course.unit not in LOG2_UNITS:
        axes.set_yscale("log")
        decades = np.log10(2) * np.ptp(rows["log2"])
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=8))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    if course.dated and last_time > 150:
        axes.set_xscale("symlog", linthresh=30, linscale=1.5)
        axes.set_xticks([day for day in (0, 30, 100, 300, 1000) if day <= last_time])
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.xaxis.set_minor_locator(NullLocator())
    elif not course.dated:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _linear(course: Trajectories, log2: pd.Series[float]) -> pd.Series[float]:
    """Return levels in the unit of the table."""
    return log2 if course.unit in LOG2_UNITS else 2**log2


def changes_figure(changes: Sequence[LevelChange]) -> Figure:
    """Draw fold changes from the baseline with their intervals, a panel for each window; n beside each row."""
    windows = list(dict.fromkeys(change.window for change in changes))[:MAX_WINDOWS]
    analytes = list(dict.fromkeys(change.analyte for change in changes))
    figure, panels = ratio_panels(windows, analytes, "fold change")
    for change in changes:
        if change.window in windows:
            axes, y = panels[windows.index(change.window)], analytes.index(change.analyte)
            limits = change.low, change.high
            draw_ratio(axes, y, change.change, limits, significant=change.significant, is_range=not change.has_interval)
            axes.text(1.01, y, f"{change.patients}", transform=axes.get_yaxis_transform(), va="center", fontsize=6)
    return figure
