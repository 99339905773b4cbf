"""Figures of principal coordinates: all stool samples by each distance, and each patient's path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.drawing import DONOR_COLOUR, PALE, WIDTH
from training.study.analysis.ordination import Coordinates, DistanceMetric
from training.study.analysis.stool import StoolSeries, by_code
from training.study.figures.patients import ONE_OF_MANY, PatientStyle, patient_styles


def ordination_figure(stool: StoolSeries, ordinations: Mapping[DistanceMetric, Coordinates]) -> Figure:
    """Draw all samples, a panel for each distance: patients' before (open) and after (filled), donors in green."""
    figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    styles = patient_styles(stool.recipients["code"])
    for axes, (metric, coordinates) in zip(figure.subplots(1, len(ordinations)), ordinations.items(), strict=True):
        for _, samples in by_code(stool.recipients).groupby("number"):
            _patient(axes, stool, coordinates, samples, styles.get(samples["code"].iloc[0]))
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
    if styles or not stool.donors.empty:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=7)
    return figure


def _patient(
    axes: Axes, stool: StoolSeries, coordinates: Coordinates, samples: pd.DataFrame, style: PatientStyle | None
) -> None:
    """Draw one patient's samples in the order of time; without a style, as one of many."""
    points, (colour, marker) = coordinates.points[stool.rows(samples.index)], style or ONE_OF_MANY
    baseline = samples["time"].between(stool.baseline.start, stool.baseline.end).to_numpy()
    axes.plot(*points.T, color=colour, linewidth=0.6, alpha=0.6 if style else 0.25)
    label = samples["code"].iloc[0] if style else None
    axes.plot(
        *points[~baseline].T, marker, linestyle="", color=colour, markersize=3, alpha=0.8 if style else 0.5, label=label
    )
    axes.plot(*points[baseline].T, marker, linestyle="", color=colour, markersize=4, markerfacecolor="white")


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
    styles = patient_styles(stool.recipients["code"])
    for axes, patient in zip(panels, patients, strict=False):
        _path(axes, stool, coordinates, patient, donors_of.get(patient, frozenset()), styles)
    figure.supxlabel(f"axis 1, {coordinates.share[0]:.0%}", fontsize=8)
    figure.supylabel(f"axis 2, {coordinates.share[1]:.0%}", fontsize=8)
    return figure


def _path(
    axes: Axes,
    stool: StoolSeries,
    coordinates: Coordinates,
    patient: str,
    own_donors: frozenset[str],
    styles: Mapping[str, PatientStyle],
) -> None:
    samples = stool.recipients[stool.recipients["patient"] == patient]
    path = coordinates.points[stool.rows(samples.index)]
    is_own = stool.donors["patient"].isin(own_donors)
    unrelated_points, own_points = (
        coordinates.points[stool.rows(stool.donors.index[mask])] for mask in (~is_own, is_own)
    )
    axes.plot(*coordinates.points.T, ".", color=PALE, alpha=0.5, markersize=3, markeredgewidth=0)
    axes.plot(*unrelated_points.T, "D", color=DONOR_COLOUR, markersize=2.5, markerfacecolor="none", markeredgewidth=0.5)
    axes.plot(*own_points.T, "D", color=DONOR_COLOUR, markersize=4)
    colour, marker = styles.get(samples["code"].iloc[0], ONE_OF_MANY)
    axes.plot(*path.T, color=colour, linewidth=0.9)
    axes.plot(*path[:1].T, marker, color=colour, markersize=4, markerfacecolor="white")
    axes.plot(*path[-1:].T, marker, color=colour, markersize=4)
    axes.set(xticks=[], yticks=[])
    axes.set_title(samples["code"].iloc[0], loc="left", fontsize=7)
