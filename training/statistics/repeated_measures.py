"""Correlation within patients, over their repeated measurements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import orth
from scipy.stats import norm
from scipy.stats import t as student

from features.arrays import Labels, Mask, Matrix, Vector
from training.statistics.interval_estimate import Z
from training.statistics.significance import ALPHA

POWER = 0.8
"""Probability with which a correlation is shown."""
_CHUNK = 500
"""Permutations that are held in memory at a time."""


@dataclass(frozen=True)
class Correlation:
    """A repeated-measures correlation.

    Attributes
    ----------
    r : float
    df : int
        Measurements less intercepts less 1.
    low, high : float
        95% interval.
    p : float
        Parametric, two-sided.
    """

    r: float
    df: int
    low: float
    high: float
    p: float


def rmcorr(x: Vector, y: Vector, patient: Labels, window: Labels | None = None) -> Correlation:
    """Return the repeated-measures correlation: patients share one slope, and each has an intercept.

    Parameters
    ----------
    x, y : ndarray, (n_measurements,)
        Neither constant within every patient.
    patient : ndarray, (n_measurements,)
        Patients with one measurement are uninformative and dropped.
    window : ndarray, (n_measurements,), optional
        Time window of each measurement. Windows then have intercepts too, which removes the common course: only
        departures from it are correlated.

    References
    ----------
    Bland and Altman 1995, BMJ 310:446; Bakdash and Marusich 2017, Frontiers in Psychology 8:456.
    """
    mask, df = repeatedly_measured(patient)
    course = _common_course(patient[mask], None if window is None else window[mask])
    df -= course.shape[1]
    if df < 1:
        return Correlation(np.nan, df, np.nan, np.nan, np.nan)
    a, b = _unit_residuals(np.column_stack([x, y])[mask], patient[mask], course).T
    r = float(np.clip(a @ b, -1, 1))
    p = 2 * float(student.sf(abs(r) * np.sqrt(df / max(1 - r * r, 1e-300)), df))
    half_width = Z / np.sqrt(df - 1) if df > 1 else np.inf
    z = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    return Correlation(r, df, float(np.tanh(z - half_width)), float(np.tanh(z + half_width)), p)


def rmcorr_permutation_test(
    X: Matrix, y: Vector, patient: Labels, window: Labels | None = None, *, n: int, seed: int = 0
) -> tuple[Vector, Vector]:
    """Return each column's repeated-measures correlation with `y`, and its two-sided permutation p.

    Measurements permute within patients. With windows, the residuals of `y` from the common course permute, and the
    course is removed from each permutation anew (Freedman and Lane).

    Parameters
    ----------
    X : ndarray, (n_measurements, n_columns)
    y : ndarray, (n_measurements,)
    patient : ndarray, (n_measurements,)
    window : ndarray, (n_measurements,), optional
        As `rmcorr` takes it.
    n : int
        Number of permutations, the same for every column.
    seed : int

    Returns
    -------
    r, p : ndarray, (n_columns,)
        p counts the observed order among the permutations. Where a column or `y` does not vary within patients, r is 0
        and p is 1.

    References
    ----------
    Freedman and Lane 1983, Journal of Business and Economic Statistics 1:292-298; Phipson and Smyth 2010, Statistical
    Applications in Genetics and Molecular Biology 9:39, for p.
    """
    mask, _ = repeatedly_measured(patient)
    order = np.flatnonzero(mask)[np.argsort(patient[mask], kind="stable")]
    patient = patient[order]
    course = _common_course(patient, None if window is None else window[order])
    columns = _unit_residuals(X[order], patient, course)
    target = _unit_residuals(y[order, None], patient, course)[:, 0]
    patient_number = np.unique(patient, return_inverse=True)[1]
    r, rng, exceedances = target @ columns, np.random.default_rng(seed), np.zeros(X.shape[1])
    for start in range(0, n, _CHUNK):
        # Sorting each patient's number plus uniform keys shuffles within patients, whose rows are contiguous.
        permuted = target[np.argsort(patient_number + rng.random((min(_CHUNK, n - start), len(patient))), axis=1)]
        norm_beyond_course = np.sqrt(np.maximum(1 - ((permuted @ course) ** 2).sum(axis=1, keepdims=True), 1e-12))
        exceedances += (np.abs(permuted @ columns) >= (np.abs(r) - 1e-12) * norm_beyond_course).sum(axis=0)
    return np.asarray(r), np.asarray((1 + exceedances) / (1 + n))


def detectable_correlation(df: int, *, tests: int = 1) -> float:
    r"""Return the smallest within-patient correlation that a two-sided test at 5% over `tests` detects with 80% power.

    .. math:: \tanh\left( \frac{z_{1 - \alpha / (2 m)} + z_{0.8}}{\sqrt{df - 1}} \right)

    by Fisher's z; 1 with fewer than two degrees of freedom.
    """
    if df < 2:
        return 1.0
    return float(np.tanh((norm.isf(ALPHA / 2 / tests) + norm.ppf(POWER)) / np.sqrt(df - 1)))


def repeatedly_measured(patient: Labels) -> tuple[Mask, int]:
    """Return a mask of the measurements of patients with several, (n_measurements,), and its degrees of freedom."""
    _, code, count = np.unique(patient, return_inverse=True, return_counts=True)
    mask = count[code] > 1
    return mask, int(mask.sum()) - int((count > 1).sum()) - 1


def _centred_within_patients(X: Matrix, patient: Labels) -> Matrix:
    _, code = np.unique(patient, return_inverse=True)
    sums = np.zeros((int(code.max(initial=-1)) + 1, X.shape[1]))
    np.add.at(sums, code, X)
    return np.asarray(X - (sums / np.bincount(code)[:, None])[code])


def _common_course(patient: Labels, window: Labels | None) -> Matrix:
    """Return an orthonormal basis of the window effects within patients, (n_measurements, rank); rank 0 without."""
    if window is None or not len(window):
        return np.empty((len(patient), 0))
    indicators = np.equal.outer(window, np.unique(window)).astype(float)
    return np.asarray(orth(_centred_within_patients(indicators, patient), 1e-9))


def _unit_residuals(X: Matrix, patient: Labels, course: Matrix) -> Matrix:
    """Return columns centred within patients, without the common course, of length 1; 0 where nothing varies."""
    residual = _centred_within_patients(X, patient)
    residual -= course @ (course.T @ residual)
    length = np.linalg.norm(residual, axis=0)
    constant = length <= 1e-12 * (1 + np.linalg.norm(X, axis=0))
    return np.asarray(np.where(constant, 0.0, residual / np.where(constant, 1.0, length)))
