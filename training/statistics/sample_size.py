"""How many patients a claim needs, and what the patients at hand could have shown."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, log, sqrt

import numpy as np
from scipy.special import logit
from scipy.stats import norm

from training.statistics.arrays import Vector

SHRINKAGE = 0.9
MARGIN = 0.05
"""By how much R² may be optimistic, as a share of the largest possible, and how exact the overall risk must be."""
Z = float(norm.ppf(0.975))


@dataclass(frozen=True)
class DevelopmentSize:
    """The patients a model needs before it can be fitted without much overfitting, beside those it had.

    Attributes
    ----------
    patients, parameters : int
        Had: patients, candidate predictor parameters.
    needed, events_needed : int or None
        By all three criteria; None where no number is enough, since no effect is expected.
    criterion : str
        The one that asks for most.
    affordable : int
        The parameters that the patients at hand could carry.
    """

    patients: int
    parameters: int
    needed: int | None
    events_needed: int | None
    criterion: str
    affordable: int


def largest_r2(prevalence: float) -> float:
    """Return the largest Cox and Snell R² that a binary outcome of this prevalence, within 0 and 1, allows."""
    return 1 - exp(2 * _null_log_likelihood(prevalence))


def r2_of_auroc(area: float, prevalence: float) -> float:
    """Return the Cox and Snell R² of a calibrated model whose log-odds are normal and whose AUROC is `area`.

    Its likelihood is integrated, where the paper simulates it. No AUROC below 0.5 is expected of a model: it counts as
    0.5, and R² is 0.

    References
    ----------
    Riley, Van Calster and Collins 2021, Statistics in Medicine 40:859-864.
    """
    if area <= 0.5:
        return 0.0
    shift = sqrt(2) * float(norm.ppf(area))
    x, weight = np.polynomial.hermite_e.hermegauss(64)

    def log_odds(at: Vector) -> Vector:
        return np.asarray(logit(prevalence) + shift * at - shift**2 / 2)

    surprise = prevalence * np.logaddexp(0, -log_odds(x + shift)) + (1 - prevalence) * np.logaddexp(0, log_odds(x))
    gained = -float(weight @ surprise / weight.sum()) - _null_log_likelihood(prevalence)
    return 1 - exp(-2 * gained)


def development_size(patients: int, events: int, parameters: int, r2: float) -> DevelopmentSize:
    """Return Riley's criteria for developing a model of a binary outcome.

    A shrinkage of at least 0.9; an R² that is optimistic by at most 0.05 of the largest possible; an overall risk known
    within 0.05.

    Parameters
    ----------
    patients, events : int
        Patients at hand, and events among them: at least one, and not all.
    parameters : int
        Candidate predictor parameters, before any selection.
    r2 : float
        The Cox and Snell R² expected, for instance `r2_of_auroc`.

    References
    ----------
    Riley et al. 2019, Statistics in Medicine 38:1276-1296; Riley et al. 2020, BMJ 368:m441.
    """
    prevalence = events / patients
    largest = largest_r2(prevalence)
    per_parameter = {
        "shrinkage": _patients_per_parameter(r2, SHRINKAGE),
        "optimism": _patients_per_parameter(r2, r2 / (r2 + MARGIN * largest)),
    }
    risk = ceil((Z / MARGIN) ** 2 * prevalence * (1 - prevalence))
    asked = {name: None if each is None else ceil(parameters * each) for name, each in per_parameter.items()}
    asked["risk"] = risk
    criterion = max(asked, key=lambda name: (asked[name] is None, asked[name] or 0))
    needed = asked[criterion]
    return DevelopmentSize(
        patients,
        parameters,
        needed,
        None if needed is None else ceil(needed * prevalence),
        criterion,
        0 if patients < risk else min(0 if each is None else int(patients / each) for each in per_parameter.values()),
    )


def detectable_difference(n1: int, n2: int, sd1: float, sd2: float, power: float = 0.8) -> float:
    """Return the difference of two groups' means that a two-sided test at 5% sees with this power.

    Parameters
    ----------
    n1, n2 : int
        Patients in each group.
    sd1, sd2 : float
        Standard deviations of what is averaged, such as each patient's squared error for the Brier score.
    power : float
    """
    return (Z + float(norm.ppf(power))) * sqrt(sd1**2 / n1 + sd2**2 / n2)


def _null_log_likelihood(prevalence: float) -> float:
    """Return the log-likelihood per patient of saying the prevalence."""
    return prevalence * log(prevalence) + (1 - prevalence) * log(1 - prevalence)


def _patients_per_parameter(r2: float, shrinkage: float) -> float | None:
    """Return the patients for each parameter at which a model of this R² is shrunk no further; None when R² is 0."""
    return 1 / ((shrinkage - 1) * log(1 - r2 / shrinkage)) if r2 else None
