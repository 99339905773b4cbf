"""The patients of one cohort under audit, and how well each single column predicts their outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact, mannwhitneyu

from features.arrays import Mask, Positions, Vector
from features.audit.profiles import profile_sums
from features.cohort import Cohort
from features.feature_table import FeatureTable

MIN_PER_LABEL = 3
"""Smallest number of patients of each label with which a column is tested."""


class ColumnTest(NamedTuple):
    """How well one column alone predicts an outcome.

    Attributes
    ----------
    kind : {"technical", "missing", "clinical"}
    column, outcome : str
    auroc : float
        In the direction that exceeds a half.
    p : float
    n : int
        Patients in whom both are known.
    """

    kind: str
    column: str
    outcome: str
    auroc: float
    p: float
    n: int


@dataclass(frozen=True)
class AuditedPatients:
    """The patients of one cohort.

    Attributes
    ----------
    cohort : Cohort
    sample_positions : ndarray of intp, (n_patients,)
        Position of each patient's stool sample in `cohort.samples`.
    labels : dict of str to ndarray, (n_patients,)
        Each outcome's labels: 1, 0 or NaN.
    has_blood : ndarray of bool, (n_patients,)
    """

    cohort: Cohort
    sample_positions: Positions
    labels: dict[str, Vector]
    has_blood: Mask

    @cached_property
    def column_tests(self) -> list[ColumnTest]:
        """How well each column alone predicts each outcome."""
        return _column_tests(self)


def audited_patients(cohort: Cohort, table: FeatureTable | None, outcome: str | None) -> AuditedPatients:
    """Return a cohort's patients: those of the training table, or else all, represented by their first stool sample."""
    outcomes = cohort.labels.reported_outcomes if outcome is None else (outcome,)
    if table is not None:
        in_cohort = (table.rows["cohort"] == cohort.name).to_numpy()
        rows = table.rows[in_cohort]
        positions = pd.Index(cohort.samples["sample"]).get_indexer(pd.Index(rows["sample"]))
        labels: dict[str, pd.Series[bool]] = {name: rows[name] for name in outcomes if name in rows}
        has_blood = table.immune.measured_rows[in_cohort]
    else:
        rows = first_stool_samples(cohort)
        positions, patients = rows.index.to_numpy(), pd.Index(rows["patient"])
        reported = {name: cohort.labels.at_landmark(name, patients, -np.inf, None) for name in outcomes}
        labels = {name: label_and_risk[0] for name, label_and_risk in reported.items() if label_and_risk is not None}
        immune = cohort.immune
        has_blood = np.zeros(len(rows), dtype=bool)
        if immune is not None:
            has_blood = patients.isin(immune.rows["patient"])
    numbers = {
        name: np.asarray(label.to_numpy(np.float64, na_value=np.nan), np.float64) for name, label in labels.items()
    }
    return AuditedPatients(cohort, positions, numbers, has_blood)


def first_stool_samples(cohort: Cohort) -> pd.DataFrame:
    """Return each patient's earliest stool sample; the index is the position in `cohort.samples`."""
    stool = cohort.samples[~cohort.samples["donor"]]
    return stool.sort_values(["patient", "day", "visit"], kind="stable").drop_duplicates("patient")


def _column_tests(patients: AuditedPatients) -> list[ColumnTest]:
    labels = {label.tobytes(): (name, label) for name, label in reversed(patients.labels.items())}
    tests = []
    for kind, column, values in _distinct_columns(patients):
        for outcome, label in labels.values():
            complete = ~np.isnan(label) & ~np.isnan(values)
            positives, negatives = values[complete & (label == 1)], values[complete & (label == 0)]
            levels = np.unique(values[complete])
            if min(len(positives), len(negatives)) < MIN_PER_LABEL or len(levels) < 2:
                continue
            auroc, p = _auroc_and_p(positives, negatives, levels)
            tests.append(ColumnTest(kind, column, outcome, max(auroc, 1 - auroc), p, int(complete.sum())))
    return tests


def _auroc_and_p(positives: Vector, negatives: Vector, levels: Vector) -> tuple[float, float]:
    n_positives, n_negatives = len(positives), len(negatives)
    if len(levels) > 2:
        u, p = mannwhitneyu(positives, negatives)
        return float(u / (n_positives * n_negatives)), float(p)
    high_positives, high_negatives = (positives == levels[1]).sum(), (negatives == levels[1]).sum()
    p = fisher_exact(
        [[high_positives, n_positives - high_positives], [high_negatives, n_negatives - high_negatives]]
    ).pvalue
    return float(0.5 + (high_positives / n_positives - high_negatives / n_negatives) / 2), float(p)


def _distinct_columns(patients: AuditedPatients) -> Iterator[tuple[str, str, Vector]]:
    """Yield each column's kind, name and values, (n_patients,), except those that repeat an earlier grouping."""
    groupings = set()
    for kind, columns in _columns_by_kind(patients).items():
        for name, values in columns.items():
            groups, levels = pd.factorize(values)
            if len(levels) != 2 or (grouping := groups.tobytes()) not in groupings:
                yield kind, name, values
            if len(levels) == 2:
                groupings.add(grouping)


def _columns_by_kind(patients: AuditedPatients) -> dict[str, dict[str, Vector]]:
    cohort, positions = patients.cohort, patients.sample_positions
    technical = {str(name): values.to_numpy()[positions] for name, values in cohort.technical.items()}
    if cohort.taxa.unit == "counts":
        technical["reads counted"] = profile_sums(cohort)[positions]
    centre = cohort.centre.reindex(cohort.samples["patient"].iloc[positions]).to_numpy()
    for name in sorted(set(centre)):
        technical[f"centre {name.partition('/')[2]}"] = (centre == name).astype(float)
    clinical = {str(name): values.to_numpy()[positions] for name, values in cohort.clinical.items()}
    missing = {f"{name} missing": np.isnan(values).astype(float) for name, values in clinical.items()}
    missing["blood missing"] = (~patients.has_blood).astype(float)
    return {"technical": technical, "missing": missing, "clinical": clinical}
