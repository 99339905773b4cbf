"""Figure of cumulative incidence over time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from features.arrays import Matrix
from features.outcomes import DAYS_PER_MONTH
from features.survival import DEATH, EVENT
from training.drawing import COLOURS, STYLE, WIDTH, write_svg
from training.statistics.cumulative_incidence import cumulative_incidence
from training.statistics.metrics import bootstrap_weights


def write_incidence_figure(folder: Path, name: str, title: str, curves: Mapping[str, Matrix]) -> None:
    """Write cumulative incidence over time, with 95% bootstrap bands, as SVG.

    Parameters
    ----------
    folder : Path
    name, title : str
        Name of the file without suffix, and title of the figure.
    curves : mapping of str to ndarray, (n_samples, 2)
        Times and ends by label. Where patients die before the event, a dashed curve shows their share.
    """
    with mpl.rc_context(STYLE):
        write_svg(folder, name, _incidence_figure(title, curves))


def _incidence_figure(title: str, curves: Mapping[str, Matrix]) -> Figure:
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    # Curves may coincide: each is thinner than the one below it.
    for (label, y), colour, width in zip(curves.items(), COLOURS, (3, 2, 1), strict=False):
        weights = bootstrap_weights(np.full(len(y), label, dtype=object))
        (days, incidence), (_, draws) = cumulative_incidence(y), cumulative_incidence(y, weights)
        low, high = np.quantile(draws[0], [0.025, 0.975], axis=0)
        (event, death), months = incidence[:, 0], np.append(0, days / DAYS_PER_MONTH)
        legend = f"{label}: {(y[:, 1] == EVENT).sum()} events, n={len(y)}"
        axes.step(months, np.append(0, event), where="post", color=colour, linewidth=width, label=legend)
        axes.fill_between(months[1:], low, high, step="post", color=colour, alpha=0.15, linewidth=0)
        if death.any():
            axes.step(months, np.append(0, death), where="post", color=colour, linewidth=width / 2, linestyle="--")
    axes.set(xlim=(0, None), ylim=(0, 1), xlabel="months from the landmark", ylabel="cumulative incidence")
    competing = any((y[:, 1] == DEATH).any() for y in curves.values())
    axes.set_title(f"{title}\ndashed: death before the event" if competing else title, loc="left")
    axes.legend(loc="upper left")
    return figure
