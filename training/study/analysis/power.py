"""Power of the next trial by simulation, and the number of patients that it needs.

Each effect has one plain test: an exact one, or Student's t test where there are enough patients. Besides the effect as
stated, power is simulated for three quarters of it, since small trials overestimate effects, and for no effect, where
the rejections of a test that keeps its level are as frequent as `alpha`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import numpy as np
import pandas as pd
from scipy.stats import binom, binomtest, norm, rankdata, ttest_1samp

from features.arrays import Mask, Matrix
from models.auroc import auroc_variance
from training.statistics.sign_flip import sign_flip_p_values
from training.study.analysis.power_arms import TWO_ARM_GOALS
from training.study.analysis.trial_design import TrialDesign, TwoArmDesign

_Design = TypeVar("_Design", TrialDesign, TwoArmDesign)
Goals: TypeAlias = Mapping[str, Callable[[_Design, int, float, np.random.Generator], Mask]]

EFFECT_SHARES = {1.0: "as stated", 0.75: "three quarters of it", 0.0: "none"}
"""Shares of the stated effect for which power is simulated, and their names in `PowerResult.curves`."""
MIN_UNITS_FOR_T = 10
"""Independent units from which changes are tested by Student's t; below, by all flips of their signs."""


@dataclass(frozen=True)
class PowerResult:
    """Power curves of a trial design.

    Attributes
    ----------
    design : TrialDesign or TwoArmDesign
    curves : pandas.DataFrame
        `goal`, `effect` (of `EFFECT_SHARES`), `patients`, `power` with its 95% Monte-Carlo interval `low` and `high`.
    required : dict of str to (int or None)
        Patients required, by goal; None where `max_patients` are too few.
    min_units_for_t : int
        `MIN_UNITS_FOR_T`.
    """

    design: TrialDesign | TwoArmDesign
    curves: pd.DataFrame
    required: dict[str, int | None]
    min_units_for_t: int = MIN_UNITS_FOR_T


def power_result(design: TrialDesign | TwoArmDesign, on_goal_done: Callable[[], object] = lambda: None) -> PowerResult:
    """Return how often simulated trials of each size show each effect, and how many patients are required.

    A number of patients is enough where the lower end of its Monte-Carlo interval reaches the required power and where
    no larger simulated number falls below that power: exact tests of counts lose power at some larger numbers.

    Parameters
    ----------
    design : TrialDesign or TwoArmDesign
    on_goal_done : callable
        Called after each of its goals.

    References
    ----------
    Morris, White and Crowther 2019, Statistics in Medicine 38:2074-2102, for Monte-Carlo error.
    """
    if isinstance(design, TwoArmDesign):
        return _power_result(design, TWO_ARM_GOALS, on_goal_done)
    return _power_result(design, GOALS, on_goal_done)


def _power_result(design: _Design, goals: Goals[_Design], on_goal_done: Callable[[], object]) -> PowerResult:
    rows: list[dict[str, str | int | float]] = []
    for goal, stream in zip(goals, np.random.SeedSequence(design.seed).spawn(len(goals)), strict=True):
        for share, substream in zip(EFFECT_SHARES, stream.spawn(len(EFFECT_SHARES)), strict=True):
            rng = np.random.default_rng(substream)
            for n in design.sizes.tolist():
                rejections = int(goals[goal](design, n, share, rng).sum())
                interval = binomtest(rejections, design.simulations).proportion_ci(method="wilson")
                row = {"goal": goal, "effect": EFFECT_SHARES[share], "patients": n}
                power = {"power": rejections / design.simulations, "low": interval.low, "high": interval.high}
                rows.append(row | power)
        on_goal_done()
    curves = pd.DataFrame(rows)
    stated_effect = curves[curves["effect"] == EFFECT_SHARES[1.0]]
    required = {goal: required_patients(stated_effect[stated_effect["goal"] == goal], design.power) for goal in goals}
    return PowerResult(design, curves, required)


def required_patients(curve: pd.DataFrame, power: float) -> int | None:
    """Return the smallest number of patients that reaches a power and keeps it, or None.

    Parameters
    ----------
    curve : pandas.DataFrame
        `patients`, ascending, with `power` and `low`.
    power : float
    """
    insufficient = (curve["power"] < power).to_numpy()
    keeps_power = ~np.logical_or.accumulate(insufficient[::-1])[::-1]
    sufficient = curve["patients"][(curve["low"] >= power).to_numpy() & keeps_power]
    return int(sufficient.iloc[0]) if len(sufficient) else None


def critical_counts(n: int, rate: float, alpha: float) -> tuple[int, int]:
    """Return the largest low count and the smallest high count of n at which the exact binomial test rejects a rate.

    The two-sided test adds up the probabilities of all counts no more likely than the observed one, as
    `scipy.stats.binomtest` does. Where no low count is rejected the first is -1; where no high count is, the second is
    n + 1.
    """
    probability = binom.pmf(np.arange(n + 1), n, rate)
    order = np.argsort(probability)
    # Counts whose probabilities differ only by rounding are equally likely.
    ends = np.searchsorted(probability[order], probability * (1 + 1e-7), side="right")
    rejected = np.flatnonzero(np.cumsum(probability[order])[ends - 1] <= alpha)
    low, high = rejected[rejected < n * rate], rejected[rejected > n * rate]
    return int(low.max(initial=-1)), int(high.min(initial=n + 1))


def _response_rejections(design: TrialDesign, n: int, share: float, rng: np.random.Generator) -> Mask:
    gain = design.response_rate - design.historical_rate
    responders = rng.binomial(n, design.historical_rate + share * gain, design.simulations)
    max_low, min_high = critical_counts(n, design.historical_rate, design.alpha)
    low, high = responders <= max_low, responders >= min_high
    return np.asarray(low | high if share == 0 else (high if gain > 0 else low))


def _auroc_rejections(design: TrialDesign, n: int, share: float, rng: np.random.Generator) -> Mask:
    # Two normal distributions of one SD with this difference of means have this AUROC.
    difference = np.sqrt(2) * norm.ppf(0.5 + share * (design.auroc - 0.5))
    y = rng.random((design.simulations, n)) < design.response_rate
    rank = rankdata(rng.standard_normal(y.shape) + difference * y, axis=1)
    events = y.sum(axis=1)
    non_events = n - events
    defined = (events > 0) & (non_events > 0)
    pairs = np.where(defined, events * non_events, 1)
    auroc = ((rank * y).sum(axis=1) - events * (events + 1) / 2) / pairs
    # The lower end of Newcombe's interval exceeds 0.5 where z does its quantile, with the variance of an AUROC of 0.5.
    sd = np.sqrt(auroc_variance(0.5, np.where(defined, events, 1), np.where(defined, non_events, 1)))
    z = (auroc - 0.5) / sd
    return np.asarray(defined & ((np.abs(z) if share == 0 else z) > norm.isf(design.alpha / 2)))


def _convergence_rejections(design: TrialDesign, n: int, share: float, rng: np.random.Generator) -> Mask:
    n_donors = -(-n // design.per_donor)
    donor = np.arange(n) % n_donors
    patient_part = np.sqrt(1 - design.donor_correlation) * rng.standard_normal((design.simulations, n))
    donor_part = np.sqrt(design.donor_correlation) * rng.standard_normal((design.simulations, n_donors))
    mean = share * design.convergence
    donor_means = (patient_part @ np.eye(n_donors)[donor]) / np.bincount(donor) + donor_part + mean
    return _mean_rejections(donor_means, design.alpha, np.sign(mean))


def _cytokine_rejections(design: TrialDesign, n: int, share: float, rng: np.random.Generator) -> Mask:
    sd = np.hypot(design.between_sd, np.sqrt(2) * design.within_sd)
    mean = share * np.log2(design.fold_change)
    changes = mean + sd * rng.standard_normal((design.simulations, n))
    return _mean_rejections(changes, design.alpha, np.sign(mean))


def _mean_rejections(values: Matrix, alpha: float, direction: float) -> Mask:
    """Return in which simulations the mean of `values`, (n_simulations, n_units), differs from 0.

    A difference counts only in the direction of the effect, or in both where `direction` is 0.
    """
    n, mean = values.shape[1], values.mean(axis=1)
    agrees = mean * direction > 0 if direction else np.ones(len(values), bool)
    p = sign_flip_p_values(values.T) if n < MIN_UNITS_FOR_T else ttest_1samp(values, 0, axis=1).pvalue
    return np.asarray(agrees & (p <= alpha))


GOALS: Goals[TrialDesign] = MappingProxyType(
    {
        "response": _response_rejections,
        "auroc": _auroc_rejections,
        "approach": _convergence_rejections,
        "cytokine": _cytokine_rejections,
    }
)
"""The effects that a trial may show, by name.

``GOALS[name](design, n, share, rng)`` returns which simulated trials of n patients reject the null hypothesis in the
direction of the effect, (n_simulations,), where the true effect is that share of the stated one. Without an effect
either direction counts.
"""
