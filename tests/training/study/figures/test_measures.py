"""The figure of clinical measures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training.study.figures.measures import LABEL_GAP, measures_figure, spread_apart


def test_labels_of_lines_that_end_together_stand_apart():
    rows = pd.DataFrame({"patient": [f"P{i}" for i in (1, 2, 3)] * 2, "day": [0.0] * 3 + [9.0] * 3, "name": "ECOG"})
    rows = rows.assign(unit="", value=[0.0, 1, 2, 1, 1, 1])
    (axes,) = measures_figure(rows).axes
    heights = sorted(text.get_position()[1] for text in axes.texts)
    assert [text.get_text() for text in axes.texts] == ["P1", "P2", "P3"]
    assert np.diff(heights) == pytest.approx([LABEL_GAP] * 2)


def test_heights_at_the_top_are_spread_downwards():
    assert spread_apart(np.array([0.2, 0.98, 0.99]), 0.1) == pytest.approx([0.2, 0.9, 1.0])
    assert spread_apart(np.array([0.2, 0.5]), 0.1) == pytest.approx([0.2, 0.5])
