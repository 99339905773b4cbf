"""How survival and cumulative incidence are drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from features.outcomes import MONTH
from training.drawing import BLUE, PALE, WIDTH
from training.statistics.survival_curves import Curve, beta_product, kaplan_meier, median_survival
from training.study.formatting import count_noun

Vector = NDArray[np.float64]


def survival_figure(times: Mapping[str, tuple[Vector, NDArray[np.bool_]]]) -> Figure:
    """Draw survival in months by outcome, with intervals, censoring, medians and the numbers at risk.

    Parameters
    ----------
    times : mapping of str to (ndarray, ndarray)
        By the outcome's name, each patient's days and whether they end with the event.
    """
    figure = Figure(figsize=(WIDTH if len(times) > 1 else WIDTH * 0.6, 2.9), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(times)))
    for axes, (name, (time, event)) in zip(panels, times.items(), strict=True):
        _survival(axes, time / MONTH, event)
        axes.set(
            title=f"{name}: {count_noun(int(event.sum()), 'event')} in {count_noun(time.size, 'patient')}",
            ylabel="share",
        )
        axes.title.set_horizontalalignment("left")
        axes.title.set_x(0)
    return figure


def stepped(axes: Axes, curve: Curve, start: float, colour: str, label: str = "") -> None:
    """Draw a curve as steps from day 0, with its interval as a band."""
    x = np.append(0, curve.days)
    axes.step(x, np.append(start, curve.estimate), where="post", color=colour, linewidth=1.3, label=label)
    low, high = (np.append(np.nan, side) for side in (curve.low, curve.high))
    axes.fill_between(x, low, high, step="post", color=colour, alpha=0.15, linewidth=0)


def numbers_at_risk(axes: Axes, time: Vector) -> None:
    """Write under each tick how many patients are still followed; `time`, (n_patients,), is in the panel's unit."""
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ticks = [tick for tick in axes.get_xticks() if tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}\n{(time >= tick).sum()}" for tick in ticks])
    axes.set_xlabel(f"{axes.get_xlabel()}; below: at risk")


def _survival(axes: Axes, time: Vector, event: NDArray[np.bool_]) -> None:
    curve = beta_product(time, event)
    stepped(axes, curve, 1, BLUE)
    censored = np.unique(time[~event])
    axes.plot(censored, [curve.estimate_on(day, 1).value for day in censored], "|", color=BLUE, markersize=7)
    middle = median_survival(kaplan_meier(time, event))
    if np.isfinite(middle.value):
        axes.plot([0, middle.value, middle.value], [0.5, 0.5, 0], color=PALE, linewidth=0.8, linestyle=":")
    axes.set(xlim=(0, max(time.max() * 1.04, 1)), ylim=(0, 1.04), xlabel="months from day 0")
    numbers_at_risk(axes, time)
