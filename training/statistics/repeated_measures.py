"""Correlations within patients, over their repeated measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
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
    kept, df = repeated(patient)
    pair = np.column_stack([x, y])[kept]
    if course is not None:
        intercepts = np.column_stack([labels[kept, None] == np.unique(labels[kept]) for labels in (patient, course)])
        fitted, _, rank, _ = np.linalg.lstsq(intercepts.astype(float), pair, rcond=None)
        pair, df = pair - intercepts @ fitted, int(kept.sum()) - int(rank) - 1
    if df < 1:
        return Correlation(np.nan, df, np.nan, np.nan, np.nan)
    a, b = _unit(pair, patient[kept]).T
    r = float(np.clip(a @ b, -1, 1))
    p = 2 * float(student.sf(abs(r) * np.sqrt(df / max(1 - r * r, 1e-300)), df))
    half = float(norm.ppf(0.975)) / np.sqrt(df - 1) if df > 1 else np.inf
    middle = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    return Correlation(r, df, float(np.tanh(middle - half)), float(np.tanh(middle + half)), p)


def within_patients(X: Matrix, y: Vector, patient: Patients, *, n: int, seed: int = 0) -> tuple[Vector, Vector]:
    """Return each column's repeated-measures correlation with `y`, and its two-sided permutation p.

    The draws of a patient change places among themselves, never with another patient's: patients are the blocks.

    Parameters
    ----------
    X : ndarray, (n_draws, n_columns)
    y : ndarray, (n_draws,)
    patient : ndarray, (n_draws,)
    n, seed : int
        Permutations, and their seed; every column meets the same ones.

    Returns
    -------
    r, p : ndarray, (n_columns,)
        p counts the observed order among the permutations (Phipson and Smyth 2010, Statistical Applications in Genetics
        and Molecular Biology 9:39). Where a column or `y` does not vary within patients, r is 0 and p is 1.
    """
    kept, _ = repeated(patient)
    X, y, patient = X[kept], y[kept], patient[kept]
    order = np.argsort(patient, kind="stable")
    columns, target = _unit(X, patient)[order], _unit(y[:, None], patient)[order, 0]
    blocks = np.unique(patient[order], return_inverse=True)[1]
    r, rng, beyond = target @ columns, np.random.default_rng(seed), np.zeros(X.shape[1])
    for start in range(0, n, _CHUNK):
        # Sorting random keys that grow with the block shuffles within blocks.
        shuffled = np.argsort(blocks + rng.random((min(_CHUNK, n - start), len(blocks))), axis=1)
        beyond += (np.abs(target[shuffled] @ columns) >= np.abs(r) - 1e-12).sum(axis=0)
    return np.asarray(r), np.asarray((1 + beyond) / (1 + n))


def smallest_seen(df: int, *, tests: int = 1, power: float = POWER) -> float:
    """Return the smallest within-patient correlation that is found with a given power, two-sided at 5% over `tests`.

    By Fisher's z, whose standard error is 1 / sqrt(df - 1) here; 1 where there is no degree of freedom to speak of.
    """
    if df < 2:
        return 1.0
    return float(np.tanh((norm.isf(ALPHA / 2 / tests) + norm.ppf(power)) / np.sqrt(df - 1)))


def repeated(patient: Patients) -> tuple[NDArray[np.bool_], int]:
    """Return which draws are of patients with several, and the degrees of freedom that these leave."""
    _, who, times = np.unique(patient, return_inverse=True, return_counts=True)
    kept = times[who] > 1
    return kept, int(kept.sum()) - int((times > 1).sum()) - 1


def _unit(X: Matrix, patient: Patients) -> Matrix:
    """Return columns centred within patients and scaled to length 1; 0 where nothing varies."""
    _, who = np.unique(patient, return_inverse=True)
    sums = np.zeros((int(who.max(initial=-1)) + 1, X.shape[1]))
    np.add.at(sums, who, X)
    centred = X - (sums / np.bincount(who)[:, None])[who]
    length = np.linalg.norm(centred, axis=0)
    flat = length <= 1e-12 * (1 + np.linalg.norm(X, axis=0))
    return np.asarray(np.where(flat, 0.0, centred / np.where(flat, 1.0, length)))
