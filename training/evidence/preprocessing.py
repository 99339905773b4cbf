"""Preparation of the data that a model reads: the steps of each block, and the columns with gaps."""

from __future__ import annotations

import numpy as np

from features.feature_table import FeatureTable
from models.encoder import BlockEncoder
from models.evidence import MissingColumn

STEPS = {
    "GenusSums": "species summed to genera",
    "PrevalenceFilter": "taxa detected in {min_prevalence:.0%} to {max_prevalence:.0%} of the training samples",
    "ZeroReplacement": "zeros replaced by half the smallest proportion in training, multiplicatively",
    "CLR": "centred log-ratios",
    "PresenceAbsence": "presence or absence",
    "Ranks": "ranks within the sample",
    "AlphaDiversity": "richness, Shannon's entropy and Simpson's index",
    "CensoredFill": "values beyond an unreported limit: {policy}",
    "Log10": "concentrations and counts as log10",
    "MedianFill": "rarely measured columns dropped, gaps filled with the training median",
    "MeanFill": "rarely measured columns dropped, gaps filled with the training mean",
}
"""Description of each transformer, with its parameters in braces."""
IMPUTATION = {"clinical": "training mean", "immune": "training median", "donor": "training mean",
              "over_time": "training mean"}  # fmt: skip
"""What fills a gap in each block; taxa have none."""


def preprocessing_steps(encoder: BlockEncoder) -> dict[str, tuple[str, ...]]:
    """Return the description of each block's steps, in order."""
    return {
        block: tuple(STEPS[step.step].format(**step.params) for step in steps)
        for block, steps in encoder.state().steps.items()
    }


def missing_columns(table: FeatureTable, encoder: BlockEncoder) -> tuple[MissingColumn, ...]:
    """Return the columns that the model reads and that some rows lack."""
    columns = []
    for feature in encoder.features_:
        if feature.block in IMPUTATION and feature.source >= 0:
            share = float(np.isnan(table.block(feature.block).values[:, feature.source]).mean())
            if share:
                columns.append(MissingColumn(feature.block, feature.name, share, IMPUTATION[feature.block]))
    return tuple(columns)
