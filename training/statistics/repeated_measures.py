"""Correlations within patients, over their repeated measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orth
from scipy.stats import norm
from scipy.stats import t as student

from training.statistics.arrays import Matrix, Vector

Patients = NDArray[Any]

ALPHA, POWER = 0.05, 0.8
_CHUNK = 500


@dataclass(frozen=True)
class Correlation:
    """A repeated-measures correlation, with its 95% interval and parametric p; `df` is draws - intercepts - 1."""

    r: float
    df: int
    low: float
    high: float
    p: float


def rmcorr(x: Vector, y: Vector, patient: Patients, course: Patients | None = None) -> Correlation:
    """Return the correlation within patients, all of whom share one slope and keep an intercept of their own.

    Parameters
    ----------
    x, y : ndarray, (n_draws,)
        Neither constant within every patient.
    patient : ndarray, (n_draws,)
        A patient of one draw tells nothing and is left out.
    course : ndarray, (n_draws,), optional
        The stretch of time of each draw: what all patients do in it has an intercept of its own as well, so that only
        departures from the common course are correlated.

    References
    ----------
    Bland and Altman 1995, BMJ 310:446; Bakdash and Marusich 2017, Frontiers in Psychology 8:456.
    """
    kept, df = repeatedly_measured(patient)
    common = _common(patient[kept], None if course is None else course[kept])
    df -= common.shape[1]
    if df < 1:
        return Correlation(np.nan, df, np.nan, np.nan, np.nan)
    a, b = _unit(np.column_stack([x, y])[kept], patient[kept], common).T
    r = float(np.clip(a @ b, -1, 1))
    p = 2 * float(student.sf(abs(r) * np.sqrt(df / max(1 - r * r, 1e-300)), df))
    half = float(norm.ppf(0.975)) / np.sqrt(df - 1) if df > 1 else np.inf
    middle = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    return Correlation(r, df, float(np.tanh(middle - half)), float(np.tanh(middle + half)), p)


def rmcorr_permutation_test(
    X: Matrix, y: Vector, patient: Patients, course: Patients | None = None, *, n: int, seed: int = 0
) -> tuple[Vector, Vector]:
    """Return each column's repeated-measures correlation with `y`, and its two-sided permutation p.

    The draws of a patient change places among themselves, never with another patient's: patients are the blocks. Under
    a common course what changes places are the departures of `y` from it, and the course is taken out of each
    permutation anew.

    Parameters
    ----------
    X : ndarray, (n_draws, n_columns)
    y : ndarray, (n_draws,)
    patient : ndarray, (n_draws,)
    course : ndarray, (n_draws,), optional
        As in `rmcorr`.
    n, seed : int
        Permutations, and their seed; every column meets the same ones.

    Returns
    -------
    r, p : ndarray, (n_columns,)
        p counts the observed order among the permutations (Phipson and Smyth 2010, Statistical Applications in Genetics
        and Molecular Biology 9:39). Where nothing of a column or of `y` varies within patients, r is 0 and p is 1.

    References
    ----------
    Freedman and Lane 1983, Journal of Business and Economic Statistics 1:292-298, for departures.
    """
    kept, _ = repeatedly_measured(patient)
    order = np.flatnonzero(kept)[np.argsort(patient[kept], kind="stable")]
    patient = patient[order]
    common = _common(patient, None if course is None else course[order])
    columns, target = _unit(X[order], patient, common), _unit(y[order, None], patient, common)[:, 0]
    blocks = np.unique(patient, return_inverse=True)[1]
    r, rng, beyond = target @ columns, np.random.default_rng(seed), np.zeros(X.shape[1])
    for start in range(0, n, _CHUNK):
        # Sorting random keys that grow with the block shuffles within blocks.
        shuffled = target[np.argsort(blocks + rng.random((min(_CHUNK, n - start), len(blocks))), axis=1)]
        left = np.sqrt(np.maximum(1 - ((shuffled @ common) ** 2).sum(axis=1, keepdims=True), 1e-12))
        beyond += (np.abs(shuffled @ columns) >= (np.abs(r) - 1e-12) * left).sum(axis=0)
    return np.asarray(r), np.asarray((1 + beyond) / (1 + n))


def detectable_correlation(df: int, *, tests: int = 1) -> float:
    """Return the smallest within-patient correlation that is found with 80% power, two-sided at 5% over `tests`.

    By Fisher's z, whose standard error is 1 / sqrt(df - 1) here; 1 where there is no degree of freedom to speak of.
    """
    if df < 2:
        return 1.0
    return float(np.tanh((norm.isf(ALPHA / 2 / tests) + norm.ppf(POWER)) / np.sqrt(df - 1)))


def repeatedly_measured(patient: Patients) -> tuple[NDArray[np.bool_], int]:
    """Return which draws are of patients with several, and the degrees of freedom that these leave."""
    _, who, times = np.unique(patient, return_inverse=True, return_counts=True)
    kept = times[who] > 1
    return kept, int(kept.sum()) - int((times > 1).sum()) - 1


def _centred(X: Matrix, patient: Patients) -> Matrix:
    """Return columns without their means within patients."""
    _, who = np.unique(patient, return_inverse=True)
    sums = np.zeros((int(who.max(initial=-1)) + 1, X.shape[1]))
    np.add.at(sums, who, X)
    return np.asarray(X - (sums / np.bincount(who)[:, None])[who])


def _common(patient: Patients, course: Patients | None) -> Matrix:
    """Return an orthonormal basis, (n_draws, rank), of what draws of one stretch share beyond their patients' means."""
    if course is None or not len(course):
        return np.empty((len(patient), 0))
    return np.asarray(orth(_centred(np.equal.outer(course, np.unique(course)).astype(float), patient), 1e-9))


def _unit(X: Matrix, patient: Patients, common: Matrix) -> Matrix:
    """Return columns centred within patients, without the common course, of length 1; 0 where nothing varies."""
    left = _centred(X, patient)
    left -= common @ (common.T @ left)
    length = np.linalg.norm(left, axis=0)
    flat = length <= 1e-12 * (1 + np.linalg.norm(X, axis=0))
    return np.asarray(np.where(flat, 0.0, left / np.where(flat, 1.0, length)))
