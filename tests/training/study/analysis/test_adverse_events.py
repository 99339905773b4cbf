"""Adverse events by worst grade."""

from __future__ import annotations

import pandas as pd

from training.study.analysis.adverse_events import worst_grades


def test_a_patient_counts_once_by_the_worst_grade():
    events = pd.DataFrame({"patient": list("aaabc"), "term": ["x", "x", "y", "y", "y"], "grade": [1.0, 3, 2, 2, 1]})
    assert worst_grades(events).to_numpy().tolist() == [[1, 1, 1, 0, 0]]
    by_term = worst_grades(events, "term")
    assert by_term.index.tolist() == ["y", "x"]
    assert by_term.to_numpy().tolist() == [[1, 2, 0, 0, 0], [0, 0, 1, 0, 0]]
