"""How survival is drawn."""

from __future__ import annotations

import numpy as np

from training.study.figures.survival import survival_figure

FIVE = np.array([2.5, 7.4, 8.3, 28.5, 52.3])


def test_the_figure_writes_how_many_are_at_risk_under_the_ticks():
    died = np.arange(21) < 9
    figure = survival_figure(
        {"Overall survival": (30 * np.arange(1.0, 22), died), "Other": (FIVE * 30, np.ones(5, dtype=bool))}
    )
    first = figure.axes[0].get_xticklabels()[0].get_text()
    assert len(figure.axes) == 2
    assert first == "0\n21"
    assert "9 events in 21 patients" in figure.axes[0].get_title()
