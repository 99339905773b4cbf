"""Figures of principal coordinates: all stool samples by each distance, and each patient's path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.drawing import BLUE, DONOR_COLOUR, PALE, PATIENT_COLOURS, WIDTH
from training.study.analysis.ordination import Coordinates, Metric
from training.study.analysis.stool import StoolSeries, by_code


def ordination_figure(stool: StoolSeries, ordinations: Mapping[Metric, Coordinates]) -> Figure:
    """Draw all samples, a panel for each distance: patients' before (open) and after (filled), donors in green."""
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    distinct = stool.recipients["patient"].nunique() <= len(PATIENT_COLOURS)
    for axes, (metric, coordinates) in zip(figure.subplots(1, len(ordinations)), ordinations.items(), strict=True):
        for index, (_, samples) in enumerate(by_code(stool.recipients).groupby("number")):
            _patient(axes, stool, coordinates, samples, PATIENT_COLOURS[index] if distinct else None)
        donors = coordinates.points[stool.rows(stool.donors.index)]
        axes.plot(
            *donors.T, "D", color=DONOR_COLOUR, markersize=4, linestyle="", label="donors" if len(donors) else None
        )
        axes.set(
            xlabel=f"axis 1, {coordinates.share[0]:.0%}",
            ylabel=f"axis 2, {coordinates.share[1]:.0%}",
            xticks=[],
            yticks=[],
        )
        axes.set_title(metric, loc="left")
    if distinct or not stool.donors.empty:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=7)
    return figure


def _patient(
    axes: Axes, stool: StoolSeries, coordinates: Coordinates, samples: pd.DataFrame, colour: str | None
) -> None:
    """Draw one patient's samples in the order of time; without a colour, as one of many."""
    points, shade = coordinates.points[stool.rows(samples.index)], colour or BLUE
    baseline = samples["time"].between(stool.baseline.start, stool.baseline.end).to_numpy()
    axes.plot(*points.T, color=shade, linewidth=0.6, alpha=0.6 if colour else 0.25)
    label = samples["code"].iloc[0] if colour else None
    axes.plot(*points[~baseline].T, "o", color=shade, markersize=3, alpha=0.8 if colour else 0.5, label=label)
    axes.plot(*points[baseline].T, "o", color=shade, markersize=4, markerfacecolor="white")


def paths_figure(
    stool: StoolSeries, coordinates: Coordinates, patients: Sequence[str], donors_of: Mapping[str, frozenset[str]]
) -> Figure:
    """Draw each patient's path, a panel for each, from the first sample (open) to the last (filled)."""
    n_columns = min(len(patients), 5 if len(patients) <= 20 else 8)
    n_rows = -(-len(patients) // n_columns)
    figure = Figure(figsize=(WIDTH, 0.4 + WIDTH / n_columns * n_rows * 0.95), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[len(patients) :]:
        axes.set_visible(False)
    for axes, patient in zip(panels, patients, strict=False):
        _path(axes, stool, coordinates, patient, donors_of.get(patient, frozenset()))
    figure.supxlabel(f"axis 1, {coordinates.share[0]:.0%}", fontsize=8)
    figure.supylabel(f"axis 2, {coordinates.share[1]:.0%}", fontsize=8)
    return figure


def _path(axes: Axes, stool: StoolSeries, coordinates: Coordinates, patient: str, own_donors: frozenset[str]) -> None:
    samples = stool.recipients[stool.recipients["patient"] == patient]
    path = coordinates.points[stool.rows(samples.index)]
    is_own = stool.donors["patient"].isin(own_donors)
    unrelated_points, own_points = (
        coordinates.points[stool.rows(stool.donors.index[mask])] for mask in (~is_own, is_own)
    )
    axes.plot(*coordinates.points.T, ".", color=PALE, alpha=0.5, markersize=3, markeredgewidth=0)
    axes.plot(*unrelated_points.T, "D", color=DONOR_COLOUR, markersize=2.5, markerfacecolor="none", markeredgewidth=0.5)
    axes.plot(*own_points.T, "D", color=DONOR_COLOUR, markersize=4)
    axes.plot(*path.T, color=BLUE, linewidth=0.9)
    axes.plot(*path[:1].T, "o", color=BLUE, markersize=4, markerfacecolor="white")
    axes.plot(*path[-1:].T, "o", color=BLUE, markersize=4)
    axes.set(xticks=[], yticks=[])
    axes.set_title(samples["code"].iloc[0], loc="left", fontsize=7)
