"""Figures of the safety section: events by term, cumulative incidence, stopping boundary."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.drawing import BLUE, INK, PALE, VERMILION, WIDTH
from training.study.analysis.incidence import FirstEvents, IncidenceResult
from training.study.analysis.stopping import StoppingResult
from training.study.figures.survival import numbers_at_risk, stepped
from training.study.labels import grade_label

GRADE_COLOURS = ("#fee5d0", "#fdbf86", "#f08a4b", VERMILION, INK)
"""Of grades 1 to 5."""


def terms_figure(counts: pd.DataFrame, n: int) -> Figure:
    """Draw the patients with each adverse event, by worst grade, as stacked bars.

    Parameters
    ----------
    counts : pandas.DataFrame
        Patients by term (rows) and grade 1 to 5 (columns), as `worst_grades` returns them.
    n : int
        All patients.
    """
    figure = Figure(figsize=(WIDTH, min(0.9 + 0.2 * len(counts), 9)), layout="constrained")
    axes = figure.subplots()
    start = np.zeros(len(counts))
    for grade, colour in zip(counts.columns, GRADE_COLOURS, strict=True):
        if counts[grade].any():
            axes.barh(range(len(counts)), counts[grade], left=start, color=colour, height=0.75, label=f"grade {grade}")
        start += counts[grade].to_numpy()
    axes.set_yticks(range(len(counts)), list(counts.index))
    axes.set(xlabel=f"patients of {n}, by worst grade", ylim=(len(counts) - 0.4, -0.6))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside right upper")
    return figure


def incidence_figure(result: IncidenceResult) -> Figure:
    """Draw the cumulative incidence of the first event, and of death before it; one panel for each grade."""
    figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(result.to_last_follow_up), sharey=True))
    for axes, events in zip(panels, result.to_last_follow_up, strict=True):
        stepped(axes, events.death, 0, PALE, label="death before")
        stepped(axes, events.curve, 0, VERMILION, label="event")
        for censored in result.first_events:
            differs = not np.array_equal(censored.curve.estimate, events.curve.estimate)
            if censored.grade == events.grade and censored.censored_at is not None and differs:
                _censored_curve(axes, censored)
        axes.set(xlim=(0, events.days.max() * 1.04), ylim=(0, 1.02), xlabel="days from day 0")
        axes.set_title(grade_label(events.grade), loc="left")
        numbers_at_risk(axes, events.days)
    panels[0].set_ylabel("cumulative incidence")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _censored_curve(axes: Axes, censored: FirstEvents) -> None:
    axes.step(
        np.append(0, censored.curve.days),
        np.append(0, censored.curve.estimate),
        where="post",
        color=BLUE,
        linestyle="--",
        linewidth=1.1,
        label="event, censored at treatment end",
    )


def boundary_figure(result: StoppingResult) -> Figure:
    """Draw the patients with an event that stop the trial, against the patients treated; the trial as a dot."""
    figure = Figure(figsize=(WIDTH / 2, 2.3), layout="constrained")
    axes = figure.subplots()
    boundary = result.boundary
    patients = np.arange(1, boundary.n_patients + 1)
    stops = np.where(boundary.stop_at <= patients, boundary.stop_at, np.nan)
    top = max(np.nanmax(stops, initial=0), result.events) + 2
    axes.fill_between(patients, stops, top, step="mid", color=VERMILION, alpha=0.15, linewidth=0, label="stop")
    axes.step(patients, stops, where="mid", color=VERMILION, linewidth=1.2)
    axes.plot([result.n], [result.events], "o", color=BLUE, markersize=5, label="this trial", clip_on=False, zorder=3)
    axes.set(xlim=(0.5, patients[-1] + 0.5), ylim=(0, top), xlabel="patients", ylabel="with grade 3 or above")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
