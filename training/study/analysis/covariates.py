"""Covariates of the manifest, decoded for readers."""

from __future__ import annotations

from typing import TypeAlias

import pandas as pd

from features.columns import Column
from features.manifest import ClinicalField

Characteristic: TypeAlias = "pd.Series[float] | pd.Series[str]"
"""A characteristic of each patient: numbers, or words; NaN where it is not known."""


def characteristic(clinical: pd.DataFrame, name: str, field: ClinicalField) -> Characteristic:
    """Return one characteristic, decoded from its columns of `clinical`: numbers or words, NaN where unknown."""
    if field.values is None:
        return clinical[name]
    if name in clinical:
        return clinical[name].map({1.0: "yes", 0.0: "no"})
    columns = {text: Column.from_name("clinical", str(text)) for text in clinical}
    levels_by_text = {text: column.level for text, column in columns.items() if column.field == name and column.level}
    indicators = clinical[list(levels_by_text)]
    levels = indicators[indicators.notna().all(axis=1)].idxmax(axis=1).astype("str")
    return levels.map(levels_by_text).astype("str").reindex(clinical.index)
