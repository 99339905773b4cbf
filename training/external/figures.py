"""Figures of a validation elsewhere: calibration and decision curve of the served probability."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from features.arrays import Vector
from models.evidence import ExternalPerformance, ExternalValidation
from training.drawing import STYLE, WIDTH, write_figure
from training.evidence.figures import draw_calibration, draw_decision_curve


def write_external_figures(
    folder: Path, validation: ExternalValidation, y: Vector, probability: Vector
) -> dict[str, str]:
    """Write the figures as PNG and SVG, and return the SVG texts by name; none without predicted patients.

    Parameters
    ----------
    folder : Path
        An existing folder.
    validation : ExternalValidation
    y, probability : ndarray, (n_predicted,)
        Outcomes, and served probabilities.
    """
    performance = validation.performance
    if performance is None:
        return {}
    with mpl.rc_context(STYLE):
        figures = {
            "external_calibration": _calibration(performance, y, probability),
            "external_decision": _decision(performance),
        }
        simulated = " · SIMULATED DATA" if validation.simulated else ""
        for figure in figures.values():
            title = f"{validation.outcome}, validated on {validation.cohort}{simulated}"
            figure.suptitle(title, fontsize=8, x=0.01, ha="left")
        return {name: write_figure(folder, name, figure) for name, figure in figures.items()}


def _calibration(performance: ExternalPerformance, y: Vector, probability: Vector) -> Figure:
    figure, axes = _panel()
    draw_calibration(axes, y, probability)
    slope = performance.slope
    label = performance.no_slope_reason or f"slope {slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})"
    axes.set_title(
        f"{performance.outcomes.patients} patients, {performance.outcomes.events} events; {label}", loc="left"
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.27, 1.02), yticks=np.linspace(0, 1, 6))
    axes.set(xlabel="predicted probability; below: its histogram", ylabel="observed share, 95% intervals")
    return figure


def _decision(performance: ExternalPerformance) -> Figure:
    figure, axes = _panel()
    curve = performance.decision_curve
    draw_decision_curve(axes, curve)
    if curve.indicative:
        axes.set_title("indicative only: fewer than 100 events, or than 100 patients without", loc="left")
    axes.set(xlim=(0, 1), ylim=(max(-0.2, min(curve.model)) - 0.05, max(curve.model + curve.treat_all) + 0.05))
    axes.set(xlabel="threshold probability", ylabel="net benefit, 95% band")
    axes.legend(title="act on", alignment="left")
    return figure


def _panel() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH / 2, 3.2), layout="constrained")
    return figure, figure.subplots()
