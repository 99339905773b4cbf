"""Calibration of held-out probabilities, centre by centre."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from features.arrays import Matrix, Names, Vector
from training.statistics.interval_estimate import IntervalEstimate, wald_interval
from training.statistics.metrics import brier_score

CONSTANT_SD = 0.01
"""Log-odds whose standard deviation within centres is smaller count as constant, and have no calibration slope."""
SLOPE_SE = 1.0
"""A slope with a larger standard error is uninformative: around the ideal 1 its interval would contain 0 and 2."""


@dataclass(frozen=True)
class CalibrationSummary:
    """Calibration of the probabilities of one centre's patients.

    Attributes
    ----------
    patients, events : int
    prevalence : float
    in_the_large : float
        Prevalence minus mean probability.
    intercept : IntervalEstimate or None
        Calibration intercept: the shift of the log-odds, their slope fixed at 1, that fits the outcomes. None for a
        centre of one class.
    slope : IntervalEstimate or None
        See `calibration_slope`.
    brier_skill : float or None
        See `brier_skill`.
    """

    patients: int
    events: int
    prevalence: float
    in_the_large: float
    intercept: IntervalEstimate | None
    slope: IntervalEstimate | None
    brier_skill: float | None


def calibration_by_centre(y: Vector, probability: Vector, centres: Names) -> dict[str, CalibrationSummary]:
    """Return each centre's calibration.

    Parameters
    ----------
    y, probability : ndarray, (n_samples,)
    centres : ndarray of str, (n_samples,)
    """
    masks = {name: centres == name for name in dict.fromkeys(centres.tolist())}
    return {name: _centre_calibration(y[mask], probability[mask], centres[mask]) for name, mask in masks.items()}


def calibration_slope(y: Vector, probability: Vector, centres: Names) -> IntervalEstimate | None:
    """Return the slope of the outcomes on the log-odds, common to all centres, with a Wald interval.

    Each centre has an intercept of its own.

    Parameters
    ----------
    y, probability : ndarray, (n_samples,)
    centres : ndarray of str, (n_samples,)

    Returns
    -------
    IntervalEstimate or None
        None where no centre has both classes, where log-odds hardly vary within centres (`CONSTANT_SD`), or where the
        standard error is too large (`SLOPE_SE`), as it is when the log-odds separate the classes perfectly.

    References
    ----------
    Cox 1958, Biometrika 45:562-565.
    """
    prevalence = _centre_means(y, centres)
    mixed = (prevalence > 0) & (prevalence < 1)
    y, log_odds, centres = y[mixed], _log_odds(probability[mixed]), centres[mixed]
    centred = log_odds - _centre_means(log_odds, centres)
    if not mixed.any() or centred.std() < CONSTANT_SD:
        return None
    intercepts = centres[:, None] == np.unique(centres)
    slope, error = _logistic_coefficient(y, np.column_stack([centred, intercepts]), np.zeros(len(y)))
    return wald_interval(slope, error) if error <= SLOPE_SE else None


def brier_skill(y: Vector, probability: Vector, centres: Names) -> float | None:
    r"""Return the Brier skill score against the prevalence of each centre, :math:`1 - B / B_{prevalence}`.

    A centre's prevalence is known only after its outcomes are: a model that was trained without the centre may score
    below 0 for that reason alone. Arrays are those of `calibration_slope`.

    Returns
    -------
    float or None
        At most 1; None when every centre has one class, so that the reference score is 0.
    """
    reference = float(brier_score(y, _centre_means(y, centres))[0])
    return 1 - float(brier_score(y, probability)[0]) / reference if reference else None


def _centre_calibration(y: Vector, probability: Vector, centre: Names) -> CalibrationSummary:
    prevalence = float(y.mean())
    intercept = None
    if 0 < prevalence < 1:
        intercept = wald_interval(*_logistic_coefficient(y, np.ones((len(y), 1)), _log_odds(probability)))
    return CalibrationSummary(
        patients=len(y),
        events=int(y.sum()),
        prevalence=prevalence,
        in_the_large=prevalence - float(probability.mean()),
        intercept=intercept,
        slope=calibration_slope(y, probability, centre),
        brier_skill=brier_skill(y, probability, centre),
    )


def _centre_means(values: Vector, centres: Names) -> Vector:
    """Return for each patient the mean over the patients of the same centre, (n_samples,)."""
    _, code = np.unique(centres, return_inverse=True)
    return np.asarray((np.bincount(code, values) / np.bincount(code))[code])


def _log_odds(probability: Vector) -> Vector:
    log_odds: Vector = logit(np.clip(probability, 1e-6, 1 - 1e-6))
    return log_odds


def _logistic_coefficient(y: Vector, design: Matrix, offset: Vector) -> tuple[float, float]:
    """Return the first coefficient of a logistic regression with an offset, and its standard error."""
    # Imported here: statsmodels takes about a second to import.
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

    # Where the classes are separated the fit diverges, which its standard error shows.
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        fit = GLM(y, design, family=Binomial(), offset=offset).fit(tol=1e-10)
    return float(fit.params[0]), float(fit.bse[0])
