"""Training distribution of each column that a model reads: for drift, for the card, and to place a new patient."""

from __future__ import annotations

import numpy as np

from features.arrays import Vector
from features.columns import Column, levels_by_field
from features.feature_table import Block, FeatureTable
from models.encoder import BlockEncoder
from models.evidence import (
    AnalyteDistribution,
    Distributions,
    Histogram,
    LevelCount,
    LevelDistribution,
    NumericDistribution,
    TaxonDistribution,
)
from training.evidence.disclosure import FEWEST, disclosed_quantiles

DECILES = tuple(range(10, 100, 10))


def training_distributions(table: FeatureTable, encoder: BlockEncoder) -> Distributions:
    """Return the training distribution of each column that a model reads.

    Parameters
    ----------
    table : FeatureTable
        Rows that the model was fitted to.
    encoder : BlockEncoder
        Fitted to them.
    """
    names = encoder.used_
    taxa, immune = (_columns(block) for block in (table.taxa, table.immune))
    return Distributions(
        patients=len(table),
        immune={
            name: AnalyteDistribution(**vars(_numeric_distribution(immune[name])), unit=table.units[name])
            for name in names.get("immune", ())
        },
        clinical={
            name: _clinical_distribution(table.clinical, name) for name in levels_by_field(names.get("clinical", ()))
        },
        taxa={name: _taxon_distribution(taxa[name]) for name in names.get("taxa", ())},
    )


def _columns(block: Block) -> dict[str, Vector]:
    return dict(zip(block.names, block.values.T, strict=True))


def _taxon_distribution(proportions: Vector) -> TaxonDistribution:
    carriers = proportions[proportions > 0]
    return TaxonDistribution(len(carriers), len(carriers) / len(proportions), disclosed_quantiles(carriers))


def _clinical_distribution(block: Block, name: str) -> NumericDistribution | LevelDistribution:
    """Return the distribution of a clinical column, with all its levels although the model may read only some."""
    columns = _columns(block)
    if name in columns:
        values = columns[name]
        if not np.isin(values[~np.isnan(values)], (0, 1)).all():
            return _numeric_distribution(values)
        counts = {level: int((values == float(level)).sum()) for level in ("0", "1")}
    else:
        indicators = {Column.from_name("clinical", column): values for column, values in columns.items()}
        counts = {
            column.level: int((values == 1).sum()) for column, values in indicators.items() if column.field == name
        }
    n_measured = sum(counts.values())
    if n_measured < FEWEST:
        return LevelDistribution(n_measured, None)
    return LevelDistribution(
        n_measured, {level: LevelCount(count, count / n_measured) for level, count in counts.items()}
    )


def _numeric_distribution(values: Vector) -> NumericDistribution:
    values = values[~np.isnan(values)]
    below_limit, above_limit = np.isneginf(values), np.isposinf(values)
    finite = values[~below_limit & ~above_limit]
    clipped = np.clip(values, finite.min(initial=np.inf), finite.max(initial=-np.inf)) if finite.size else finite
    deciles = disclosed_quantiles(clipped, DECILES) or {}
    edges = np.unique([decile for decile in deciles.values() if decile is not None])
    patients = np.bincount(np.searchsorted(edges, clipped), minlength=len(edges) + 1)
    return NumericDistribution(
        measured=len(values),
        below=int(below_limit.sum()),
        above=int(above_limit.sum()),
        quantiles=disclosed_quantiles(clipped),
        histogram=Histogram(tuple(edges.tolist()), tuple(patients.tolist())) if edges.size else None,
    )
