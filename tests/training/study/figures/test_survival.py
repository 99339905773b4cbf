"""The figure of survival."""

from __future__ import annotations

import numpy as np

from training.study.analysis.survival import SurvivalByOutcome, outcome_survival
from training.study.figures.survival import survival_figure


def test_ticks_state_how_many_patients_are_at_risk():
    overall = outcome_survival("overall_survival", 30 * np.arange(1.0, 22), np.arange(21) < 9)
    progression_free = outcome_survival(
        "progression_free_survival", 30 * np.array([2.5, 7.4, 8.3, 28.5, 52.3]), np.ones(5, dtype=bool)
    )
    result = SurvivalByOutcome((overall, progression_free), {}, has_several_arms=False, arms_compared=False)
    panels = survival_figure(result).axes
    assert len(panels) == 2
    assert panels[0].get_xticklabels()[0].get_text() == "0\n21"
    assert panels[0].get_title() == "Overall survival: 9 events in 21 patients"
