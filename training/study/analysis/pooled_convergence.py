"""Donor-specific convergence of several trials, pooled by random effects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.cohort import Cohort
from features.trajectories import WINDOWS, Window
from models.evidence import RandomEffectsSummary
from training.statistics.distances import bray_curtis
from training.statistics.donor_convergence import DonorConvergence
from training.statistics.interval_estimate import IntervalEstimate, wald_interval
from training.statistics.meta_analysis import heterogeneity_p, random_effects
from training.study.analysis.donor_panel import DonorAbsence, DonorPanel, donor_panel

MIN_RECIPIENTS = 3
"""Fewest recipients of a trial that is pooled."""


@dataclass(frozen=True)
class TrialConvergence:
    """The change of distance to the own donor beyond unrelated donors in one trial.

    Attributes
    ----------
    trial : str
    window : str
        The first window with recipients.
    recipients, donors : int
    estimate : IntervalEstimate
        Mean over recipients, with the normal 95% interval of `standard_error`.
    standard_error : float
        The larger of that between recipients and of the delete-one-donor jackknife, of trials with several donors.
    p, exchanged_p : float
        By exchange of whole donors, and of donors between recipients.
    """

    trial: str
    window: str
    recipients: int
    donors: int
    estimate: IntervalEstimate
    standard_error: float
    p: float
    exchanged_p: float


@dataclass(frozen=True)
class PooledConvergence:
    """The convergence of several trials.

    Attributes
    ----------
    trials : tuple of TrialConvergence
    left_out : dict of str to str
        Trials without an estimate, with the reason.
    pooled : RandomEffectsSummary
    heterogeneity_p : float
        Of Cochran's Q; NaN with fewer than two trials.
    """

    trials: tuple[TrialConvergence, ...]
    left_out: dict[str, str]
    pooled: RandomEffectsSummary
    heterogeneity_p: float

    @property
    def recipients(self) -> int:
        """Recipients of all trials."""
        return sum(trial.recipients for trial in self.trials)


def pooled_convergence(cohorts: Sequence[Cohort], windows: Sequence[Window] = WINDOWS) -> PooledConvergence:
    """Return the random-effects mean of the trials' donor-specific convergence.

    Parameters
    ----------
    cohorts : sequence of Cohort
        Trials without a patient in common.
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    trials, left_out = [], {}
    for cohort in cohorts:
        panel = donor_panel(cohort, windows)
        trial = panel.reason if isinstance(panel, DonorAbsence) else _trial(cohort.name, panel)
        if isinstance(trial, str):
            left_out[cohort.name] = trial
        else:
            trials.append(trial)
    estimates = np.array([trial.estimate.value for trial in trials])
    variances = np.array([trial.standard_error for trial in trials]) ** 2
    q_p = heterogeneity_p(estimates, variances) if len(trials) > 1 else math.nan
    return PooledConvergence(tuple(trials), left_out, random_effects(estimates, variances), q_p)


def _trial(name: str, panel: DonorPanel) -> TrialConvergence | str:
    distances = bray_curtis(panel.stool.proportions)
    for window in panel.stool.windows[1:]:
        changes = panel.changes(distances, window)
        if changes.patients:
            break
    if len(changes.patients) < MIN_RECIPIENTS:
        return f"fewer than {MIN_RECIPIENTS} recipients with stool before and after"
    convergence = changes.contrast()
    error = standard_error(convergence)
    value = convergence.recipient_mean.value
    return TrialConvergence(
        trial=name,
        window=window.name,
        recipients=convergence.n,
        donors=convergence.n_donors,
        estimate=wald_interval(value, error),
        standard_error=error,
        p=convergence.p,
        exchanged_p=convergence.exchanged_p,
    )


def standard_error(convergence: DonorConvergence) -> float:
    """Return the standard error of the mean over recipients.

    The jackknife of two or three donors is itself very uncertain, and may be near 0 by chance; the error between
    recipients is a floor. With one donor it is all there is: it leaves out how donors differ.
    """
    error_between = float(convergence.by_recipient.std(ddof=1) / math.sqrt(convergence.n))
    return float(np.fmax(error_between, convergence.recipient_error))
