"""The patients of one cohort as an audit looks at them, and what each of their columns tells alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import fisher_exact, mannwhitneyu

from features.audit.profiles import totals
from features.cohort import Cohort
from features.feature_table import FeatureTable

LEAST_EVENTS = 3
"""Patients of each label from which a column is tested."""


class ColumnTest(NamedTuple):
    """How well a column alone does for an outcome: the better way round, with its p-value, in `n` patients."""

    kind: str
    column: str
    outcome: str
    auroc: float
    p: float
    n: int


@dataclass(frozen=True)
class Rows:
    """One cohort's patients: the position of each one's sample, the labels (1, 0, NaN), and whether blood was drawn."""

    cohort: Cohort
    positions: NDArray[np.intp]
    labels: dict[str, NDArray[np.float64]]
    drawn: NDArray[np.bool_]

    @cached_property
    def column_tests(self) -> list[ColumnTest]:
        """How well each column alone does for each outcome."""
        return _column_tests(self)


def rows_of(cohort: Cohort, table: FeatureTable | None, outcome: str | None) -> Rows:
    """Return a cohort's patients: as the table that is about to be learned from has them, else by their first stool."""
    outcomes = cohort.labels.defined if outcome is None else (outcome,)
    if table is not None:
        chosen = (table.rows["cohort"] == cohort.name).to_numpy()
        rows = table.rows[chosen]
        positions = pd.Index(cohort.samples["sample"]).get_indexer(pd.Index(rows["sample"]))
        labels: dict[str, Any] = {name: rows[name] for name in outcomes if name in rows}
        drawn = table.immune.measured_rows[chosen]
    else:
        rows = first_stool(cohort)
        positions, patients = rows.index.to_numpy(), pd.Index(rows["patient"])
        found = {name: cohort.labels.outcome(name, patients, -np.inf, None) for name in outcomes}
        labels = {name: label[0] for name, label in found.items() if label is not None}
        said, immune = cohort.manifest.immune, cohort.immune
        drawn = patients.isin(immune.rows[said.patient]) if said and immune else np.zeros(len(rows), bool)
    return Rows(
        cohort, positions, {name: label.to_numpy(np.float64, na_value=np.nan) for name, label in labels.items()}, drawn
    )


def first_stool(cohort: Cohort) -> pd.DataFrame:
    """Return each patient's earliest sample; the index is the sample's position."""
    stool = cohort.samples[~cohort.samples["donor"]]
    return stool.sort_values(["patient", "day", "visit"], kind="stable").drop_duplicates("patient")


def _column_tests(rows: Rows) -> list[ColumnTest]:
    labels = {label.tobytes(): (name, label) for name, label in reversed(rows.labels.items())}
    tests = []
    for kind, column, values in _columns(rows):
        for outcome, label in labels.values():
            known = ~np.isnan(label) & ~np.isnan(values)
            yes, no = values[known & (label == 1)], values[known & (label == 0)]
            levels = np.unique(values[known])
            if min(len(yes), len(no)) < LEAST_EVENTS or len(levels) < 2:
                continue
            if len(levels) == 2:
                high, other = (yes == levels[1]).sum(), (no == levels[1]).sum()
                p = fisher_exact([[high, len(yes) - high], [other, len(no) - other]]).pvalue
                share = 0.5 + (high / len(yes) - other / len(no)) / 2
            else:
                u, p = mannwhitneyu(yes, no)
                share = u / (len(yes) * len(no))
            tests.append(ColumnTest(kind, column, outcome, max(share, 1 - share), float(p), int(known.sum())))
    return tests


def _columns(rows: Rows) -> Iterator[tuple[str, str, NDArray[np.float64]]]:
    """Yield the columns to be tested, without those that part the patients as an earlier one does."""
    cohort, at = rows.cohort, rows.positions
    technical = {str(name): values.to_numpy()[at] for name, values in cohort.technical.items()}
    if cohort.taxa.unit == "counts":
        technical["reads counted"] = totals(cohort)[at]
    centre = cohort.centre.reindex(cohort.samples["patient"].iloc[at]).to_numpy()
    technical |= {f"centre {name.partition('/')[2]}": (centre == name).astype(float) for name in sorted(set(centre))}
    clinical = {str(name): values.to_numpy()[at] for name, values in cohort.clinical.items()}
    missing = {f"{name} missing": np.isnan(values).astype(float) for name, values in clinical.items()}
    missing["blood missing"] = (~rows.drawn).astype(float)
    seen = set()
    for kind, columns in (("technical", technical), ("missing", missing), ("clinical", clinical)):
        for name, values in columns.items():
            parts, levels = pd.factorize(values)
            if len(levels) != 2 or (key := parts.tobytes()) not in seen:
                yield kind, name, values
            if len(levels) == 2:
                seen.add(key)
