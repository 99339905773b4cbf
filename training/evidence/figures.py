"""A run's figures: how left-out predictions did, cohort by cohort, and what the model leans on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve, roc_curve

from training.drawing import BLUE, COLOURS, GREEN, PALE, STYLE, VERMILION, WIDTH, written

Vector = NDArray[np.float64]


def write_figures(
    folder: Path,
    validation: Mapping[str, Any],
    *,
    y: Vector,
    margin: Vector,
    probability: Vector,
    cohorts: NDArray[np.object_],
    null: Vector | None = None,
    best_null: Vector | None = None,
) -> dict[str, str]:
    """Write a run's figures, each as PNG and as SVG, and return the SVG texts by name, for the card.

    Parameters
    ----------
    folder : Path
        An existing folder.
    validation : mapping
        The evidence in full; `training.evidence.evidence`.
    y, margin, probability : ndarray, (n_rows,)
        Outcomes, and left-out predictions before and after calibration: where that found no skill, every probability is
        the prevalence, and only the log-odds can be ranked.
    cohorts : ndarray of str, (n_rows,)
    null, best_null : ndarray, (n_permutations,), optional
        Left-out AUROCs of the pipeline refitted to permuted outcomes: of this model, and of the best of all tried.
    """
    rows = {name: cohorts == name for name in (one["cohort"] for one in validation["per_cohort"])}
    title = f"{validation['outcome']}, {validation['family']} on {' + '.join(validation['blocks'])}"
    title += f", {validation['scheme_in_words']}{' · SIMULATED DATA' if validation['simulated'] else ''}"
    with mpl.rc_context(STYLE):
        figures = {
            "forest": _forest(validation),
            "roc": _roc(rows, y, margin),
            "precision_recall": _precision_recall(rows, y, margin),
            "calibration": _calibration(validation, rows, y, probability),
            "decision": _decision(validation),
            "shap_summary": _shap_summary(validation),
        }
        if null is not None:
            figures["permutation"] = _permutation(validation, null, best_null)
        if validation["seeds"]["n"] > 1:
            figures["seeds"] = _seeds(validation)
        for figure in figures.values():
            figure.suptitle(title, fontsize=8, x=0.01, ha="left")
        return {name: written(folder, name, figure) for name, figure in figures.items()}


def _forest(validation: Mapping[str, Any]) -> Figure:
    cohorts, mean = validation["per_cohort"], validation["random_effects"]
    baselines = [one for one in validation["baselines"] if one["auroc"]["value"] is not None]
    summary = 2 if mean["k"] > 1 else 0
    n = len(cohorts) + summary + len(baselines)
    figure, axes = _one(1.1 + 0.24 * n)
    axes.axvline(0.5, color=PALE, linewidth=0.8)
    largest = max(one["patients"] for one in cohorts)
    labels: list[str] = []
    for one in cohorts:
        _whisker(axes, len(labels), one["auroc"], BLUE, "s", 3 + 4 * (one["patients"] / largest) ** 0.5)
        labels.append(f"{one['cohort']}  ({one['patients']} patients, {one['events']} events)")
    if summary:
        at = len(labels)
        corners = [(mean["low"], at), (mean["mean"], at - 0.3), (mean["high"], at), (mean["mean"], at + 0.3)]
        axes.fill(*zip(*corners, strict=True), color=VERMILION)
        _said(axes, at, mean["mean"], mean["low"], mean["high"])
        if mean["prediction_low"] is None:
            _note(axes, at + 1, "needs 3 cohorts")
        else:
            axes.plot([mean["prediction_low"], mean["prediction_high"]], [at + 1] * 2, color=VERMILION, linewidth=2.5)
            _note(axes, at + 1, f"{mean['prediction_low']:.2f} to {mean['prediction_high']:.2f}")
        labels += [f"random-effects mean of {mean['k']}", "prediction interval, a new cohort"]
    axes.axhline(len(labels) - 0.5, color=PALE, linewidth=0.5)
    for one in baselines:
        _whisker(axes, len(labels), one["auroc"], PALE, "o", 4)
        labels.append(f"baseline: {one['name']}  ({one['patients']} patients)")
    axes.set_yticks(range(n), labels)
    axes.set(ylim=(n - 0.5, -0.6), xlim=(0, 1), xlabel="left-out AUROC, 95% intervals; squares grow with the cohort")
    axes.tick_params(axis="y", length=0)
    return figure


def _whisker(axes: Any, at: int, found: Mapping[str, Any], colour: str, marker: str, size: float) -> None:
    if found["value"] is not None:
        if found["low"] is not None:
            axes.plot([found["low"], found["high"]], [at, at], color=colour, linewidth=1.2)
        axes.plot(found["value"], at, marker, color=colour, markersize=size)
    _said(axes, at, found["value"], found["low"], found["high"])


def _said(axes: Any, at: float, value: float | None, low: float | None, high: float | None) -> None:
    if value is None:
        return _note(axes, at, "one outcome only")
    return _note(axes, at, f"{value:.2f}" if low is None else f"{value:.2f} ({low:.2f} to {high:.2f})")


def _note(axes: Any, at: float, text: str) -> None:
    axes.text(1.02, at, text, transform=axes.get_yaxis_transform(), va="center")


def _roc(rows: Mapping[str, NDArray[np.bool_]], y: Vector, margin: Vector) -> Figure:
    figure, axes = _one(3.6)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="1 - specificity", ylabel="sensitivity")
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8)
    for colour, (name, mine) in zip(cycle(COLOURS), rows.items(), strict=False):
        x, height = roc_curve(y[mine], margin[mine])[:2] if 0 < y[mine].sum() < mine.sum() else ([], [])
        axes.plot(x, height, color=colour, label=f"{name}\n{_counts(y[mine])}")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _precision_recall(rows: Mapping[str, NDArray[np.bool_]], y: Vector, margin: Vector) -> Figure:
    figure, axes = _one(3.6)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="recall; on the right: prevalence", ylabel="precision")
    for colour, (name, mine) in zip(cycle(COLOURS), rows.items(), strict=False):
        precision, recall = precision_recall_curve(y[mine], margin[mine])[:2] if y[mine].any() else ([], [])
        axes.plot(recall, precision, color=colour, label=f"{name}\n{_counts(y[mine])}")
        axes.plot([1, 1.02], [y[mine].mean()] * 2, color=colour, clip_on=False)
    axes.legend(loc="center left", bbox_to_anchor=(1.03, 0.5))
    return figure


def _calibration(
    validation: Mapping[str, Any], rows: Mapping[str, NDArray[np.bool_]], y: Vector, probability: Vector
) -> Figure:
    figure, panels = _panels(len(rows), "predicted probability", "observed share", 0.35)
    for one, mine, axes in zip(validation["per_cohort"], rows.values(), panels, strict=True):
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8)
        for group in _groups(probability[mine]):
            at, seen = float(probability[mine][group].mean()), y[mine][group]
            ends = binomtest(int(seen.sum()), seen.size).proportion_ci(method="wilson")
            axes.plot([at, at], [ends.low, ends.high], color=BLUE, linewidth=1.2)
            axes.plot(at, seen.mean(), "o", color=BLUE, markersize=4)
        counts, edges = np.histogram(probability[mine], np.linspace(0, 1, 21))
        axes.bar(edges[:-1], 0.2 * counts / counts.max(), 0.05, bottom=-0.26, align="edge", color=PALE)
        slope = one["calibration"]["slope"]
        said = "not estimable" if slope is None else "{slope:.2f} ({slope_low:.2f} to {slope_high:.2f})".format(
            **one["calibration"]
        )  # fmt: skip
        axes.set_title(f"{one['cohort']}\n{_counts(y[mine])}\nslope {said}", loc="left")
    panels[0].set(ylim=(-0.27, 1.02), yticks=np.linspace(0, 1, 6))
    return figure


def _groups(probability: Vector) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of up to five groups of rising probability, none of fewer than ten patients if it can be."""
    parts = max(1, min(5, len(probability) // 10))
    cuts = np.unique(np.quantile(probability, np.arange(1, parts) / parts))
    group = np.searchsorted(cuts, probability)
    return (np.flatnonzero(group == one) for one in np.unique(group))


def _decision(validation: Mapping[str, Any]) -> Figure:
    curves = {one["cohort"]: one for one in validation["decision"]}
    figure, panels = _panels(len(curves), "threshold probability", "net benefit", 0.2)
    for one, axes in zip(curves.values(), panels, strict=True):
        at = one["thresholds"]
        axes.fill_between(at, one["low"], one["high"], color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(at, one["model"], color=BLUE, label="by the model")
        axes.plot(at, one["all"], color=VERMILION, linestyle="--", label="everybody")
        axes.axhline(0, color=PALE, linewidth=1, label="nobody")
        said = f"{one['patients']} patients, {one['events']} events"
        axes.set_title(
            "\n".join([one["cohort"], said, *(["indicative only"] if one["indicative"] else [])]), loc="left"
        )
    lowest = max(-0.2, min(min(one["model"]) for one in curves.values()))
    highest = max(max(one["model"] + one["all"]) for one in curves.values())
    panels[0].set(xlim=(0, 1), ylim=(lowest - 0.05, highest + 0.05))
    panels[0].legend(title="act on", alignment="left")
    return figure


def _permutation(validation: Mapping[str, Any], null: Vector, best_null: Vector | None) -> Figure:
    found = validation["permutation"]
    shown = [("this model", null, found, BLUE)]
    if best_null is not None:
        shown.append((f"the best of {found['best_of']['models']} models", best_null, found["best_of"], GREEN))
    figure = Figure(figsize=(WIDTH, 0.6 + 1.5 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
    bins = np.histogram_bin_edges(np.concatenate([values for _, values, _, _ in shown]), 30)
    for axes, (name, values, said, colour) in zip(panels, shown, strict=True):
        axes.hist(values, bins, color=colour, alpha=0.6)
        axes.axvline(said["null_95"], color=PALE, linestyle="--", label=f"95th percentile {said['null_95']:.2f}")
        axes.axvline(said["observed"], color=VERMILION, linewidth=2, label=f"observed {said['observed']:.2f}")
        axes.set_title(f"{name}: p = {said['p']:.3g}, {len(values)} refits to permuted outcomes", loc="left")
        axes.set_ylabel("refits")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    panels[-1].set_xlabel("left-out AUROC")
    return figure


def _seeds(validation: Mapping[str, Any]) -> Figure:
    seeds = validation["seeds"]
    figure, axes = _one(1.3)
    axes.axvline(0.5, color=PALE, linewidth=0.8)
    axes.axvspan(seeds["mean"] - seeds["sd"], seeds["mean"] + seeds["sd"], color=BLUE, alpha=0.15, linewidth=0)
    axes.axvline(seeds["mean"], color=BLUE)
    axes.plot(seeds["values"], np.linspace(-0.3, 0.3, seeds["n"]), "o", color=BLUE, markersize=4, alpha=0.7)
    ends = min(0.45, *seeds["values"]) - 0.01, max(0.65, *seeds["values"]) + 0.01
    axes.set(
        xlim=ends, ylim=(-0.6, 0.6), yticks=[], xlabel="left-out AUROC, one point a seed; line and band: mean ± SD"
    )
    axes.set_title(f"{seeds['n']} seeds: {seeds['mean']:.3f} ± {seeds['sd']:.3f}", loc="left")
    return figure


def _shap_summary(validation: Mapping[str, Any]) -> Figure:
    summary = validation["shap"]
    features = [one for one in summary["features"] if one["mean_abs"] > 0][:20]
    clades, blocks = summary["clades"][:8], summary["blocks"]
    if not features:
        figure, axes = _one(1.2)
        axes.text(0, 0.5, "no feature has any weight: every answer is the prevalence", va="center")
        axes.axis("off")
        return figure
    height = 1.4 + max(0.2 * len(features), 0.2 * (len(clades) + len(blocks)) + 0.9)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.7, 1])[0]
    axes = left.subplots()
    colours, signs = {1: VERMILION, -1: BLUE, 0: PALE}, {1: "▲", -1: "▼", 0: ""}
    axes.barh(
        range(len(features)),
        [one["mean_abs"] for one in features],
        color=[colours[one["direction"]] for one in features],
    )
    axes.set_yticks(range(len(features)), [f"{one['feature']} ({one['block']})" for one in features])
    for i, one in enumerate(features):
        axes.text(one["mean_abs"], i, f" {signs[one['direction']]} {one['selected']:.0%}", va="center")
    axes.margins(x=0.15)
    axes.set_ylim(len(features) - 0.4, -0.6)
    axes.set_xlabel("mean |SHAP|, log-odds; %: folds that used it")
    for direction, meaning in ((1, "▲ raises"), (-1, "▼ lowers"), (0, "neither")):
        axes.barh(0, 0, color=colours[direction], label=meaning)
    left.legend(loc="outside lower right", ncols=3)
    shares = right.subplots(2, 1, height_ratios=[len(blocks) + 1, len(clades) + 1], sharex=True)
    for axes, kind, parts in ((shares[0], "block", blocks), (shares[1], "clade", clades)):
        axes.barh(range(len(parts)), [one["share"] for one in parts], color=GREEN)
        axes.set_yticks(range(len(parts)), [one[kind] for one in parts])
        axes.set_ylim(len(parts) - 0.4, -0.6)
        axes.set_title(f"share of |SHAP| by {kind}", loc="left")
    shares[1].xaxis.set_major_formatter("{x:.0%}")
    return figure


def _one(height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _panels(n: int, x: str, y: str, extra: float = 0) -> tuple[Figure, list[Any]]:
    """Return a figure with a panel for each cohort, three in a row, and axes from 0 to 1 that all share.

    `extra` is what a longer title adds to a panel's height, in inches.
    """
    lines = -(-n // 3)
    figure = Figure(figsize=(WIDTH, 0.4 + (2.5 + extra) * lines), layout="constrained")
    panels = figure.subplots(lines, 3, sharex=True, sharey=True, squeeze=False).ravel()
    panels[0].set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for i, axes in enumerate(panels):
        if i >= n:
            axes.axis("off")
        elif i + 3 >= n:
            axes.set_xlabel(x)
            axes.tick_params(labelbottom=True)
        if i % 3 == 0:
            axes.set_ylabel(y)
    return figure, list(panels[:n])


def _counts(y: Vector) -> str:
    return f"{len(y)} patients, {int(y.sum())} events"
