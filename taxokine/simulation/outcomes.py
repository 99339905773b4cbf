r"""Simulated outcomes: response, adverse events, progression and death.

Terms :math:`x` are in SDs of the simulated population, at baseline and without measurement noise. Response is Bernoulli
with log-odds :math:`\beta_0 + \beta x`, where :math:`\beta_0` gives the requested marginal rate, nearly (Zeger, Liang
and Albert 1988, Biometrics 44:1049-1060). Adverse events are a Poisson process of rate :math:`\lambda_0 e^{\gamma x}`,
so that the time to the first is exponential (Bender, Augustin and Blettner 2005, Statistics in Medicine 24:1713-1723);
death ends it, progression and the end of treatment do not. Progression and death have constant hazards
:math:`h_p e^{\alpha x}` and :math:`h_d e^{\alpha x}`, so that overall and progression-free survival both have
proportional hazards with the coefficients :math:`\alpha`. One uniform :math:`U_i`, given :math:`x`, orders a patient's
best response, from CR to PD, and the time of progression, :math:`-\ln U_i / (h_p e^{\alpha x})`: the better the
response, the later the progression.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from features.arrays import Mask, Vector
from features.outcomes import DAYS_PER_MONTH
from taxokine.simulation.design import Trial
from taxokine.simulation.patients import Enrolment

TERMS = ("Colitis", "Rash maculo-papular", "Hypothyroidism", "Pneumonitis", "Arthritis", "Fever")
RECORDED = 3
"""Largest number of adverse events recorded of a patient."""


@dataclass(frozen=True)
class Risks:
    """Each patient's linear predictors, (n_patients,) each.

    Attributes
    ----------
    response : ndarray
        Log-odds of response.
    toxicity, survival : ndarray
        Log-rate ratio of adverse events, and log-hazard ratio of progression and of death.
    """

    response: Vector
    toxicity: Vector
    survival: Vector


@dataclass(frozen=True)
class BestResponse:
    """Each patient's best response, (n_patients,) each.

    Attributes
    ----------
    recist : ndarray of str
        CR, PR, SD or PD.
    response_quantile : ndarray
        Uniform on (0, 1), given the log-odds; the best response is a function of it. The smaller, the better the
        response and the later the progression.
    """

    recist: NDArray[np.str_]
    response_quantile: Vector


def risks(trial: Trial, terms: Mapping[str, Vector], treated: Mask) -> Risks:
    """Return the linear predictors from the arm and the standardised terms, (n_patients,) each, by name."""
    causes, n = trial.causes, trial.n_patients
    # The variance of the terms pulls the marginal rate towards a half; the intercept makes up for it.
    attenuation = 16 * math.sqrt(3) / (15 * math.pi)
    stretch = math.sqrt(1 + attenuation**2 * sum(slope**2 for slope in causes.response.values()))
    intercept = logit(np.where(treated, trial.response_rate, trial.control_response_rate)) * stretch
    control_log_hazard = -math.log(trial.hazard_ratio) * ~treated
    return Risks(
        intercept + _linear_predictor(causes.response, terms, n),
        _linear_predictor(causes.toxicity, terms, n),
        control_log_hazard + _linear_predictor(causes.survival, terms, n),
    )


def best_response(rng: np.random.Generator, log_odds: Vector) -> BestResponse:
    """Simulate each patient's best response, and the uniform draw that it is a function of."""
    probability = expit(log_odds)
    responds = rng.random(len(log_odds)) < probability
    depth = rng.random(len(log_odds))
    recist = np.where(responds, np.where(depth < 0.25, "CR", "PR"), np.where(depth < 0.45, "SD", "PD"))
    response_quantile = np.where(responds, probability * depth, probability + (1 - probability) * depth)
    return BestResponse(recist, response_quantile)


def adverse_events(trial: Trial, rng: np.random.Generator, enrolment: Enrolment, log_rate: Vector) -> pd.DataFrame:
    """Return each patient's earliest events; the days of a Poisson process are uniform, given their number."""
    mean_number = -math.log1p(-trial.toxicity_rate) * np.exp(log_rate)
    patient = np.repeat(np.arange(trial.n_patients), rng.poisson(mean_number))
    events = pd.DataFrame(
        {
            "patient": enrolment.ids[patient],
            "term": rng.choice(TERMS, len(patient)),
            "ctcae_grade": rng.choice([1, 2, 3, 4], len(patient), p=trial.grades),
            "day_fmt": rng.integers(1, trial.toxicity_follow_up, size=len(patient), endpoint=True),
        }
    )
    return events.sort_values(["patient", "day_fmt"], kind="stable").groupby("patient").head(RECORDED)


def survival_dates(
    trial: Trial, rng: np.random.Generator, log_hazard: Vector, response_quantile: Vector, severe_event_day: Vector
) -> pd.DataFrame:
    """Return the days of progression, death and the end of treatment, as the patients' sheet has them.

    Parameters
    ----------
    trial : Trial
    rng : numpy.random.Generator
    log_hazard, response_quantile : ndarray, (n_patients,)
        As in `Risks.survival` and `BestResponse`.
    severe_event_day : ndarray, (n_patients,)
        Day of the first severe adverse event, or NaN.
    """
    hazard_ratio = np.exp(log_hazard)
    death_hazard = math.log(2) / trial.median_os
    progression_hazard = math.log(2) / trial.median_pfs - death_hazard
    follow_up = rng.integers(*trial.survival_follow_up, size=trial.n_patients, endpoint=True)
    death_day = np.ceil(rng.exponential(1 / (death_hazard * hazard_ratio)))
    if trial.survival:
        follow_up, death_day = _reported_survival(trial, response_quantile)
    progression_day = np.ceil(-np.log(response_quantile) / (progression_hazard * hazard_ratio))
    os_days = np.minimum(death_day, follow_up)
    pfs_days = np.minimum(progression_day, os_days)
    died, progressed = death_day <= follow_up, progression_day <= os_days
    stop_day = np.fmin(np.minimum(progression_day, trial.planned_treatment), severe_event_day)
    treatment_end = np.minimum(stop_day, os_days).astype(int).astype(str)
    return pd.DataFrame(
        {
            "os_days": os_days.astype(int),
            "died": died.astype(int),
            "pfs_days": pfs_days.astype(int),
            "progressed_or_died": (died | progressed).astype(int),
            "events_recorded_until": np.minimum(trial.toxicity_follow_up, os_days).astype(int),
            "treatment_end": np.where((stop_day <= os_days) | died, treatment_end, ""),
        }
    )


def _reported_survival(trial: Trial, response_quantile: Vector) -> tuple[NDArray[np.int64], Vector]:
    """Return the days of follow-up and of death in `Trial.survival`; the better the response, the longer."""
    months, died = np.array(sorted(trial.survival)).T
    order = np.argsort(np.argsort(-response_quantile))
    follow_up = np.rint(months * DAYS_PER_MONTH).astype(int)[order]
    return follow_up, np.where(died[order] == 1, follow_up, np.inf)


def _linear_predictor(slopes: Mapping[str, float], terms: Mapping[str, Vector], n: int) -> Vector:
    return sum((slope * terms[name] for name, slope in slopes.items()), start=np.zeros(n))
