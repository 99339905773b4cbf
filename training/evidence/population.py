"""Disease and treatment of the training patients: tumour types, lines of treatment, classes of drugs."""

from __future__ import annotations

from features.feature_table import FeatureTable
from features.population import POPULATION_FIELDS
from models.evidence import TrainingPopulation


def training_population(table: FeatureTable) -> TrainingPopulation:
    """Count the patients of each tumour type, line of treatment and class of drugs, the most frequent first."""
    counts = {field: table.rows[field].value_counts() for field in POPULATION_FIELDS if field in table.rows}
    return TrainingPopulation(
        **{
            field: {str(value): int(n) for value, n in counts[field].items() if value} if field in counts else {}
            for field in POPULATION_FIELDS
        }
    )
