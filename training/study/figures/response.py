"""Waterfall and spider plots: the size of target lesions, in the colour of the best response."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from features.arrays import Vector
from features.outcomes import DAYS_PER_MONTH
from training.drawing import BLUE, COLOURS, INK, PALE, VERMILION, WIDTH
from training.study.analysis.response import RECIST

MAX_LABELLED = 15
"""Patients up to whom the spider plot labels each line, and the codes of the waterfall plot are upright."""
LABEL_SIZE = (0.09, 0.08)
"""Room of a label of the spider plot, as shares of the panel's width and height."""
_COLOURS = dict(zip(RECIST, (BLUE, COLOURS[4], COLOURS[5], "#f0a36b", VERMILION, PALE), strict=True))


def waterfall_figure(changes: pd.DataFrame, best: Mapping[str, str]) -> Figure:
    """Draw the best change of each patient's lesions as a bar.

    Parameters
    ----------
    changes : pandas.DataFrame
        As `lesion_changes` returns it, with patients under their codes.
    best : mapping of str to str
        Best overall response by patient.
    """
    deepest = changes.groupby("patient")["change"].min().sort_values(ascending=False, kind="stable")
    figure = Figure(figsize=(_width(deepest.size), 2.4), layout="constrained")
    axes = figure.subplots()
    colours = [_COLOURS[best.get(name, "NE")] for name in deepest.index]
    axes.bar(range(deepest.size), deepest, color=colours, width=0.8)
    for position, change in enumerate(deepest):
        if abs(change) < 0.5:
            axes.plot(position, 0, "_", color=INK)
    axes.set_xticks(range(deepest.size), list(deepest.index))
    axes.tick_params(axis="x", length=0)
    if deepest.size > MAX_LABELLED:
        axes.tick_params(axis="x", labelsize=6, rotation=90)
    axes.set(ylabel="best change of lesions, %")
    _thresholds_and_legend(figure, axes, changes, best)
    return figure


def spider_figure(changes: pd.DataFrame, best: Mapping[str, str]) -> Figure:
    """Draw the change of each patient's lesions over time as a line; parameters as of `waterfall_figure`."""
    figure = Figure(figsize=(_width(changes["patient"].nunique()), 2.4), layout="constrained")
    axes, ends = figure.subplots(), {}
    for name, course in changes.groupby("patient", sort=False):
        x, y = np.append(0, course["day"] / DAYS_PER_MONTH), np.append(0, course["change"])
        axes.plot(x, y, "-o", color=_COLOURS[best.get(str(name), "NE")], markersize=3, linewidth=1.1)
        ends[str(name)] = x[-1], y[-1]
    axes.set(xlabel="months from day 0", ylabel="change of lesions, %")
    _thresholds_and_legend(figure, axes, changes, best)
    if len(ends) <= MAX_LABELLED:
        _label_ends(axes, ends)
    return figure


def _label_ends(axes: Axes, ends: Mapping[str, tuple[float, float]]) -> None:
    """Write the code of each patient behind the line's end, above those of lines that end just there."""
    places: list[Vector] = []
    for name, end in sorted(ends.items(), key=lambda item: item[1][::-1]):
        x, y = axes.transLimits.transform(end)
        y = max([y, *(place[1] + LABEL_SIZE[1] for place in places if abs(place[0] - x) < LABEL_SIZE[0])])
        places.append(np.array([x, y]))
        axes.annotate(
            name, (x, y), (4, 0), xycoords="axes fraction", textcoords="offset points", va="center", fontsize=7
        )


def response_colour(response: str) -> str:
    """Return the colour of a response; a confirmed progression (iCPD) has that of a progression."""
    return _COLOURS["PD" if response == "iCPD" else response or "NE"]


def _width(patients: int) -> float:
    """Return the width of a figure: few patients take half a page."""
    return WIDTH if patients > MAX_LABELLED else WIDTH / 2


def _thresholds_and_legend(figure: Figure, axes: Axes, changes: pd.DataFrame, best: Mapping[str, str]) -> None:
    axes.axhline(0, color=INK, linewidth=0.8)
    for threshold in (20, -30):
        axes.axhline(threshold, color=PALE, linewidth=0.8, linestyle=":")
    present = {best.get(name, "NE") for name in changes["patient"]}
    handles = [
        Line2D([], [], color=colour, linewidth=4, label=response)
        for response, colour in _COLOURS.items()
        if response in present
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
