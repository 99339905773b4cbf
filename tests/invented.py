"""Invented parts that the tests of several rooms share."""

from __future__ import annotations

from typing import Any

from features.feature_table import CohortContext


def cohort_context(**changes: Any) -> CohortContext:
    """Return the context of an invented cohort, with changes."""
    context = {
        "title": "Invented",
        "simulated": True,
        "same_patients_as": (),
        "clock": "day_ici",
        "index_event": "first dose",
        "landmark": 0.0,
        "window": 90.0,
        "dated": True,
        "profiler": None,
        "rank": "species",
        "outcomes": {},
        "citation": "",
        "licence": "",
    }
    return CohortContext(**{**context, **changes})
