"""Figures of a run: held-out performance centre by centre, and calibration, decisions, seeds and permutations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from features.arrays import Positions, Vector
from models.evidence import CentreDecisionCurve, Estimate, Validation
from models.rates import event_rate
from training.drawing import BLUE, COLOURS, GREEN, PALE, STYLE, VERMILION, WIDTH, write_svg
from training.evidence.scores import HeldOutScores
from training.evidence.sentence import permutation_p_text, scheme_description
from training.validation.permutation_null import NullDistributions


def write_figures(
    folder: Path, validation: Validation, scores: HeldOutScores, null: NullDistributions | None
) -> dict[str, str]:
    """Write a run's figures, as SVG, and return their texts by name, for the card.

    Parameters
    ----------
    folder : Path
        An existing folder.
    validation : Validation
    scores : HeldOutScores
        Held-out predictions, of which the first seed is drawn. Curves rank probabilities as they would be served: where
        calibration without skill turns all of them into the prevalence, the ROC curve is the diagonal.
    null : NullDistributions or None
        AUROCs of the pipeline refitted to permuted outcomes.
    """
    with mpl.rc_context(STYLE):
        figures = {
            "forest": _forest(validation),
            "roc": _roc(scores),
            "precision_recall": _precision_recall(scores),
            "calibration": _calibration(validation, scores),
            "decision": _decision(validation),
        }
        if null is not None:
            figures["permutation"] = _permutation(validation, null)
        if validation.seeds.n > 1:
            figures["seeds"] = _seeds(validation)
        for figure in figures.values():
            figure.suptitle(figure_title(validation), fontsize=8, x=0.01, ha="left")
        return {name: write_svg(folder, name, figure) for name, figure in figures.items()}


def figure_title(validation: Validation) -> str:
    """Return the line above each figure: outcome, model, scheme, and whether the data are simulated."""
    evidence = validation.evidence
    model = f"{validation.family} on {' + '.join(validation.blocks)}"
    simulated = " · SIMULATED DATA" if evidence.simulated else ""
    return f"{evidence.outcome}, {model}, {scheme_description(evidence)}{simulated}"


def _forest(validation: Validation) -> Figure:
    centres, mean = validation.per_centre, validation.random_effects
    baselines = [baseline for baseline in validation.baselines if baseline.auroc.value is not None]
    n_rows = len(centres) + (2 if mean.k > 1 else 0) + len(baselines)
    figure, axes = _single_panel(1.1 + 0.24 * n_rows)
    axes.axvline(0.5, color=PALE, linewidth=0.8)
    largest = max(centre.patients for centre in centres)
    labels: list[str] = []
    for centre in centres:
        size = 3 + 4 * (centre.patients / largest) ** 0.5
        _draw_estimate(axes, len(labels), centre.auroc, BLUE, "s", size)
        labels.append(f"{centre.centre}  ({centre.patients} patients, {centre.events} events)")
    if mean.k > 1:
        labels += _draw_meta_analysis(axes, len(labels), validation)
    axes.axhline(len(labels) - 0.5, color=PALE, linewidth=0.5)
    for baseline in baselines:
        _draw_estimate(axes, len(labels), baseline.auroc, PALE, "o", 4)
        labels.append(f"baseline: {baseline.name}  ({baseline.patients} patients)")
    axes.set_yticks(range(n_rows), labels)
    axes.set(
        ylim=(n_rows - 0.5, -0.6),
        xlim=(0, 1),
        xlabel="held-out AUROC of the probability, 95% intervals; square size follows the patients of the centre",
    )
    axes.tick_params(axis="y", length=0)
    return figure


def _draw_meta_analysis(axes: Axes, row: int, validation: Validation) -> list[str]:
    """Draw the random-effects mean as a diamond and its prediction interval as a bar; return their labels."""
    mean = validation.random_effects
    corners = [(mean.low, row), (mean.mean, row - 0.3), (mean.high, row), (mean.mean, row + 0.3)]
    axes.fill(*zip(*corners, strict=True), color=VERMILION)
    _write_estimate(axes, row, Estimate(mean.mean, mean.low, mean.high))
    if mean.prediction_low is None or mean.prediction_high is None:
        _write_beside(axes, row + 1, "needs 3 centres")
    else:
        axes.plot([mean.prediction_low, mean.prediction_high], [row + 1] * 2, color=VERMILION, linewidth=2.5)
        _write_beside(axes, row + 1, f"{mean.prediction_low:.2f} to {mean.prediction_high:.2f}")
    return [f"random-effects mean of {mean.k} centres", "prediction interval, a new centre"]


def _draw_estimate(axes: Axes, row: int, estimate: Estimate, colour: str, marker: str, size: float) -> None:
    if estimate.value is not None:
        if estimate.low is not None and estimate.high is not None:
            axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=1.2)
        axes.plot(estimate.value, row, marker, color=colour, markersize=size)
    _write_estimate(axes, row, estimate)


def _write_estimate(axes: Axes, row: int, estimate: Estimate) -> None:
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None:
        _write_beside(axes, row, "one outcome only")
    else:
        _write_beside(axes, row, f"{value:.2f}" if low is None else f"{value:.2f} ({low:.2f} to {high:.2f})")


def _write_beside(axes: Axes, row: float, text: str) -> None:
    axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), va="center")


def _roc(scores: HeldOutScores) -> Figure:
    figure, axes = _single_panel(3.6)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="1 - specificity", ylabel="sensitivity")
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8)
    for colour, (name, centre) in zip(cycle(COLOURS), scores.by_centre(), strict=False):
        y, probability = centre.y, centre.probability[0]
        x, height = roc_curve(y, probability)[:2] if 0 < y.sum() < len(y) else ([], [])
        axes.plot(x, height, color=colour, label=f"{name}\n{_counts(y)}")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _precision_recall(scores: HeldOutScores) -> Figure:
    figure, axes = _single_panel(3.6)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="recall; on the right: prevalence", ylabel="precision")
    for colour, (name, centre) in zip(cycle(COLOURS), scores.by_centre(), strict=False):
        y, probability = centre.y, centre.probability[0]
        precision, recall = precision_recall_curve(y, probability)[:2] if y.any() else ([], [])
        axes.plot(recall, precision, color=colour, label=f"{name}\n{_counts(y)}")
        axes.plot([1, 1.02], [y.mean()] * 2, color=colour, clip_on=False)
    axes.legend(loc="center left", bbox_to_anchor=(1.03, 0.5))
    return figure


def _calibration(validation: Validation, scores: HeldOutScores) -> Figure:
    figure, panels = _panels(len(validation.per_centre), "predicted probability", "observed share", 0.35)
    for row, (name, centre), axes in zip(validation.per_centre, scores.by_centre(), panels, strict=True):
        y, probability = centre.y, centre.probability[0]
        draw_calibration(axes, y, probability)
        slope = row.calibration.slope
        label = "not estimable" if slope.value is None else f"{slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})"
        axes.set_title(f"{name}\n{_counts(y)}\nslope {label}", loc="left")
    panels[0].set(ylim=(-0.27, 1.02), yticks=np.linspace(0, 1, 6))
    return figure


def probability_groups(probability: Vector) -> Iterator[Positions]:
    """Yield the rows of up to five groups of rising probability, each of at least ten patients where possible."""
    n_groups = max(1, min(5, len(probability) // 10))
    cuts = np.unique(np.quantile(probability, np.arange(1, n_groups) / n_groups))
    group = np.searchsorted(cuts, probability)
    return (np.flatnonzero(group == number) for number in np.unique(group))


def draw_calibration(axes: Axes, y: Vector, probability: Vector) -> None:
    """Draw the outcomes of groups of patients by their probability, and below the axis its histogram.

    Parameters
    ----------
    axes : Axes
    y, probability : ndarray, (n_patients,)
        Outcomes, 0 or 1, and probabilities.
    """
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8)
    for group in probability_groups(probability):
        mean, rate = float(probability[group].mean()), event_rate(int(y[group].sum()), len(group))
        axes.plot([mean, mean], [rate.low, rate.high], color=BLUE, linewidth=1.2)
        axes.plot(mean, float(y[group].mean()), "o", color=BLUE, markersize=4)
    counts, edges = np.histogram(probability, np.linspace(0, 1, 21))
    axes.bar(edges[:-1], 0.2 * counts / counts.max(), 0.05, bottom=-0.26, align="edge", color=PALE)


def _decision(validation: Validation) -> Figure:
    curves = validation.decision_curves
    figure, panels = _panels(len(curves), "threshold probability", "net benefit", 0.2)
    for curve, axes in zip(curves, panels, strict=True):
        draw_decision_curve(axes, curve)
        lines = [curve.centre, f"{curve.patients} patients, {curve.events} events"]
        axes.set_title("\n".join([*lines, *(["indicative only"] if curve.indicative else [])]), loc="left")
    lowest = max(-0.2, min(min(curve.model) for curve in curves))
    highest = max(max(curve.model + curve.treat_all) for curve in curves)
    panels[0].set(xlim=(0, 1), ylim=(lowest - 0.05, highest + 0.05))
    panels[0].legend(title="act on", alignment="left")
    return figure


def draw_decision_curve(axes: Axes, curve: CentreDecisionCurve) -> None:
    """Draw the net benefit of acting by the model with its band, on everyone, and on no one."""
    axes.fill_between(curve.thresholds, curve.low, curve.high, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(curve.thresholds, curve.model, color=BLUE, label="by the model")
    axes.plot(curve.thresholds, curve.treat_all, color=VERMILION, linestyle="--", label="everyone")
    axes.axhline(0, color=PALE, linewidth=1, label="no one")


def _permutation(validation: Validation, null: NullDistributions) -> Figure:
    test = validation.permutation
    assert test is not None
    rows = [
        ("this model", null.model.values, test.model, BLUE, "permuted outcomes"),
        (f"the best of {test.models} models", null.best, test.best_of_all, GREEN, "permuted outcomes"),
    ]
    if null.conditional is not None and test.conditional is not None:
        rows.append(("conditional", null.conditional, test.conditional, BLUE, "permuted profiles"))
    figure = Figure(figsize=(WIDTH, 0.6 + 1.5 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), sharex=True, squeeze=False)[:, 0]
    bins = np.histogram_bin_edges(np.concatenate([values for _, values, *_ in rows]), 30)
    for axes, (name, values, comparison, colour, permuted) in zip(panels, rows, strict=True):
        axes.hist(values, bins, color=colour, alpha=0.6)
        limit, observed = comparison.percentile_95, comparison.observed
        axes.axvline(limit, color=PALE, linestyle="--", label=f"95th percentile {limit:.2f}")
        axes.axvline(observed, color=VERMILION, linewidth=2, label=f"observed {observed:.2f}")
        axes.set_title(f"{name}: {permutation_p_text(comparison, f'refits to {permuted}', count=True)}", loc="left")
        axes.set_ylabel("refits")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    panels[-1].set_xlabel("held-out AUROC of the probability, mean within centres")
    return figure


def _seeds(validation: Validation) -> Figure:
    seeds = validation.seeds
    values = [value for value in seeds.values if value is not None]
    mean, sd = seeds.mean or 0.0, seeds.sd or 0.0
    figure, axes = _single_panel(1.3)
    axes.axvline(0.5, color=PALE, linewidth=0.8)
    axes.axvspan(mean - sd, mean + sd, color=BLUE, alpha=0.15, linewidth=0)
    axes.axvline(mean, color=BLUE)
    axes.plot(values, np.linspace(-0.3, 0.3, len(values)), "o", color=BLUE, markersize=4, alpha=0.7)
    axes.set(
        xlim=(min(0.45, *values) - 0.01, max(0.65, *values) + 0.01),
        ylim=(-0.6, 0.6),
        yticks=[],
        xlabel="held-out AUROC of the probability, within centres; one point per seed; line and band: mean ± SD",
    )
    axes.set_title(f"{seeds.n} seeds: {mean:.3f} ± {sd:.3f}", loc="left")
    return figure


def _single_panel(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _panels(n: int, x: str, y: str, extra: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel for each centre, three in a row, and shared axes from 0 to 1.

    `extra` is the height that a longer title adds to a panel, in inches.
    """
    n_lines = -(-n // 3)
    figure = Figure(figsize=(WIDTH, 0.4 + (2.5 + extra) * n_lines), layout="constrained")
    grid, panels = figure.add_gridspec(n_lines, 3), list[Axes]()
    for i in range(n):
        shared = panels[0] if panels else None
        axes = figure.add_subplot(grid[divmod(i, 3)], sharex=shared, sharey=shared)
        is_lowest, is_leftmost = i + 3 >= n, i % 3 == 0
        axes.tick_params(labelbottom=is_lowest, labelleft=is_leftmost)
        if is_lowest:
            axes.set_xlabel(x)
        if is_leftmost:
            axes.set_ylabel(y)
        panels.append(axes)
    panels[0].set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, panels


def _counts(y: Vector) -> str:
    return f"{len(y)} patients, {int(y.sum())} events"
