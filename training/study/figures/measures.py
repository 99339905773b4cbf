"""Clinical measures over time, a line for each patient."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from features.arrays import Vector
from training.drawing import PALE, WIDTH
from training.study.figures.axes import DAYS
from training.study.figures.patients import PatientStyle, patient_styles

LABEL_GAP = 0.12
"""Least distance of the labels of lines, as a share of the panel's height."""
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
                colour, marker = styles[str(code)]
                axes.plot(course["day"], course["value"], marker=marker, color=colour, linewidth=0.9, markersize=3)
            else:
                axes.plot(course["day"], course["value"], ".-", color=PALE, linewidth=0.5, markersize=1.5)
        _label_lines(axes, values.groupby("patient")["value"].last(), styles)
        axes.set_title(f"{name},\n{unit}" if unit else str(name), loc="left", fontsize=7)
        axes.axvline(0, color=PALE, linewidth=0.6, linestyle=":")
        axes.set_xlabel(DAYS, fontsize=7)
        axes.tick_params(labelsize=6)
    return figure


def _label_lines(axes: Axes, ends: pd.Series[float], styles: Mapping[str, PatientStyle]) -> None:
    """Write the code of each patient with a style beside the panel, by the last value and apart from one another."""
    low, high = axes.get_ylim()
    ends = ((ends - low) / (high - low)).sort_values()
    heights = spread_apart(np.asarray(ends, dtype=np.float64), LABEL_GAP)
    for code, height in zip(ends.index, heights, strict=True):
        if code in styles:
            axes.text(1.03, height, code, color=styles[code][0], transform=axes.transAxes, va="center", fontsize=7)


def spread_apart(heights: Vector, gap: float) -> Vector:
    """Return ascending heights of which no two are nearer than `gap`, and none above 1 if so many have room."""
    steps = gap * np.arange(len(heights))
    upwards = np.maximum.accumulate(heights - steps) + steps
    return np.asarray(np.minimum(upwards, 1 - steps[::-1]))
