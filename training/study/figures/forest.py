"""Forest plot of the trials' donor-specific convergence."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.drawing import BLUE, INK, PALE, WIDTH
from training.study.analysis.pooled_convergence import PooledConvergence


def forest_figure(results: PooledConvergence) -> Figure:
    """Draw each trial, sized by its weight, then the pooled mean and the prediction interval."""
    trials, pooled = results.trials, results.pooled
    figure = Figure(figsize=(WIDTH, 1.1 + 0.3 * (len(trials) + 2)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=PALE, linewidth=0.8)
    weights = [1 / (trial.standard_error**2 + (pooled.tau2 or 0)) for trial in trials]
    for y, (trial, weight) in enumerate(zip(trials, weights, strict=True)):
        axes.plot([trial.estimate.low, trial.estimate.high], [y, y], color=BLUE, linewidth=1.2)
        axes.plot(trial.estimate.value, y, "s", color=BLUE, markersize=3 + 5 * (weight / max(weights)) ** 0.5)
    labels = [f"{trial.trial}: {trial.recipients} recipients, {trial.donors} donors" for trial in trials]
    if pooled.low is not None and pooled.high is not None and pooled.mean is not None:
        labels.append("random-effects mean")
        _diamond(axes, pooled.low, pooled.mean, pooled.high, len(trials))
    if pooled.prediction_low is not None and pooled.prediction_high is not None:
        y = len(labels)
        labels.append("a new trial, 95% prediction")
        axes.plot([pooled.prediction_low, pooled.prediction_high], [y, y], color=INK, linewidth=1.2, linestyle="--")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(ylim=(len(labels) - 0.4, -0.6), xlabel="change of Bray-Curtis distance, own donor minus unrelated donors")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def _diamond(axes: Axes, low: float, mean: float, high: float, y: int) -> None:
    axes.fill([low, mean, high, mean], [y, y - 0.25, y, y + 0.25], color=INK)
