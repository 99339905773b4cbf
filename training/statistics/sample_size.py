"""Sample sizes: how many patients a model needs, and which differences the available patients can show."""

from __future__ import annotations

from math import ceil, exp, log, sqrt

import numpy as np
from scipy.special import logit
from scipy.stats import norm

from features.arrays import Vector
from models.evidence import SampleSize
from training.statistics.interval_estimate import Z

SHRINKAGE = 0.9
MARGIN = 0.05
"""Largest optimism of R², as a share of the largest possible R², and largest error of the overall risk."""


def largest_r2(prevalence: float) -> float:
    r"""Return the largest Cox-Snell R² of a binary outcome, :math:`1 - [\phi^\phi (1 - \phi)^{1 - \phi}]^2`.

    Parameters
    ----------
    prevalence : float
        :math:`\phi`, between 0 and 1, both excluded.
    """
    return 1 - exp(2 * _null_log_likelihood(prevalence))


def r2_of_auroc(area: float, prevalence: float) -> float:
    """Return the Cox-Snell R² of a calibrated model with an AUROC of `area`, whose log-odds are normal.

    The paper simulates the likelihood; here it is integrated by Gauss-Hermite quadrature. An AUROC below 0.5 counts as
    0.5, with an R² of 0.

    References
    ----------
    Riley, Van Calster and Collins 2021, Statistics in Medicine 40:859-864.
    """
    if area <= 0.5:
        return 0.0
    shift = sqrt(2) * float(norm.ppf(area))
    x, weight = np.polynomial.hermite_e.hermegauss(64)

    def log_odds(score: Vector) -> Vector:
        return np.asarray(logit(prevalence) + shift * score - shift**2 / 2)

    loss = prevalence * np.logaddexp(0, -log_odds(x + shift)) + (1 - prevalence) * np.logaddexp(0, log_odds(x))
    log_likelihood_gain = -float(weight @ loss / weight.sum()) - _null_log_likelihood(prevalence)
    return 1 - exp(-2 * log_likelihood_gain)


def development_size(patients: int, events: int, parameters: int, r2: float) -> SampleSize:
    """Return the sample size that Riley's three criteria ask of a model of a binary outcome.

    The criteria are a shrinkage factor of at least 0.9, an optimism of R² of at most 0.05 of the largest possible R²,
    and an overall risk estimated within 0.05.

    Parameters
    ----------
    patients, events : int
        Available patients, and events among them: at least one, and not all.
    parameters : int
        Candidate predictor parameters, before any selection.
    r2 : float
        Expected Cox-Snell R², for instance `r2_of_auroc`.

    References
    ----------
    Riley et al. 2019, Statistics in Medicine 38:1276-1296; Riley et al. 2020, BMJ 368:m441.
    """
    prevalence = events / patients
    per_parameter = {
        "shrinkage": _patients_per_parameter(r2, SHRINKAGE),
        "optimism": _patients_per_parameter(r2, r2 / (r2 + MARGIN * largest_r2(prevalence))),
    }
    needed = {name: None if ratio is None else ceil(parameters * ratio) for name, ratio in per_parameter.items()}
    risk = ceil((Z / MARGIN) ** 2 * prevalence * (1 - prevalence))
    needed["risk"] = risk
    criterion = max(needed, key=lambda name: (needed[name] is None, needed[name] or 0))
    largest = needed[criterion]
    affordable = min(0 if ratio is None else int(patients / ratio) for ratio in per_parameter.values())
    return SampleSize(
        patients=patients,
        parameters=parameters,
        needed=largest,
        events_needed=None if largest is None else ceil(largest * prevalence),
        criterion=criterion,
        parameters_affordable=0 if patients < risk else affordable,
    )


def detectable_difference(n1: int, n2: int, sd1: float, sd2: float, power: float = 0.8) -> float:
    r"""Return the difference of two means that a two-sided z-test at 5% detects with a given power.

    .. math:: (z_{0.975} + z_{power}) \sqrt{s_1^2 / n_1 + s_2^2 / n_2}

    Parameters
    ----------
    n1, n2 : int
        Patients in each group.
    sd1, sd2 : float
        Standard deviations of the quantity that is averaged, such as the patients' squared errors of a Brier score.
    power : float
    """
    return (Z + float(norm.ppf(power))) * sqrt(sd1**2 / n1 + sd2**2 / n2)


def _null_log_likelihood(prevalence: float) -> float:
    """Return the log-likelihood per patient of a model that predicts the prevalence."""
    return prevalence * log(prevalence) + (1 - prevalence) * log(1 - prevalence)


def _patients_per_parameter(r2: float, shrinkage: float) -> float | None:
    r"""Return :math:`1 / [(S - 1) \ln(1 - R^2 / S)]`, the patients per parameter that keep the shrinkage at S.

    None where R² is 0.
    """
    return 1 / ((shrinkage - 1) * log(1 - r2 / shrinkage)) if r2 else None
