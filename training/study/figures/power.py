"""Power curves of a trial design."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.drawing import BLUE, PALE, VERMILION, WIDTH
from training.study.analysis.power import EFFECT_SHARES, PowerResult

TITLES = {
    "response": "response rate",
    "auroc": "AUROC",
    "approach": "approach to donors",
    "survival": "progression-free survival",
    "cytokine": "cytokine change",
}
"""Titles of panels, by goal."""
_COLOURS = dict(zip(EFFECT_SHARES.values(), (BLUE, VERMILION, PALE), strict=True))


def power_figure(result: PowerResult) -> Figure:
    """Draw power by the number of patients, a panel for each effect and a curve for each share of it."""
    figure = Figure(figsize=(WIDTH, 5.6), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    for goal, axes in zip(result.required, panels, strict=True):
        _power_curves(axes, result, goal)
    panels[0].set(ylim=(0, 1.02), xlim=(0, result.design.max_patients))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, [f"effect {label}" for label in labels], loc="outside upper left", ncols=len(labels))
    for axes in panels[2:]:
        axes.set_xlabel("patients")
    for axes in panels[::2]:
        axes.set_ylabel("trials that show the effect")
    return figure


def _power_curves(axes: Axes, result: PowerResult, goal: str) -> None:
    axes.axhline(result.design.power, color=PALE, linewidth=0.6, linestyle="--")
    for effect, colour in _COLOURS.items():
        curve = result.curves[(result.curves["goal"] == goal) & (result.curves["effect"] == effect)]
        axes.fill_between(curve["patients"], curve["low"], curve["high"], color=colour, alpha=0.25, linewidth=0)
        axes.plot(curve["patients"], curve["power"], color=colour, linewidth=1.2, label=effect)
    required = result.required[goal]
    if required is not None:
        axes.axvline(required, color=BLUE, linewidth=0.6, linestyle=":")
    count = f"more than {result.design.max_patients}" if required is None else str(required)
    axes.set_title(f"{TITLES[goal]}: {count} patients", loc="left")
