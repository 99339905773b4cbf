"""Figure of alpha diversity over time."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from features.arrays import Vector
from training.drawing import DONOR_COLOUR, PALE, WIDTH
from training.study.analysis.diversity import Diversity
from training.study.analysis.stool import StoolSeries
from training.study.figures.axes import DAYS, day_axis
from training.study.figures.patients import ONE_OF_MANY, patient_styles

SHANNON = "Shannon's entropy, nats"
"""Title of its panels and name of its rows."""


def diversity_figure(stool: StoolSeries, diversity: Diversity, richness_title: str) -> Figure:
    """Draw Shannon's entropy and richness over time, a line for each patient, donors beside."""
    figure = Figure(figsize=(WIDTH, 2.2), layout="constrained")
    values = {SHANNON: diversity.shannon, richness_title: diversity.richness}
    has_donors = not stool.donors.empty
    panels = figure.subplots(1, 2 * len(values), width_ratios=[6, 1 if has_donors else 0.01] * len(values))
    for patients, donors, (title, value) in zip(panels[::2], panels[1::2], values.items(), strict=True):
        _courses(patients, stool, value)
        patients.set_title(title, loc="left", fontsize=7)
        donors.sharey(patients)
        donors.set_visible(has_donors)
        _donors(donors, value[stool.rows(stool.donors.index)])
    handles, codes = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, codes, loc="outside lower left", ncols=len(handles))
    return figure


def _courses(axes: Axes, stool: StoolSeries, value: Vector) -> None:
    styles = patient_styles(stool.recipients["code"])
    for code, samples in stool.recipients.groupby("code"):
        colour, marker = styles.get(str(code), ONE_OF_MANY)
        axes.plot(
            samples["time"], value[stool.rows(samples.index)], color=colour, marker=marker,
            label=code if styles else None, alpha=0.9 if styles else 0.5, linewidth=0.8,
            markersize=2.5 if styles else 1.5,
        )  # fmt: skip
    if stool.dated:
        axes.axvline(0, color=PALE, linewidth=0.6, linestyle=":")
        day_axis(axes, stool.recipients["time"].to_numpy())
    axes.set_xlabel(DAYS if stool.dated else "visit")


def _donors(axes: Axes, value: Vector) -> None:
    axes.plot(np.linspace(-0.3, 0.3, len(value)), value, "D", color=DONOR_COLOUR, markersize=3)
    axes.set(xlim=(-0.6, 0.6))
    axes.set_xticks([0], ["donors"])
    axes.tick_params(axis="y", labelleft=False, length=0)
    axes.spines["left"].set_visible(False)
