"""Covariates of the manifest, decoded for readers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from features.manifest import ClinicalField


def characteristic(clinical: pd.DataFrame, name: str, field: ClinicalField) -> pd.Series[Any]:
    """Return one characteristic, decoded from its columns of `clinical`: numbers or words, NaN where unknown."""
    if field.values is None:
        return clinical[name]
    if name in clinical:
        return clinical[name].map({1.0: "yes", 0.0: "no"})
    indicators = clinical[[column for column in clinical if str(column).startswith(f"{name}=")]]
    levels = indicators[indicators.notna().all(axis=1)].idxmax(axis=1).astype("str")
    return levels.str.removeprefix(f"{name}=").reindex(clinical.index)
