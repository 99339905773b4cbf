"""Held-out AUROC in subgroups: sex, age around its median, and treatment regimen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from features.arrays import Mask, Positions
from features.columns import Column
from features.feature_table import FeatureTable
from models.evidence import Subgroup
from training.evidence.scores import HeldOutScores, reported

MIN_SUBGROUP_CLASS_SIZE = 20
"""Patients with the outcome, and without, below which a subgroup is not reported: with fewer, the interval of its AUROC
spans most of 0 to 1, and a chance extreme among several subgroups reads as a finding."""


def subgroup_performance(table: FeatureTable, scores: HeldOutScores) -> tuple[Subgroup, ...]:
    """Return the AUROC within centres in each subgroup with enough patients."""
    subgroups = []
    for column, level, mask in _subgroup_masks(table, scores.rows):
        subgroup = scores.take(mask)
        patients, events = len(subgroup.y), int(subgroup.y.sum())
        if min(events, patients - events) >= MIN_SUBGROUP_CLASS_SIZE:
            subgroups.append(Subgroup(column, level, patients, events, reported(subgroup.auroc(subgroup.probability))))
    return tuple(subgroups)


def _subgroup_masks(table: FeatureTable, rows: Positions) -> Iterator[tuple[str, str, Mask]]:
    for name, values in zip(table.clinical.names, table.clinical.values[rows].T, strict=True):
        column = Column.from_name("clinical", name)
        if column.field in ("sex", "regimen") and column.level:
            yield column.field, column.level, values == 1
        elif name == "age" and np.isfinite(values).any():
            median = float(np.nanmedian(values))
            yield name, f"below {median:g}", values < median
            yield name, f"{median:g} or above", values >= median
