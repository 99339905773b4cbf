"""SHAP figures of a run, drawn by the shap package from one `shap.Explanation`.

A colour means what it means on the server's pages: what raises a prediction, and what lowers it. Sizes and values of
features are grey.
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
from training.drawing import INK, LOWERS, RAISES, STYLE, write_svg
from training.evidence.figures import figure_title

if TYPE_CHECKING:
    from shap import Explanation

N_FEATURES = 15
"""Features that a figure shows; the rest are summed in one row."""
SIZE = (8, 7)
"""Inches. shap sets its own type size, for which the width of A4 is too narrow."""
SIZE_GREY = "#6c757e"
LOW_TO_HIGH = LinearSegmentedColormap.from_list("low_to_high", ["#c4c4c4", INK])


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
    with mpl.rc_context({**STYLE, "text.parse_math": True}), style_context(**_colours(RAISES, LOWERS)):
        with style_context(**_colours(SIZE_GREY, SIZE_GREY)):
            bar = _pyplot_figure(lambda: shap.plots.bar(explanation, max_display=N_FEATURES, show=False))
        figures = {
            "shap_bar": bar,
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


def _colours(positive: str, negative: str) -> dict[str, str]:
    return {
        "primary_color_positive": positive,
        "primary_color_negative": negative,
        "secondary_color_positive": positive,
        "secondary_color_negative": negative,
    }


def _pyplot_figure(draw: Callable[[], object]) -> Figure:
    """Return the figure that a function of shap draws on pyplot's current one."""
    figure: Figure = plt.figure(figsize=SIZE)
    draw()
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    plt.close(figure)
    return figure
