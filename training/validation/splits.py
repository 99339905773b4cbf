"""Which rows are left out together: patients never cross, and cohorts may be left out whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

Positions = NDArray[np.intp]
Names = NDArray[np.object_]
Split = tuple[Positions, Positions]


def patient_groups(rows: pd.DataFrame) -> Positions:
    """Return one number a patient, (n_rows,); the same name in two cohorts is two patients."""
    return np.asarray(rows.groupby(["cohort", "patient"], sort=False).ngroup(), dtype=np.intp)


def centres(rows: pd.DataFrame) -> Names:
    """Return each row's centre, (n_rows,): where a manifest names centres each counts as a cohort, else the cohort."""
    return rows["centre"].to_numpy(dtype=object)


def strata(rows: pd.DataFrame) -> Positions:
    """Return each row's centre as a number, (n_rows,)."""
    return np.unique(centres(rows).astype(str), return_inverse=True)[1].astype(np.intp)


def left_out_together(rows: pd.DataFrame) -> Names:
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


def left_out_cohorts(names: Names, y: NDArray[np.float64]) -> Iterator[tuple[str, Split]]:
    """Yield each name with the other rows and its own; training rows always have both classes."""
    for name in dict.fromkeys(names.tolist()):
        test = np.flatnonzero(names == name)
        train = np.flatnonzero(names != name)
        if 0 < y[train].sum() < len(train):
            yield name, (train, test)


def inner_splits(rows: pd.DataFrame, y: NDArray[np.float64], n_folds: int, seed: int) -> list[Split]:
    """Return the splits that choose settings: by cohort where there are several, else by patient."""
    by_cohort = [split for _, split in left_out_cohorts(left_out_together(rows), y)]
    # Settings that must hold at the next hospital are chosen by how they hold at one left out.
    return by_cohort if len(by_cohort) > 1 else list(patient_folds(y, patient_groups(rows), n_folds, seed))
