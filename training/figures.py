"""A run's figures: how left-out predictions did, and what the model leans on."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from models.encoder import BlockEncoder
from models.families import Predictor
from training.metrics import Estimate, auprc, auroc

Vector = NDArray[np.float64]
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]


def write_figures(
    folder: Path,
    *,
    title: str,
    y: Vector,
    margin: Vector,
    probability: Vector,
    cohorts: NDArray[np.object_],
    estimate: Estimate,
    encoder: BlockEncoder,
    predictor: Predictor,
    X: NDArray[np.float64],
) -> None:
    """Write ROC, precision-recall, calibration and SHAP summary figures as PNG.

    Parameters
    ----------
    folder : Path
        An existing folder.
    title : str
        Which model, on which left-out rows.
    y, margin, probability : ndarray, (n_rows,)
        Outcomes, and left-out predictions before and after calibration: where that found no skill, every probability is
        the prevalence, and only the log-odds can be ranked.
    cohorts : ndarray of str, (n_rows,)
    estimate : Estimate
        The AUROC within cohorts.
    encoder, predictor
        The model fitted to all rows.
    X : ndarray, (n_rows, n_features)
        The encoded rows it was fitted to.
    """
    names = [str(name) for name in dict.fromkeys(cohorts.tolist())]
    shown = f"{title}\nAUROC within cohorts {estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"

    figure, axes = _square(shown, "1 - specificity", "sensitivity")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, colour in zip(names, _cycled(len(names)), strict=True):
        mine = cohorts == name
        if 0 < y[mine].sum() < mine.sum():
            x, height, _ = roc_curve(y[mine], margin[mine])
            axes.plot(x, height, color=colour, label=f"{name} {auroc(y[mine], margin[mine])[0]:.2f} (n={mine.sum()})")
    axes.legend(fontsize=8)
    _save(figure, folder / "roc.png")

    figure, axes = _square(shown, "recall", "precision")
    for name, colour in zip(names, _cycled(len(names)), strict=True):
        mine = cohorts == name
        if y[mine].any():
            precision, recall, _ = precision_recall_curve(y[mine], margin[mine])
            axes.plot(recall, precision, color=colour, label=f"{name} {auprc(y[mine], margin[mine])[0]:.2f}")
            axes.axhline(y[mine].mean(), color=colour, linewidth=0.8, linestyle=":")
    axes.legend(fontsize=8, title="average precision; dotted: prevalence", title_fontsize=8)
    _save(figure, folder / "precision_recall.png")

    figure, axes = _square(f"{title}\nfifths of the predictions", "predicted probability", "observed share")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    fifth = np.searchsorted(np.unique(np.quantile(probability, [0.2, 0.4, 0.6, 0.8])), probability)
    parts = [np.flatnonzero(fifth == i) for i in np.unique(fifth)]
    shares = np.array([y[part].mean() for part in parts])
    spread = 1.96 * np.sqrt(shares * (1 - shares) / [part.size for part in parts])
    axes.errorbar([probability[p].mean() for p in parts], shares, yerr=spread, fmt="o", color=_COLOURS[0], capsize=3)
    _save(figure, folder / "calibration.png")

    _shap_summary(folder / "shap_summary.png", title, encoder, predictor, X)


def _shap_summary(path: Path, title: str, encoder: BlockEncoder, predictor: Predictor, X: NDArray[np.float64]) -> None:
    mpl.use("Agg")
    # Three seconds to import, and only needed here.
    import shap
    from matplotlib import pyplot

    values, base = predictor.contributions(X)
    names = [f"{feature.name} ({feature.block})" for feature in encoder.features_]
    if not np.any(values):
        figure, axes = _square(title, "", "")
        axes.text(0.5, 0.5, "no feature has any weight:\nevery answer is the prevalence", ha="center", va="center")
        _save(figure, path)
        return
    explanation = shap.Explanation(values, np.full(len(X), base), data=X, feature_names=names)
    shap.plots.beeswarm(explanation, max_display=20, show=False, plot_size=(8, 7))
    pyplot.gca().set_title(f"{title}\nSHAP values, log-odds", fontsize=10)
    pyplot.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close("all")


def _square(title: str, x: str, y: str) -> tuple[Figure, mpl.axes.Axes]:
    figure = Figure(figsize=(5, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x, ylabel=y)
    axes.set_title(title, fontsize=9)
    return figure, axes


def _cycled(n: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(n)]


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110)
