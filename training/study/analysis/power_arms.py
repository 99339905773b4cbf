"""Power of the next randomised trial, whose patients with FMT share donors.

Outcomes of one donor's recipients correlate, so that each further recipient of the same donors adds less information.
Every test therefore takes donors as clusters, as the report of a trial with arms does: it compares the arms' means with
their CR2 error (`training.statistics.ancova`). The means are of responses, log-rank scores, approaches to the own
donor, or changes of a cytokine.

Each simulated patient has a normal score, and the scores of one donor's recipients correlate by `donor_correlation`.
The score decides who responds, and how late a patient progresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from features.arrays import Mask, Matrix, Positions
from training.statistics.ancova import ClusteredContrast
from training.study.analysis.trial_design import TwoArmDesign


def log_rank_scores(time: Matrix, event: Mask) -> Matrix:
    r"""Return the log-rank scores of simulated trials, :math:`\delta_i - \hat\Lambda(t_i)`, as of `log_rank`.

    Parameters
    ----------
    time : ndarray, (n_trials, n_patients)
        Without ties.
    event : ndarray of bool, (n_trials, n_patients)

    References
    ----------
    Peto and Peto 1972, Journal of the Royal Statistical Society A 135:185-207.
    """
    order = np.argsort(time, axis=1)
    ordered_event = np.take_along_axis(event, order, axis=1)
    hazard = np.cumsum(ordered_event / np.arange(time.shape[1], 0, -1), axis=1)
    scores = np.empty(time.shape)
    np.put_along_axis(scores, order, ordered_event - hazard, axis=1)
    return scores


def _response_rejections(design: TwoArmDesign, n: int, share: float, rng: np.random.Generator) -> Mask:
    treated, score = _patients(design, n, rng)
    gain = design.response_rate - design.control_rate
    rate = np.where(treated, design.control_rate + share * gain, design.control_rate)
    return _rejections(design, (score < norm.ppf(rate)).astype(float), share * gain)


def _survival_rejections(design: TwoArmDesign, n: int, share: float, rng: np.random.Generator) -> Mask:
    treated, score = _patients(design, n, rng)
    log_ratio = share * np.log(design.hazard_ratio)
    hazard = np.log(2) / design.control_median * np.exp(log_ratio * treated)
    progression = -norm.logsf(score) / hazard
    followed = design.follow_up + design.accrual * rng.random(score.shape)
    scores = log_rank_scores(np.minimum(progression, followed), progression <= followed)
    return _rejections(design, scores, log_ratio)


def _approach_rejections(design: TwoArmDesign, n: int, share: float, rng: np.random.Generator) -> Mask:
    treated, score = _patients(design, n, rng)
    mean = share * design.convergence
    return _rejections(design, score + mean * treated, mean)


def _cytokine_rejections(design: TwoArmDesign, n: int, share: float, rng: np.random.Generator) -> Mask:
    treated, score = _patients(design, n, rng)
    mean = share * np.log2(design.fold_change)
    draws = np.sqrt(2) * design.within_sd * rng.standard_normal(score.shape)
    return _rejections(design, design.between_sd * score + draws + mean * treated, mean)


def _patients(design: TwoArmDesign, n: int, rng: np.random.Generator) -> tuple[Mask, Matrix]:
    """Return who receives FMT, (n,), and normal scores that correlate between recipients of a donor, (n_trials, n)."""
    donor = _donor_of_treated(n, design.donors)
    score = rng.standard_normal((design.simulations, n))
    donor_part = rng.standard_normal((design.simulations, design.donors))[:, donor]
    correlation = design.donor_correlation
    score[:, : len(donor)] = np.sqrt(1 - correlation) * score[:, : len(donor)] + np.sqrt(correlation) * donor_part
    return np.arange(n) < len(donor), score


def _donor_of_treated(n: int, donors: int) -> Positions:
    return np.arange(-(-n // 2)) % donors


@lru_cache(maxsize=256)
def _contrast(n: int, donors: int) -> ClusteredContrast:
    """Return the difference of means of the arms; each control is a cluster alone."""
    donor = _donor_of_treated(n, donors)
    group = np.arange(n) < len(donor)
    return ClusteredContrast.of_group(
        np.column_stack([np.ones(n), group]), np.concatenate([donor, donors + np.arange(n - len(donor))])
    )


def _rejections(design: TwoArmDesign, y: Matrix, direction: float) -> Mask:
    """Return in which simulations the arms' means of `y`, (n_trials, n_patients), differ, treated patients first.

    A difference counts only in the direction of the effect, or in both where `direction` is 0.
    """
    contrast = _contrast(y.shape[1], design.donors)
    difference = y @ contrast.weights
    errors, degrees = contrast.errors(y)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * student.sf(np.abs(difference) / errors, degrees)
    agrees = difference * direction > 0 if direction else np.ones(len(y), dtype=bool)
    # Without any variance within arms p is not defined, and the trial shows nothing.
    return np.asarray(agrees & (p <= design.alpha))


TWO_ARM_GOALS: Mapping[str, Callable[[TwoArmDesign, int, float, np.random.Generator], Mask]] = MappingProxyType(
    {
        "response": _response_rejections,
        "survival": _survival_rejections,
        "approach": _approach_rejections,
        "cytokine": _cytokine_rejections,
    }
)
"""The effects that a randomised trial may show, by name, as `training.study.analysis.power.GOALS`."""
