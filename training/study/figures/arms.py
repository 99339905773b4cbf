"""Survival curves of two arms, and ratios of their analytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from features.outcomes import DAYS_PER_MONTH
from training.drawing import BLUE, VERMILION, WIDTH
from training.study.analysis.arm_comparison import ArmComparison, SurvivalByArm
from training.study.analysis.arm_levels import LevelByArm
from training.study.figures.axes import draw_ratio, ratio_panels
from training.study.figures.immune import MAX_WINDOWS
from training.study.figures.survival import stepped
from training.study.formatting import initial_capital
from training.study.labels import outcome_label


def arms_figure(comparison: ArmComparison) -> Figure:
    """Draw survival in months by outcome, a curve for each side, with the numbers at risk of both."""
    n_panels = len(comparison.survival)
    figure = Figure(figsize=(WIDTH if n_panels > 1 else WIDTH * 0.6, 2.8), layout="constrained")
    for axes, survival in zip(np.atleast_1d(figure.subplots(1, n_panels)), comparison.survival, strict=True):
        _curves(axes, survival)
    axes.legend(loc="best")
    return figure


def _curves(axes: Axes, survival: SurvivalByArm) -> None:
    sides = (("FMT + ICI", survival.treated, BLUE), ("control", survival.control, VERMILION))
    for label, side, colour in sides:
        months = side.days / DAYS_PER_MONTH
        stepped(axes, replace(side.curve, days=side.curve.days / DAYS_PER_MONTH), 1, colour, f"{label}, n = {side.n}")
        censored = np.unique(side.days[~side.event])
        shares = [side.curve.estimate_on(day, 1).value for day in censored]
        axes.plot(censored / DAYS_PER_MONTH, shares, "|", color=colour, markersize=6)
        axes.set_xlim(0, max(axes.get_xlim()[1], months.max() * 1.04))
    ticks = [tick for tick in axes.get_xticks() if tick <= axes.get_xlim()[1]]
    at_risk = [
        "\n".join(str(int((side.days / DAYS_PER_MONTH >= tick).sum())) for _, side, _ in sides) for tick in ticks
    ]
    axes.set_xticks(ticks, [f"{tick:g}\n{counts}" for tick, counts in zip(ticks, at_risk, strict=True)])
    axes.set(ylim=(0, 1.04), ylabel="share", xlabel="months; below: at risk, FMT + ICI, control")
    axes.set_title(initial_capital(outcome_label(survival.outcome)), loc="left")


def levels_figure(levels: Sequence[LevelByArm]) -> Figure:
    """Draw ratios of analytes, the arm with FMT over controls at equal baseline, a panel for each window."""
    windows = list(dict.fromkeys(level.window for level in levels))[:MAX_WINDOWS]
    analytes = list(dict.fromkeys(level.measure for level in levels))
    figure, panels = ratio_panels(windows, analytes, "FMT + ICI / control")
    for level in levels:
        if level.window in windows:
            difference, y = level.difference, analytes.index(level.measure)
            interval = (difference.low, difference.high)
            axes = panels[windows.index(level.window)]
            draw_ratio(axes, y, difference.value, interval, significant=level.significant)
    return figure
