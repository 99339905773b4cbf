"""Response and progression of the arms by other analyses: stratified, per protocol, and with donors as clusters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from features.arrays import Labels, Mask, Vector
from features.cohort import Cohort
from features.survival import EVENT
from training.statistics.ancova import adjusted_difference
from training.statistics.hazard_ratio import hazard_ratio
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.log_rank import log_rank
from training.statistics.risk_difference import risk_difference, stratified_risk_difference
from training.study.analysis.arms import donor_clusters
from training.study.analysis.survival import Outcome

Analysis = Literal["as assigned", "stratified", "per protocol", "donors as clusters"]
Estimand = Literal["difference", "hazard ratio"]


@dataclass(frozen=True)
class ArmVariant:
    """One outcome of the arms by one analysis.

    Attributes
    ----------
    analysis : str
    outcome : str
    estimand : str
        "difference" of rates, or "hazard ratio"; the arm with FMT minus, or over, controls.
    n_treated, n_control : int
    estimate : IntervalEstimate
    p : float
    """

    analysis: Analysis
    outcome: str
    estimand: Estimand
    n_treated: int
    n_control: int
    estimate: IntervalEstimate
    p: float

    @property
    def no_effect(self) -> float:
        """The estimate where FMT has no effect."""
        return 0.0 if self.estimand == "difference" else 1.0


def response_variants(
    cohort: Cohort, outcome: str, responds: pd.Series[bool], treated: pd.Series[bool]
) -> list[ArmVariant]:
    """Return the difference of response rates by each analysis that the cohort allows.

    Parameters
    ----------
    cohort : Cohort
    outcome : str
    responds, treated : pandas.Series of bool
        Of each patient with an arm, in one order.
    """
    assignment = cohort.assignment.loc[treated.index]
    event, group = responds.to_numpy(bool), treated.to_numpy(bool)
    variants = []
    for analysis, mask, strata in _analyses(assignment, group):
        members = group[mask]
        n, n_control = int(members.sum()), int((~members).sum())
        if strata is not None:
            result = stratified_risk_difference(event[mask], members, strata)
        else:
            result = risk_difference(int(event[mask][members].sum()), n, int(event[mask][~members].sum()), n_control)
        variants.append(ArmVariant(analysis, outcome, "difference", n, n_control, result.difference, result.p))
    clusters = donor_clusters(cohort)[treated.index].to_numpy().astype(np.intp)
    if len(np.unique(clusters)) < len(clusters):
        adjusted = adjusted_difference(event.astype(float), None, group, clusters)
        counts = int(group.sum()), int((~group).sum())
        variants.append(
            ArmVariant("donors as clusters", outcome, "difference", *counts, adjusted.difference, adjusted.p)
        )
    return variants


def survival_variants(
    cohort: Cohort, outcome: Outcome, times: pd.DataFrame, treated: pd.Series[bool]
) -> list[ArmVariant]:
    """Return the hazard ratio by each analysis that the cohort allows.

    Parameters
    ----------
    cohort : Cohort
    outcome : str
    times : pandas.DataFrame
        `time` in days and `event`, by patient with an arm and a known time.
    treated : pandas.Series of bool
        Of the same patients.
    """
    assignment, group = cohort.assignment.loc[times.index], treated[times.index].to_numpy(bool)
    days, event = times["time"].to_numpy(float), (times["event"] == EVENT).to_numpy()
    return [
        _hazards(analysis, outcome, days[mask], event[mask], group[mask], strata)
        for analysis, mask, strata in _analyses(assignment, group)
    ]


def _hazards(
    analysis: Analysis, outcome: str, days: Vector, event: Mask, group: Mask, strata: Labels | None
) -> ArmVariant:
    estimate, test = hazard_ratio(days, event, group, strata), log_rank(days, event, group, strata)
    return ArmVariant(analysis, outcome, "hazard ratio", int(group.sum()), int((~group).sum()), estimate, test.p)


def _analyses(assignment: pd.DataFrame, group: Mask) -> Iterator[tuple[Analysis, Mask, Labels | None]]:
    """Yield each analysis with its patients, (n_patients,), and their strata, (n_members,), if any."""
    everyone = np.ones(len(group), dtype=bool)
    yield "as assigned", everyone, None
    strata = assignment["stratum"].to_numpy(object)
    if any(len(set(group[strata == name])) > 1 for name in set(strata)) and len(set(strata)) > 1:
        yield "stratified", everyone, strata
    followed = (assignment["per_protocol"] == "yes").to_numpy()
    if not followed.all() and min(group[followed].sum(), (~group[followed]).sum()) > 1:
        yield "per protocol", followed, None
