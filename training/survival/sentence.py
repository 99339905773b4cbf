"""The evidence of a time-to-event model in one sentence."""

from __future__ import annotations

import numpy as np

from features.feature_table import FeatureTable
from models.evidence import Scheme
from training.statistics.interval_estimate import IntervalEstimate
from training.validation.folds import loco_groups


def survival_sentence(
    table: FeatureTable, concordance: IntervalEstimate, scheme: Scheme, events: int, models_compared: int
) -> str:
    """Return the evidence in one sentence, without a full stop."""
    unit = "cohort" if table.rows["cohort"].nunique() > 1 else "centre"
    rows = f"on held-out {unit}s" if scheme == "loco" else "on held-out patients of its own cohort"
    n = len(set(loco_groups(table.rows)))
    groups = f"{n} {unit}{'s' * (n != 1)}"
    if not np.isfinite(concordance.value):
        return f"how this model ranks times {rows} could not be measured ({groups}, {len(table)} patients)"
    numbers = (
        f"Harrell's C {concordance.value:.2f}, {concordance.low:.2f}-{concordance.high:.2f}; {groups}, "
        f"{len(table)} patients, {events} events"
    )
    start = f"{'simulated data: ' if table.simulated else ''}{rows} this model"
    if not concordance.low > 0.5:
        return f"{start} was not shown to rank times better than chance ({numbers})"
    return (
        f"{start} ranked times better than chance by an interval that ignores refitting ({numbers}), as one of "
        f"{models_compared} models compared: not confirmed"
    )
