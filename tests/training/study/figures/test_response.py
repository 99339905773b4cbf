"""Waterfall and spider plots."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training.study.figures.response import LABEL_SIZE, spider_figure, waterfall_figure


def test_bars_of_the_waterfall_descend():
    changes = pd.DataFrame(
        {"patient": ["P1", "P2", "P2", "P3"], "day": [60.0, 60, 90, 60], "change": [-100.0, 40, 10, -20]}
    )
    axes = waterfall_figure(changes, {"P1": "CR", "P2": "PD"}).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [10, -20, -100]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["P2", "P3", "P1"]


def test_codes_of_lines_that_end_together_stand_above_one_another():
    changes = pd.DataFrame(
        {"patient": ["P1", "P2", "P3", "P4"], "day": [90.0, 90, 90, 400], "change": [10.0, 11, 9, 10]}
    )
    axes = spider_figure(changes, {}).axes[0]
    heights = {text.get_text(): text.xy[1] for text in axes.texts}
    assert np.diff([heights[name] for name in ("P3", "P1", "P2")]) == pytest.approx([LABEL_SIZE[1]] * 2)
    # A line that ends elsewhere has its code beside it.
    assert axes.transLimits.inverted().transform((0, heights["P4"]))[1] == pytest.approx(10)
