"""Cumulative incidence of an outcome in the cohorts of an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from features.arrays import Matrix
from features.cohort import Cohort
from features.feature_table import FeatureTable
from features.outcomes import DAYS_PER_MONTH
from features.survival import CENSORED_AT, DEATH, EVENT, CensoredAt
from training.statistics.cumulative_incidence import cumulative_incidence_at
from training.statistics.metrics import bootstrap_weights, mean_within_centres, percentile_interval
from training.survival.eligibility import rows_at_risk
from training.validation.folds import centres
from training.validation.held_out_times import HORIZONS

CENSORING_LABELS = {"progression": "censored at progression", "treatment_end": "censored at the end of treatment"}


def incidence_curves(
    cohorts: Sequence[Cohort], table: FeatureTable, outcome: str
) -> dict[str, tuple[FeatureTable, Matrix]]:
    """Return rows at risk with their times and ends, (n_rows, 2), by each kind of censoring that all cohorts date."""
    return {
        label: rows_at_risk(cohorts, table, outcome, censored_at)[:2]
        for label, censored_at in _kinds_of_censoring(cohorts, outcome)
    }


def incidence_table(curves: Mapping[str, tuple[FeatureTable, Matrix]]) -> pd.DataFrame:
    """Return the cumulative incidence by each horizon: the mean over cohorts, with its bootstrap interval."""
    rows = []
    for label, (table, y) in curves.items():
        names, no_score = centres(table.rows), np.zeros(len(y))
        weights = bootstrap_weights(names)
        for months in HORIZONS:
            metric = partial(cumulative_incidence_at, day=months * DAYS_PER_MONTH)
            value = mean_within_centres(metric, y, no_score, names)
            draws = mean_within_centres(metric, y, no_score, names, weights)
            estimate = percentile_interval(value[0], draws)
            rows.append(
                {
                    "censoring": label,
                    "months": months,
                    "patients": len(y),
                    "events": int((y[:, 1] == EVENT).sum()),
                    "deaths_before": int((y[:, 1] == DEATH).sum()),
                    "incidence": estimate.value,
                    "incidence_low": estimate.low,
                    "incidence_high": estimate.high,
                }
            )
    return pd.DataFrame(rows)


def _kinds_of_censoring(cohorts: Sequence[Cohort], outcome: str) -> list[tuple[str, CensoredAt | None]]:
    if not outcome.startswith("time_to_toxicity"):
        return [(outcome, None)]
    dated = set.intersection(*(set(cohort.labels.dates) for cohort in cohorts if cohort.labels.dates is not None))
    kinds = [(CENSORING_LABELS[kind], kind) for kind, column in CENSORED_AT.items() if column in dated]
    return [("at risk until death", None), *kinds]
