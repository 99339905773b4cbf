"""Clinical measures over time, a line for each patient."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.drawing import PALE, WIDTH
from training.study.figures.axes import DAYS
from training.study.figures.patients import PatientStyle, patient_styles

MAX_COLUMNS = 5
"""Panels in a row."""


def measures_figure(rows: pd.DataFrame) -> Figure:
    """Draw a panel for each measure; few patients have colours and labels, many are grey.

    Parameters
    ----------
    rows : pandas.DataFrame
        `patient` (code), `day`, `name`, `unit`, `value`.
    """
    groups, styles = list(rows.groupby(["name", "unit"], sort=False)), patient_styles(rows["patient"])
    n_rows = -(-len(groups) // MAX_COLUMNS)
    n_columns = -(-len(groups) // n_rows)
    figure = Figure(figsize=(WIDTH, 0.1 + 1.7 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    for axes, ((name, unit), values) in zip(panels, groups, strict=False):
        for code, course in values.groupby("patient", sort=False):
            if styles:
                _labelled_line(axes, course, str(code), styles[str(code)])
            else:
                axes.plot(course["day"], course["value"], ".-", color=PALE, linewidth=0.5, markersize=1.5)
        axes.set_title(f"{name},\n{unit}" if unit else str(name), loc="left", fontsize=7)
        axes.axvline(0, color=PALE, linewidth=0.6, linestyle=":")
        axes.set_xlabel(DAYS, fontsize=7)
        axes.tick_params(labelsize=6)
    return figure


def _labelled_line(axes: Axes, course: pd.DataFrame, code: str, style: PatientStyle) -> None:
    colour, marker = style
    axes.plot(course["day"], course["value"], marker=marker, color=colour, linewidth=0.9, markersize=3)
    end = course.iloc[-1]
    axes.annotate(code, (end["day"], end["value"]), (3, 0), textcoords="offset points", va="center", fontsize=7)
