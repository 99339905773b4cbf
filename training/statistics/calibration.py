"""Whether left-out probabilities are as high as they say, cohort by cohort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import norm

from training.statistics.arrays import Matrix, Names, Vector
from training.statistics.metrics import Estimate, brier_score, log_loss

Z = float(norm.ppf(0.975))
CONSTANT_SD = 0.01
"""Log-odds whose standard deviation within cohorts is below this are constant: there is no slope to speak of."""
SLOPE_SE = 1.0
"""A slope with a larger standard error is not estimable: were it the ideal 1, its interval would still hold 0 and 2."""


@dataclass(frozen=True)
class CohortCalibration:
    """How far the probabilities of one cohort's patients are from their outcomes.

    Attributes
    ----------
    patients, events : int
    observed, expected : float
        Prevalence, and mean probability.
    in_the_large : float
        Observed minus expected.
    intercept : Estimate or None
        What must be added to the log-odds when their slope is left at 1; None for a cohort of one class.
    slope : Estimate or None
        See `calibration_slope`.
    brier : float
    brier_skill : float or None
        See `brier_skill`.
    """

    patients: int
    events: int
    observed: float
    expected: float
    in_the_large: float
    intercept: Estimate | None
    slope: Estimate | None
    brier: float
    brier_skill: float | None


def calibration_by_cohort(y: Vector, probability: Vector, cohorts: Names) -> dict[str, CohortCalibration]:
    """Return each cohort's calibration.

    Parameters
    ----------
    y, probability : ndarray, (n_samples,)
    cohorts : ndarray of str, (n_samples,)
    """
    rows = {name: cohorts == name for name in dict.fromkeys(cohorts.tolist())}
    return {name: _calibration(y[mine], probability[mine], cohorts[mine]) for name, mine in rows.items()}


def calibration_slope(y: Vector, probability: Vector, cohorts: Names) -> Estimate | None:
    """Return the one slope of the log-odds, with an intercept for each cohort and a Wald interval.

    Returns
    -------
    Estimate or None
        None where it cannot be estimated: no cohort has both classes, log-odds hardly vary within cohorts
        (`CONSTANT_SD`), or the standard error is too large to tell anything (`SLOPE_SE`), as it is when log-odds part
        the classes without a fault.

    References
    ----------
    Cox 1958, Biometrika 45:562-565.
    """
    prevalence = _cohort_means(y, cohorts)
    both = (prevalence > 0) & (prevalence < 1)
    y, log_odds, cohorts = y[both], _log_odds(probability[both]), cohorts[both]
    centred = log_odds - _cohort_means(log_odds, cohorts)
    if not both.any() or centred.std() < CONSTANT_SD:
        return None
    intercepts = cohorts[:, None] == np.unique(cohorts)
    slope, error = _logistic(y, np.column_stack([centred, intercepts]), np.zeros(len(y)))
    return _wald(slope, error) if error <= SLOPE_SE else None


def brier_skill(y: Vector, probability: Vector, cohorts: Names) -> float | None:
    """Return by what share the Brier score is below that of saying each cohort's own prevalence.

    That prevalence is known only afterwards: a model that has never seen the cohort may fall below 0 for it alone.

    Returns
    -------
    float or None
        At most 1; None when every cohort has one class, whose prevalence cannot be bettered.
    """
    reference = float(brier_score(y, _cohort_means(y, cohorts))[0])
    return 1 - float(brier_score(y, probability)[0]) / reference if reference else None


def _calibration(y: Vector, probability: Vector, cohort: Names) -> CohortCalibration:
    observed, expected = float(y.mean()), float(probability.mean())
    one = np.ones((len(y), 1))
    return CohortCalibration(
        patients=len(y),
        events=int(y.sum()),
        observed=observed,
        expected=expected,
        in_the_large=observed - expected,
        intercept=_wald(*_logistic(y, one, _log_odds(probability))) if 0 < observed < 1 else None,
        slope=calibration_slope(y, probability, cohort),
        brier=float(brier_score(y, probability)[0]),
        brier_skill=brier_skill(y, probability, cohort),
    )


def _cohort_means(values: Vector, cohorts: Names) -> Vector:
    """Return for each patient the mean over the patients of the same cohort, (n_samples,)."""
    _, member = np.unique(cohorts, return_inverse=True)
    return np.asarray((np.bincount(member, values) / np.bincount(member))[member])


def _log_odds(probability: Vector) -> Vector:
    found: Vector = logit(np.clip(probability, 1e-6, 1 - 1e-6))
    return found


def _logistic(y: Vector, design: Matrix, offset: Vector) -> tuple[float, float]:
    """Return the first coefficient of a logistic regression and its standard error."""

    def risk(at: Vector) -> Vector:
        return np.asarray(expit(design @ at + offset))

    def information(at: Vector) -> Matrix:
        p = risk(at)
        return np.asarray(design.T * (p * (1 - p)) @ design)

    found = minimize(
        lambda at: float(log_loss(y, design @ at + offset)) * len(y),
        np.zeros(design.shape[1]),
        jac=lambda at: design.T @ (risk(at) - y),
        hess=information,
        method="trust-exact",
        options={"gtol": 1e-6},
    ).x
    return float(found[0]), float(np.sqrt(np.linalg.inv(information(found))[0, 0]))


def _wald(value: float, error: float) -> Estimate:
    return Estimate(value, value - Z * error, value + Z * error)
