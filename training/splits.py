"""How rows are left out: never a patient on both sides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

Positions = NDArray[np.intp]
Split = tuple[Positions, Positions]


def patient_groups(rows: pd.DataFrame) -> NDArray[np.intp]:
    """Return one number for each patient of each cohort, (n_rows,)."""
    return np.asarray(rows.groupby(["cohort", "patient"], sort=False).ngroup(), dtype=np.intp)


def patient_folds(y: NDArray[np.float64], groups: Positions, n_folds: int, seed: int) -> Iterator[Split]:
    """Yield stratified folds that keep each patient's rows together.

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


def left_out_cohorts(cohorts: NDArray[np.object_], y: NDArray[np.float64]) -> Iterator[tuple[str, Split]]:
    """Yield each cohort's name with the other cohorts' rows and its own; training rows always have both classes."""
    for name in dict.fromkeys(cohorts.tolist()):
        test = np.flatnonzero(cohorts == name)
        train = np.flatnonzero(cohorts != name)
        if 0 < y[train].sum() < len(train):
            yield name, (train, test)


def inner_splits(
    y: NDArray[np.float64], groups: Positions, cohorts: NDArray[np.object_], n_folds: int, seed: int
) -> list[Split]:
    """Return the splits that choose settings: by cohort where there are several, else by patient."""
    by_cohort = [split for _, split in left_out_cohorts(cohorts, y)]
    # Settings that must hold at the next hospital are chosen by how they hold at one left out.
    return by_cohort if len(by_cohort) > 1 else list(patient_folds(y, groups, n_folds, seed))
