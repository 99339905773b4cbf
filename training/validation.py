"""Validation: nested cross-validation by patient, and leave-one-cohort-out, with everything fitted inside the fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from features.landmark import FeatureTable
from models.bundle import Calibration
from models.encoder import BlockEncoder
from models.families import FAMILIES, Predictor
from training.metrics import log_loss, platt_calibration
from training.splits import inner_splits, left_out_cohorts, patient_folds, patient_groups

Vector = NDArray[np.float64]


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
    train: NDArray[np.intp]
    test: NDArray[np.intp]


@dataclass(frozen=True)
class LeftOut:
    """One family's predictions for the rows of one fold, none of which it had seen.

    Attributes
    ----------
    fold : Fold
    margin, probability : ndarray, (n_test,)
        Log-odds, and their calibration learnt on inner left-out rows.
    setting : dict
        What inner validation chose.
    """

    fold: Fold
    margin: Vector
    probability: Vector
    setting: dict[str, Any]


@dataclass(frozen=True)
class Fit:
    """One family fitted to all rows given, tuned and calibrated on inner left-out rows."""

    encoder: BlockEncoder
    predictor: Predictor
    calibration: Calibration
    setting: dict[str, Any]


def outcome_vector(table: FeatureTable, outcome: str) -> Vector:
    """Return 0 and 1 for a table whose labels are all known, (n_rows,)."""
    return table.rows[outcome].to_numpy(dtype=np.float64)


def folds(table: FeatureTable, y: Vector, n_folds: int, repeats: int, seed: int) -> list[Fold]:
    """Return the outer folds: repeated cross-validation by patient, then each of several cohorts left out."""
    groups, cohorts = patient_groups(table.rows), cohort_names(table)
    found = [
        Fold("cv", f"{repeat}.{k}", repeat, train, test)
        for repeat in range(repeats)
        for k, (train, test) in enumerate(patient_folds(y, groups, n_folds, seed + repeat))
    ]
    if len(table.cohorts) > 1:
        found += [Fold("loco", name, 0, train, test) for name, (train, test) in left_out_cohorts(cohorts, y)]
    return found


def cohort_names(table: FeatureTable) -> NDArray[np.object_]:
    """Return each row's cohort, (n_rows,)."""
    return table.rows["cohort"].to_numpy(dtype=object)


def validate(
    table: FeatureTable,
    y: Vector,
    encoder: BlockEncoder,
    families: Sequence[str],
    outer: Sequence[Fold],
    *,
    n_folds: int,
    seed: int,
    done: Callable[[], object],
) -> dict[str, list[LeftOut]]:
    """Predict every fold's left-out rows with every family.

    Folds run side by side, one thread each. A fold's rows are encoded once for all families.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
    encoder : BlockEncoder
        Unfitted; fitted anew inside each fold.
    families : sequence of str
    outer : sequence of Fold
    n_folds, seed : int
        Of inner validation.
    done : callable
        Called after each fold.

    Returns
    -------
    dict of str to list of LeftOut
        By family, in the order of `outer`.
    """
    jobs = (delayed(_one_fold)(table, y, encoder, families, fold, n_folds, seed) for fold in outer)
    found: dict[str, list[LeftOut]] = {family: [] for family in families}
    # Threads: the solvers let go of the interpreter, and new processes would spend seconds on imports before the first
    # fold. BLAS keeps to one thread, since folds already take every core.
    with threadpool_limits(1, "blas"):
        for results in Parallel(n_jobs=-1, prefer="threads", return_as="generator")(jobs):
            for family, result in results.items():
                found[family].append(result)
            done()
    return found


def fit(
    table: FeatureTable, y: Vector, encoder: BlockEncoder, families: Sequence[str], *, n_folds: int, seed: int
) -> dict[str, Fit]:
    """Fit each family to all rows, its setting and calibration chosen on inner left-out rows.

    Parameters and errors are those of `validate`. Inner validation leaves cohorts out where there are several.
    """
    splits = inner_splits(y, patient_groups(table.rows), cohort_names(table), n_folds, seed)
    margins = {family: np.full((len(FAMILIES[family].settings), len(y)), np.nan) for family in families}
    for train, test in splits:
        inner = clone(encoder)
        X, other = inner.fit_transform(table.take(train)), inner.transform(table.take(test))
        for family in families:
            margins[family][:, test] = FAMILIES[family].margins(X, y[train], other, seed)
    fitted = clone(encoder)
    X = fitted.fit_transform(table)
    fits = {}
    for family in families:
        left_out = np.isfinite(margins[family][0])
        if left_out.any():
            best = int(np.argmin(log_loss(y[left_out], margins[family][:, left_out])))
            calibration = platt_calibration(y[left_out], margins[family][best, left_out])
        else:
            # Too few events to leave any out: say the prevalence.
            best, calibration = 0, Calibration(0.0, float(np.log(y.mean() / (1 - y.mean()))))
        setting = FAMILIES[family].settings[best]
        fits[family] = Fit(fitted, FAMILIES[family].fit(X, y, setting, seed), calibration, setting)
    return fits


def _one_fold(
    table: FeatureTable, y: Vector, encoder: BlockEncoder, families: Sequence[str], fold: Fold, n_folds: int, seed: int
) -> dict[str, LeftOut]:
    fits = fit(table.take(fold.train), y[fold.train], encoder, families, n_folds=n_folds, seed=seed + fold.repeat)
    test = table.take(fold.test)
    found = {}
    for family, fitted in fits.items():
        margin = fitted.predictor.margin(fitted.encoder.transform(test))
        found[family] = LeftOut(fold, margin, fitted.calibration.probability(margin), fitted.setting)
    return found
