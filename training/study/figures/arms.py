"""Survival curves of two arms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from features.outcomes import MONTH
from training.drawing import BLUE, VERMILION, WIDTH
from training.study.analysis.arm_comparison import ArmComparison, SurvivalByArm
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
        months = side.days / MONTH
        stepped(axes, replace(side.curve, days=side.curve.days / MONTH), 1, colour, f"{label}, n = {side.n}")
        censored = np.unique(side.days[~side.event])
        shares = [side.curve.estimate_on(day, 1).value for day in censored]
        axes.plot(censored / MONTH, shares, "|", color=colour, markersize=6)
        axes.set_xlim(0, max(axes.get_xlim()[1], months.max() * 1.04))
    ticks = [tick for tick in axes.get_xticks() if tick <= axes.get_xlim()[1]]
    at_risk = ["\n".join(str(int((side.days / MONTH >= tick).sum())) for _, side, _ in sides) for tick in ticks]
    axes.set_xticks(ticks, [f"{tick:g}\n{counts}" for tick, counts in zip(ticks, at_risk, strict=True)])
    axes.set(ylim=(0, 1.04), ylabel="share", xlabel="months; below: at risk, FMT + ICI, control")
    axes.set_title(initial_capital(outcome_label(survival.outcome)), loc="left")
