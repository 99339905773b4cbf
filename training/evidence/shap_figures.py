"""SHAP figures of a run, drawn by the shap package from one `shap.Explanation`.

Vermilion always means higher, blue lower: of a feature's value in the beeswarm, of the log-odds in the others.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from models.evidence import Validation
from training.drawing import BLUE, PALE, STYLE, VERMILION, write_svg
from training.evidence.figures import figure_title

if TYPE_CHECKING:
    from shap import Explanation

N_FEATURES = 15
"""Features that a figure shows; the rest are summed in one row."""
SIZE = (8, 7)
"""Inches. shap sets its own type size, for which the width of A4 is too narrow."""
LOW_TO_HIGH = LinearSegmentedColormap.from_list("low_to_high", [BLUE, PALE, VERMILION])


def write_shap_figures(folder: Path, validation: Validation, explanation: Explanation) -> dict[str, str]:
    """Write the beeswarm, bar and waterfall figures as SVG, and return their texts by name.

    The bar figure averages over patients. The beeswarm and the waterfall, of the patient with the highest log-odds,
    show values of single patients: they belong to the run, not to the model's card.

    Parameters
    ----------
    folder : Path
        An existing folder.
    validation : Validation
    explanation : shap.Explanation
        SHAP values of the training patients, (n_patients, n_features), on the log-odds scale.
    """
    if not np.any(explanation.values):
        return {}
    # Imported here: it takes seconds, and only a run draws.
    import shap
    from shap.plots._style import style_context

    highest = int(np.argmax(explanation.values.sum(axis=1)))
    with mpl.rc_context({**STYLE, "text.parse_math": True}), style_context(**_SHAP_STYLE):
        figures = {
            "shap_bar": _pyplot_figure(lambda: shap.plots.bar(explanation, max_display=N_FEATURES, show=False)),
            "shap_beeswarm": _pyplot_figure(
                lambda: shap.plots.beeswarm(
                    explanation, max_display=N_FEATURES, color=LOW_TO_HIGH, plot_size=None, show=False
                )
            ),
            "shap_waterfall": _pyplot_figure(
                lambda: shap.plots.waterfall(explanation[highest], max_display=N_FEATURES, show=False)
            ),
        }
        for figure in figures.values():
            figure.suptitle(figure_title(validation), fontsize=8, x=0.01, ha="left")
        return {name: write_svg(folder, name, figure) for name, figure in figures.items()}


_SHAP_STYLE = {
    "primary_color_positive": VERMILION,
    "primary_color_negative": BLUE,
    "secondary_color_positive": VERMILION,
    "secondary_color_negative": BLUE,
}


def _pyplot_figure(draw: Callable[[], object]) -> Figure:
    """Return the figure that a function of shap draws on pyplot's current one."""
    figure: Figure = plt.figure(figsize=SIZE)
    draw()
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    plt.close(figure)
    return figure
