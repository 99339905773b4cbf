"""Waterfall plot."""

from __future__ import annotations

import pandas as pd

from training.study.figures.response import waterfall_figure


def test_bars_of_the_waterfall_descend():
    changes = pd.DataFrame(
        {"patient": ["P1", "P2", "P2", "P3"], "day": [60.0, 60, 90, 60], "change": [-100.0, 40, 10, -20]}
    )
    axes = waterfall_figure(changes, {"P1": "CR", "P2": "PD"}).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [10, -20, -100]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["P2", "P3", "P1"]
