"""Figure of changes of taxa."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from training.drawing import INK, PALE, WIDTH
from training.study.analysis.taxon_changes import TaxonChange


def taxon_changes_figure(changes: Sequence[TaxonChange]) -> Figure:
    """Draw mean changes with their intervals, a row for each; filled where significant."""
    figure = Figure(figsize=(WIDTH, 0.8 + 0.155 * len(changes)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=PALE, linewidth=0.8)
    for y, change in enumerate(changes):
        axes.plot([change.low, change.high], [y, y], color=INK, linewidth=1)
        fill = INK if change.significant else "white"
        axes.plot(change.change, y, "o", color=INK, markersize=4, markerfacecolor=fill)
        label = f"q = {change.q:.2g}, n = {change.patients}"
        axes.text(1.01, y, label, transform=axes.get_yaxis_transform(), va="center", fontsize=7)
    names = [f"{change.taxon.replace('_', ' ')}, {change.window}" for change in changes]
    axes.set_yticks(range(len(changes)), names, fontsize=7)
    axes.set(ylim=(len(changes) - 0.4, -0.6), xlabel="log2 fold change of the centred log-ratio")
    axes.tick_params(axis="y", length=0)
    return figure
