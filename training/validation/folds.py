"""Which rows are left out together: patients never cross, and cohorts may be left out whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from features.feature_table import FeatureTable
from training.statistics.arrays import Names, Positions, Vector

Split = tuple[Positions, Positions]


@dataclass(frozen=True)
class Fold:
    """Rows left out together.

    Attributes
    ----------
    scheme : {"cv", "loco"}
    name : str
        The repeat and fold, or the cohort left out.
    repeat : int
    train, test : ndarray of int
        Positions in the table.
    """

    scheme: str
    name: str
    repeat: int
    train: Positions
    test: Positions


def outcome_vector(table: FeatureTable, outcome: str) -> Vector:
    """Return 0 and 1 for a table whose labels are all known, (n_rows,)."""
    return table.rows[outcome].to_numpy(dtype=np.float64)


def outer_folds(table: FeatureTable, y: Vector, n_folds: int, repeats: int, seed: int) -> list[Fold]:
    """Return the outer folds: repeated cross-validation by patient, then each of several cohorts left out, repeated."""
    groups, together = patient_groups(table.rows), loco_groups(table.rows)
    found = [
        Fold("cv", f"{repeat}.{k}", repeat, train, test)
        for repeat in range(repeats)
        for k, (train, test) in enumerate(patient_folds(y, groups, n_folds, seed + repeat))
    ]
    if len(set(together)) > 1:
        found += [
            Fold("loco", name, repeat, train, test)
            for repeat in range(repeats)
            for name, (train, test) in leave_one_cohort_out(together, y)
        ]
    return found


def patient_groups(rows: pd.DataFrame) -> Positions:
    """Return one number a patient, (n_rows,); the same name in two cohorts is two patients."""
    return np.asarray(rows.groupby(["cohort", "patient"], sort=False).ngroup(), dtype=np.intp)


def centres(rows: pd.DataFrame) -> Names:
    """Return each row's centre, (n_rows,): where a manifest names centres each counts as a cohort, else the cohort."""
    return rows["centre"].to_numpy(dtype=object)


def centre_codes(rows: pd.DataFrame) -> Positions:
    """Return each row's centre as a number, (n_rows,)."""
    return np.unique(centres(rows).astype(str), return_inverse=True)[1].astype(np.intp)


def loco_groups(rows: pd.DataFrame) -> Names:
    """Return what is left out with each row when cohorts are left out in turn, (n_rows,).

    Of several studies each is left out whole: a sister centre shares its laboratory and its protocol, and would
    flatter. Within one study its centres are left out.
    """
    cohorts = rows["cohort"].to_numpy(dtype=object)
    return cohorts if len(set(cohorts)) > 1 else centres(rows)


def patient_folds(y: NDArray[np.float64], groups: Positions, n_folds: int, seed: int) -> Iterator[Split]:
    """Yield training and test positions, with a patient's rows on one side and outcomes spread evenly.

    There are fewer folds than asked where the rarer class has fewer rows; a fold whose training rows would be of one
    class is left out.
    """
    rarer = int(min(y.sum(), (1 - y).sum()))
    n_folds = min(n_folds, rarer)
    if n_folds < 2:
        return
    for train, test in StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed).split(y, y, groups):
        if 0 < y[train].sum() < len(train):
            yield train, test


def leave_one_cohort_out(names: Names, y: NDArray[np.float64]) -> Iterator[tuple[str, Split]]:
    """Yield each name with the other rows and its own; training rows always have both classes."""
    for name in dict.fromkeys(names.tolist()):
        test = np.flatnonzero(names == name)
        train = np.flatnonzero(names != name)
        if 0 < y[train].sum() < len(train):
            yield name, (train, test)


def inner_splits(rows: pd.DataFrame, y: NDArray[np.float64], n_folds: int, seed: int) -> list[Split]:
    """Return the splits that choose settings: by cohort where there are several, else by patient."""
    by_cohort = [split for _, split in leave_one_cohort_out(loco_groups(rows), y)]
    # Settings that must hold at the next hospital are chosen by how they hold at one left out.
    return by_cohort if len(by_cohort) > 1 else list(patient_folds(y, patient_groups(rows), n_folds, seed))
