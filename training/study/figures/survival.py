"""Survival curves, and their parts that other curves share: steps with a band, and numbers at risk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from features.arrays import Vector
from features.outcomes import DAYS_PER_MONTH
from training.drawing import BLUE, PALE, WIDTH
from training.statistics.survival_curves import Curve
from training.study.analysis.survival import OutcomeSurvival, SurvivalByOutcome
from training.study.formatting import count_noun, initial_capital
from training.study.labels import outcome_label


def survival_figure(result: SurvivalByOutcome) -> Figure:
    """Draw survival in months by outcome, with intervals, censoring, medians and the numbers at risk."""
    n_panels = len(result.outcomes)
    figure = Figure(figsize=(WIDTH if n_panels > 1 else WIDTH * 0.6, 2.5), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, n_panels))
    for axes, survival in zip(panels, result.outcomes, strict=True):
        _survival_curve(axes, survival)
        outcome = initial_capital(outcome_label(survival.outcome))
        counts = f"{count_noun(survival.events, 'event')} in {count_noun(survival.n, 'patient')}"
        axes.set(title=f"{outcome}: {counts}", ylabel="share")
        axes.title.set_horizontalalignment("left")
        axes.title.set_x(0)
    return figure


def stepped(axes: Axes, curve: Curve, start: float, colour: str, label: str = "") -> None:
    """Draw a curve as steps from day 0, with its interval as a band."""
    x = np.append(0, curve.days)
    axes.step(x, np.append(start, curve.estimate), where="post", color=colour, linewidth=1.3, label=label)
    low, high = (np.append(np.nan, limit) for limit in (curve.low, curve.high))
    axes.fill_between(x, low, high, step="post", color=colour, alpha=0.15, linewidth=0)


def numbers_at_risk(axes: Axes, time: Vector) -> None:
    """Write under each tick how many patients are still followed; `time`, (n_patients,), has the unit of the axis."""
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ticks = [tick for tick in axes.get_xticks() if tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}\n{(time >= tick).sum()}" for tick in ticks])
    axes.set_xlabel(f"{axes.get_xlabel()}; below: at risk")


def _survival_curve(axes: Axes, survival: OutcomeSurvival) -> None:
    months = survival.days / DAYS_PER_MONTH
    stepped(axes, replace(survival.curve, days=survival.curve.days / DAYS_PER_MONTH), 1, BLUE)
    censored = np.unique(survival.days[~survival.event])
    shares = [survival.curve.estimate_on(day, 1).value for day in censored]
    axes.plot(censored / DAYS_PER_MONTH, shares, "|", color=BLUE, markersize=7)
    median = survival.median.value / DAYS_PER_MONTH
    if np.isfinite(median):
        axes.plot([0, median, median], [0.5, 0.5, 0], color=PALE, linewidth=0.8, linestyle=":")
    axes.set(xlim=(0, max(months.max() * 1.04, 1)), ylim=(0, 1.04), xlabel="months from day 0")
    numbers_at_risk(axes, months)
