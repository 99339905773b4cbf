"""Folds: rows of one patient are never divided between training and test, and cohorts may be left out whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from features.arrays import Names, Positions, Vector
from features.feature_table import FeatureTable
from models.evidence import Scheme

Split = tuple[Positions, Positions]
"""Positions of the training rows and of the test rows."""


@dataclass(frozen=True)
class Fold:
    """Rows that are held out together.

    Attributes
    ----------
    scheme : {"cv", "loco", "all"}
        Cross-validation by patient, leave one cohort out, or every row for training.
    name : str
        The repeat and fold, or the cohort that is left out.
    repeat : int
    train, test : ndarray of int
        Positions in the table.
    """

    scheme: Scheme | Literal["all"]
    name: str
    repeat: int
    train: Positions
    test: Positions


def outcome_vector(table: FeatureTable, outcome: str) -> Vector:
    """Return an outcome that is known for every row as 0 and 1, (n_rows,)."""
    return table.rows[outcome].to_numpy(dtype=np.float64)


def outer_folds(table: FeatureTable, y: Vector, n_folds: int, repeats: int, seed: int) -> list[Fold]:
    """Return repeated cross-validation by patient and, with several cohorts, repeated leave-one-cohort-out.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
        0 or 1; folds by patient are stratified by it.
    n_folds, repeats, seed : int
        Each repeat has a seed of its own, `seed` plus its number.
    """
    return [*_cv_folds(table, y, n_folds, repeats, seed), *_loco_folds(table, y, repeats)]


def main_folds(table: FeatureTable, y: Vector, n_folds: int, seed: int) -> list[Fold]:
    """Return the first repeat's folds of the scheme that evidence rests on: cohorts where possible, else patients."""
    return _loco_folds(table, y, 1) or _cv_folds(table, y, n_folds, 1, seed)


def _cv_folds(table: FeatureTable, y: Vector, n_folds: int, repeats: int, seed: int) -> list[Fold]:
    patients = patient_groups(table.rows)
    return [
        Fold("cv", f"{repeat}.{k}", repeat, train, test)
        for repeat in range(repeats)
        for k, (train, test) in enumerate(patient_folds(y, patients, n_folds, seed + repeat))
    ]


def _loco_folds(table: FeatureTable, y: Vector, repeats: int) -> list[Fold]:
    cohorts = loco_groups(table.rows)
    return [
        Fold("loco", name, repeat, train, test)
        for repeat in range(repeats)
        for name, (train, test) in leave_one_cohort_out(cohorts, y)
    ]


def inner_splits(rows: pd.DataFrame, y: Vector, n_folds: int, seed: int) -> list[Split]:
    """Return the splits that select settings: leave-one-cohort-out with several cohorts, else folds by patient."""
    by_cohort = [split for _, split in leave_one_cohort_out(loco_groups(rows), y)]
    # Settings that should hold in a new hospital are selected by how they hold in one that is left out.
    return by_cohort if len(by_cohort) > 1 else list(patient_folds(y, patient_groups(rows), n_folds, seed))


def patient_folds(y: Vector, patients: Positions, n_folds: int, seed: int) -> Iterator[Split]:
    """Yield folds stratified by outcome, with all rows of a patient on one side.

    There are at most as many folds as rows of the rarer class. A fold whose training rows are all of one class is
    dropped.

    Parameters
    ----------
    y : ndarray, (n_rows,)
        0 or 1.
    patients : ndarray of int, (n_rows,)
        The number of each row's patient.
    n_folds, seed : int
    """
    rarer = int(min(y.sum(), (1 - y).sum()))
    n_folds = min(n_folds, rarer)
    if n_folds < 2:
        return
    for train, test in StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed).split(y, y, patients):
        if 0 < y[train].sum() < len(train):
            yield train, test


def leave_one_cohort_out(cohorts: Names, y: Vector) -> Iterator[tuple[str, Split]]:
    """Yield each cohort's name, with its own rows as test rows and all others as training rows.

    A cohort whose training rows would all be of one class is skipped.
    """
    for name in dict.fromkeys(cohorts.tolist()):
        test = np.flatnonzero(cohorts == name)
        train = np.flatnonzero(cohorts != name)
        if 0 < y[train].sum() < len(train):
            yield name, (train, test)


def patient_groups(rows: pd.DataFrame) -> Positions:
    """Return each row's patient as a number, (n_rows,); one name in two cohorts denotes two patients."""
    return np.asarray(rows.groupby(["cohort", "patient"], sort=False).ngroup(), dtype=np.intp)


def loco_groups(rows: pd.DataFrame) -> Names:
    """Return what is left out with each row under leave-one-cohort-out, (n_rows,).

    With several studies each is left out whole, since centres of one study share a laboratory and a protocol, and a
    model trained on a sister centre would appear too good. Within one study its centres are left out.
    """
    cohorts = rows["cohort"].to_numpy(dtype=object)
    return cohorts if len(set(cohorts)) > 1 else centres(rows)


def centres(rows: pd.DataFrame) -> Names:
    """Return each row's centre, (n_rows,); the cohort where its manifest names no centres."""
    return rows["centre"].to_numpy(dtype=object)


def centre_codes(rows: pd.DataFrame) -> Positions:
    """Return each row's centre as a number, (n_rows,)."""
    return np.unique(centres(rows).astype(str), return_inverse=True)[1].astype(np.intp)
