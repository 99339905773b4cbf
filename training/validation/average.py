"""One family's average of all settings and representations, fitted to a table."""

from __future__ import annotations

from features.arrays import Vector
from features.feature_table import FeatureTable
from models.encoder import BlockEncoder
from models.families import BlockColumns, Predictor
from training.validation.config import FitConfig
from training.validation.folds import centre_codes
from training.validation.sklearn_family import FittedClassifier, find_family

COVARIATE_BLOCKS = ("clinical", "technical")
"""Blocks of few columns, to which one ridge regression is fitted instead of an average of variants."""


def fit_average(
    config: FitConfig, family: str, table: FeatureTable, y: Vector, seed: int
) -> tuple[BlockEncoder, Predictor | FittedClassifier]:
    """Fit the encoder of every block and representation, and the family's average of all settings.

    Parameters
    ----------
    config : FitConfig
    family : str
    table : FeatureTable
        Training rows.
    y : ndarray, (n_rows,)
        Outcomes, 0 or 1.
    seed : int
    """
    encoder = config.encoder(config.blocks, config.representations)
    X = encoder.fit_transform(table)
    blocks = [_block_columns(encoder, block, config) for block in config.blocks]
    return encoder, find_family(family).fit_average(X, y, centre_codes(table.rows), blocks, seed)


def _block_columns(encoder: BlockEncoder, block: str, config: FitConfig) -> BlockColumns:
    encodings = tuple(encoder.encodings_[block])
    if block not in COVARIATE_BLOCKS:
        return BlockColumns(encodings)
    names = [feature.name for encoding in encodings for feature in encoder.features_[encoding]]
    return BlockColumns(encodings, tuple(config.signs.get(name, 0) for name in names))
