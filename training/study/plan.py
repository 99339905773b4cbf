"""How many patients the next trial needs to show an effect, by simulation, as curves.

Each effect has one plain test: exact, or Student's t where patients are enough. Beside the effect as stated, a curve is
drawn for three quarters of it, since what a small trial suggests is more often too large than too small, and for none,
where a test that keeps its level gives a false alarm in as many trials as `alpha` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, norm, rankdata, t

from features.errors import InputError
from training.drawing import BLUE, PALE, STYLE, VERMILION, WIDTH, written
from training.statistics.auroc_meta_analysis import auroc_variance
from training.statistics.sign_flip import sign_flip_p_values

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]

SHARES = {1.0: "as stated", 0.75: "three quarters of it", 0.0: "none"}
"""Shares of the stated effect for which power is drawn."""
EXACT = 10
"""Independent units below which changes are tested by all flips of their signs, and from which by Student's t."""


@dataclass(frozen=True)
class Plan:
    """What the next trial is to show, and what its patients are assumed to be like.

    Attributes
    ----------
    response_rate, historical_rate : float
        Rate hoped for, and rate known without the treatment, in (0, 1). Also the share of responders for the AUROC.
    auroc : float
        AUROC of a score fixed beforehand, in (0.5, 1), against 0.5.
    approach : float
        Mean approach to the own donor, beyond that to unrelated donors, in SDs of patients' approaches.
    per_donor : int
        Patients that share a donor.
    donor_correlation : float
        Correlation of approaches of patients who share a donor, in [0, 1).
    fold_change : float
        Mean change of a cytokine from baseline, as a ratio of concentrations, above 0.
    between_sd, within_sd : float
        SDs of log2 concentrations: of patients' true changes, and of repeated draws of one patient.
    alpha, power : float
        Two-sided level, and the chance to show the effect that is enough, in (0, 1).
    most : int
        The most patients looked at.
    simulations : int
        Trials for each point.
    seed : int

    Raises
    ------
    InputError
        A parameter is out of its range.
    """

    response_rate: float = 0.4
    historical_rate: float = 0.2
    auroc: float = 0.75
    approach: float = 0.5
    per_donor: int = 2
    donor_correlation: float = 0.2
    fold_change: float = 2.0
    between_sd: float = 0.5
    within_sd: float = 1.0
    alpha: float = 0.05
    power: float = 0.8
    most: int = 200
    simulations: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("response_rate", "historical_rate", "alpha", "power"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a share between 0 and 1")
        if not 0.5 < self.auroc < 1:
            raise InputError(f"auroc is {self.auroc!r}; expected more than 0.5, and below 1")
        if not 0 <= self.donor_correlation < 1:
            raise InputError(f"donor_correlation is {self.donor_correlation!r}; expected 0 or more, and below 1")
        for name, least in {"per_donor": 1, "most": 5, "simulations": 100, "seed": 0}.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected at least {least}")
        if not self.fold_change > 0 or not self.between_sd >= 0 or not self.within_sd > 0:
            raise InputError("expected fold_change and within_sd above 0, and between_sd no less than 0")
        if self.response_rate == self.historical_rate or not self.approach or self.fold_change == 1:
            raise InputError(
                "no number of patients shows an effect of none; expected a response_rate other than historical_rate, "
                "an approach other than 0 and a fold_change other than 1"
            )

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The numbers of patients looked at: each one up to 30, then in steps of 3%."""
        steps = np.rint(np.geomspace(30, max(self.most, 30), max(1, int(np.log(max(self.most, 30) / 30) / 0.03))))
        sizes = np.unique(np.concatenate([np.arange(3, 31), steps.astype(np.int64), [self.most]]))
        return sizes[sizes <= self.most]


@dataclass(frozen=True)
class Goal:
    """One effect that a trial may show.

    Attributes
    ----------
    name, title : str
    effect : str
        The effect in words.
    test : str
        How it is tested, and what is assumed.
    shows : callable
        ``shows(n, share, rng)`` returns which simulated trials of n patients reject the null on the effect's side,
        (n_simulations,), where the effect is that share of the stated one. Where it is none, either side counts.
    """

    name: str
    title: str
    effect: str
    test: str
    shows: Callable[[int, float, np.random.Generator], Flags]


@dataclass(frozen=True)
class Planned:
    """What was found.

    Attributes
    ----------
    curves : pandas.DataFrame
        `goal`, `effect` (of `SHARES`), `patients`, `power` with its 95% Monte-Carlo interval `low` and `high`.
    needed : dict of str to int or None
        Patients by goal; None where the most looked at are too few.
    answers : tuple of str
        In sentences.
    """

    curves: pd.DataFrame
    needed: dict[str, int | None]
    answers: tuple[str, ...]


def goals(plan: Plan) -> tuple[Goal, ...]:
    """Return the effects that a plan asks about."""
    rates = f"a response rate of {plan.response_rate:.0%} where {plan.historical_rate:.0%} is known"
    per_donor = "one patient a donor" if plan.per_donor == 1 else f"{plan.per_donor} patients a donor"
    correlated = "" if plan.per_donor == 1 else f", whose approaches correlate by {plan.donor_correlation:g}"
    flips = f"all flips of signs below {EXACT}, Student's t from {EXACT} on"
    return (
        Goal(
            "response",
            "response rate",
            rates,
            "exact binomial test; the historical rate is taken as known without error",
            lambda n, share, rng: _rate_shown(plan, n, share, rng),
        ),
        Goal(
            "auroc",
            "AUROC",
            f"an AUROC of {plan.auroc:.2f} of a score fixed beforehand, where {plan.response_rate:.0%} respond",
            f"{100 * (1 - plan.alpha):g}% interval of the AUROC (Newcombe 2006, method 5) above 0.5",
            lambda n, share, rng: _auroc_shown(plan, n, share, rng),
        ),
        Goal(
            "approach",
            "approach to the own donor",
            f"an approach to the own donor, beyond unrelated ones, of {plan.approach:g} SD",
            f"donors' means against 0, {per_donor}{correlated}; {flips}",
            lambda n, share, rng: _approach_shown(plan, n, share, rng),
        ),
        Goal(
            "cytokine",
            "cytokine change",
            f"a {plan.fold_change:g}-fold change of one cytokine from baseline",
            f"patients' log2 changes against 0, one draw before and one after, SD {plan.between_sd:g} between "
            f"patients' changes and {plan.within_sd:g} between a patient's draws; {flips}",
            lambda n, share, rng: _cytokine_shown(plan, n, share, rng),
        ),
    )  # fmt: skip


def planned(plan: Plan, done: Callable[[], object] = lambda: None) -> Planned:
    """Return how often simulated trials of each size show each effect, and how many patients are needed.

    A number of patients is enough where the lower end of its Monte-Carlo interval reaches the power asked for and where
    no larger number looked at falls below that power: exact tests of counts lose power at some larger numbers.

    Parameters
    ----------
    plan : Plan
    done : callable
        Called after each goal.

    References
    ----------
    Morris, White and Crowther 2019, Statistics in Medicine 38:2074-2102, for Monte-Carlo error.
    """
    rows: list[dict[str, Any]] = []
    asked = goals(plan)
    for goal, stream in zip(asked, np.random.SeedSequence(plan.seed).spawn(len(asked)), strict=True):
        for share, sub in zip(SHARES, stream.spawn(len(SHARES)), strict=True):
            rng = np.random.default_rng(sub)
            for n in plan.sizes.tolist():
                k = int(goal.shows(n, share, rng).sum())
                ends = binomtest(k, plan.simulations).proportion_ci(method="wilson")
                said = {"goal": goal.name, "effect": SHARES[share], "patients": n, "power": k / plan.simulations}
                rows.append({**said, "low": ends.low, "high": ends.high})
        done()
    curves = pd.DataFrame(rows)
    stated = curves[curves["effect"] == SHARES[1.0]]
    needed = {goal.name: enough(stated[stated["goal"] == goal.name], plan.power) for goal in asked}
    return Planned(curves, needed, tuple(_answer(goal, needed[goal.name], plan) for goal in asked))


def enough(curve: pd.DataFrame, power: float) -> int | None:
    """Return the least number of patients that reaches a power and keeps it, or None.

    Parameters
    ----------
    curve : pandas.DataFrame
        `patients`, rising, with `power` and `low`.
    power : float
    """
    fails = (curve["power"] < power).to_numpy()
    kept = ~np.logical_or.accumulate(fails[::-1])[::-1]
    found = curve["patients"][(curve["low"] >= power).to_numpy() & kept]
    return int(found.iloc[0]) if len(found) else None


def write_plan(folder: Path, plan: Plan, found: Planned) -> None:
    """Write `plan.csv`, `plan.svg` and `plan.png` into a folder, which is made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found.curves.to_csv(folder / "plan.csv", index=False)
        with mpl.rc_context(STYLE):
            written(folder, "plan", _figure(plan, found))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error


def _answer(goal: Goal, needed: int | None, plan: Plan) -> str:
    sized = f"more than {plan.most} patients are needed" if needed is None else f"{needed} patients are needed"
    return (
        f"{sized} to show {goal.effect}, in {plan.power:.0%} of trials at a two-sided level of {plan.alpha:g} "
        f"({goal.test})"
    )


def _rate_shown(plan: Plan, n: int, share: float, rng: np.random.Generator) -> Flags:
    gain = plan.response_rate - plan.historical_rate
    found = rng.binomial(n, plan.historical_rate + share * gain, plan.simulations)
    below, above = critical_counts(n, plan.historical_rate, plan.alpha)
    low, high = found <= below, found >= above
    return np.asarray(low | high if share == 0 else (high if gain > 0 else low))


def critical_counts(n: int, rate: float, alpha: float) -> tuple[int, int]:
    """Return the counts of n up to which, and from which on, the exact two-sided binomial test rejects a rate.

    The test adds up the chances of all counts no more likely than the one found, as `scipy.stats.binomtest` does. A
    side on which nothing can be rejected has a count that cannot be found, -1 or n + 1.
    """
    chance = binom.pmf(np.arange(n + 1), n, rate)
    order = np.argsort(chance)
    # Counts equally likely but for rounding enter together.
    ends = np.searchsorted(chance[order], chance * (1 + 1e-7), side="right")
    rejected = np.flatnonzero(np.cumsum(chance[order])[ends - 1] <= alpha)
    low, high = rejected[rejected < n * rate], rejected[rejected > n * rate]
    return int(low.max(initial=-1)), int(high.min(initial=n + 1))


def _auroc_shown(plan: Plan, n: int, share: float, rng: np.random.Generator) -> Flags:
    # Two normal distributions of one SD so far apart have this AUROC.
    apart = np.sqrt(2) * norm.ppf(0.5 + share * (plan.auroc - 0.5))
    y = rng.random((plan.simulations, n)) < plan.response_rate
    rank = rankdata(rng.standard_normal(y.shape) + apart * y, axis=1)
    events = y.sum(axis=1)
    others = n - events
    both = (events > 0) & (others > 0)
    pairs = np.where(both, events * others, 1)
    area = ((rank * y).sum(axis=1) - events * (events + 1) / 2) / pairs
    # The interval's lower end passes 0.5 where 0.5, with the variance that it would have, is rejected.
    sd = np.sqrt(auroc_variance(0.5, np.where(both, events, 1), np.where(both, others, 1)))
    away = (area - 0.5) / sd
    return np.asarray(both & ((np.abs(away) if share == 0 else away) > norm.isf(plan.alpha / 2)))


def _approach_shown(plan: Plan, n: int, share: float, rng: np.random.Generator) -> Flags:
    donors = -(-n // plan.per_donor)
    donor = np.arange(n) % donors
    own = np.sqrt(1 - plan.donor_correlation) * rng.standard_normal((plan.simulations, n))
    shared = np.sqrt(plan.donor_correlation) * rng.standard_normal((plan.simulations, donors))
    means = (own @ np.eye(donors)[donor]) / np.bincount(donor) + shared + share * plan.approach
    return _mean_shown(means, plan.alpha, np.sign(share * plan.approach))


def _cytokine_shown(plan: Plan, n: int, share: float, rng: np.random.Generator) -> Flags:
    sd = np.hypot(plan.between_sd, np.sqrt(2) * plan.within_sd)
    change = share * np.log2(plan.fold_change)
    return _mean_shown(change + sd * rng.standard_normal((plan.simulations, n)), plan.alpha, np.sign(change))


def _mean_shown(values: Matrix, alpha: float, side: float) -> Flags:
    """Return where a mean differs from 0, towards a side if it is not 0; values (n_simulations, n_units)."""
    n, mean = values.shape[1], values.mean(axis=1)
    towards = mean * side > 0 if side else np.ones(len(values), bool)
    return towards & (sign_flip_p_values(values.T) <= alpha if n < EXACT else _t_p(values) <= alpha)


def _t_p(values: Matrix) -> Matrix:
    n = values.shape[1]
    return np.asarray(2 * t.sf(np.abs(values.mean(axis=1)) / (values.std(axis=1, ddof=1) / np.sqrt(n)), n - 1))


def _figure(plan: Plan, found: Planned) -> Figure:
    figure = Figure(figsize=(WIDTH, 5.6), layout="constrained")
    panels: Sequence[Any] = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    colours = dict(zip(SHARES.values(), (BLUE, VERMILION, PALE), strict=True))
    for goal, axes in zip(goals(plan), panels, strict=True):
        axes.axhline(plan.power, color=PALE, linewidth=0.6, linestyle="--")
        for effect, colour in colours.items():
            one = found.curves[(found.curves["goal"] == goal.name) & (found.curves["effect"] == effect)]
            axes.fill_between(one["patients"], one["low"], one["high"], color=colour, alpha=0.25, linewidth=0)
            axes.plot(one["patients"], one["power"], color=colour, linewidth=1.2, label=effect)
        needed = found.needed[goal.name]
        if needed is not None:
            axes.axvline(needed, color=BLUE, linewidth=0.6, linestyle=":")
        told = f"more than {plan.most}" if needed is None else str(needed)
        axes.set_title(f"{goal.title}: {told} patients", loc="left")
    panels[0].set(ylim=(0, 1.02), xlim=(0, plan.most))
    panels[0].legend(title="effect", alignment="left", loc="center right")
    for axes in panels[2:]:
        axes.set_xlabel("patients")
    for axes in panels[::2]:
        axes.set_ylabel("trials that show the effect")
    return figure
