"""The data and configuration that every step of validation shares."""

from __future__ import annotations

from dataclasses import dataclass

from features.arrays import Vector
from features.feature_table import FeatureTable
from training.validation.config import FitConfig


@dataclass(frozen=True)
class ValidationTask:
    """A table, its outcomes, and what is fitted to them.

    Attributes
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
        0 or 1.
    config : FitConfig
    """

    table: FeatureTable
    y: Vector
    config: FitConfig
