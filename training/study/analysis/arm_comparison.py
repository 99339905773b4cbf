"""Response, survival and adverse events, compared between the arms with FMT and the controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.arrays import Mask
from features.cohort import Cohort
from features.survival import EVENT, survival_exclusion_reason, time_to_event
from training.statistics.hazard_ratio import hazard_ratio
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.log_rank import LogRank, log_rank
from training.statistics.restricted_mean import RestrictedMeanDifference, restricted_mean_difference
from training.statistics.risk_difference import RiskDifference, risk_difference
from training.study.analysis.adverse_events import treatment_events
from training.study.analysis.arms import has_comparator, is_treated
from training.study.analysis.rates import ExactRate, exact_rate
from training.study.analysis.response import RECIST, best_responses
from training.study.analysis.survival import OUTCOMES, Outcome, OutcomeSurvival, outcome_survival
from training.study.codes import Codes

RESPONDING = {"objective_response": RECIST[:2], "disease_control": RECIST[:3]}
GRADES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class RateByArm:
    """The share of patients with an event in each arm, of all patients assigned to it.

    Attributes
    ----------
    treated, control : ExactRate
    difference : RiskDifference
        Treated minus control.
    """

    treated: ExactRate
    control: ExactRate
    difference: RiskDifference


@dataclass(frozen=True)
class SurvivalByArm:
    """Survival of each arm, of the patients whose time is known.

    Attributes
    ----------
    outcome : str
    treated, control : OutcomeSurvival
    hazard_ratio : IntervalEstimate
        Treated over control; NaN where an arm has no event.
    log_rank : LogRank
    restricted_mean : RestrictedMeanDifference
        Treated minus control, in days.
    """

    outcome: Outcome
    treated: OutcomeSurvival
    control: OutcomeSurvival
    hazard_ratio: IntervalEstimate
    log_rank: LogRank
    restricted_mean: RestrictedMeanDifference


@dataclass(frozen=True)
class ArmComparison:
    """The arms with FMT against the controls, as assigned.

    Attributes
    ----------
    treated_names, control_names : tuple of str
        Arms of each side, as the patients' sheet names them.
    n_treated, n_control : int
    unassigned : int
        Patients whose arm is not reported, who are in no comparison.
    randomised : bool
    response : dict of str to RateByArm
        By outcome; empty where no response is known.
    survival : tuple of SurvivalByArm
    adverse_events : dict of int to RateByArm
        Patients with an event of at least a grade, by grade; empty where events are not dated and graded.
    """

    treated_names: tuple[str, ...]
    control_names: tuple[str, ...]
    n_treated: int
    n_control: int
    unassigned: int
    randomised: bool
    response: dict[str, RateByArm]
    survival: tuple[SurvivalByArm, ...]
    adverse_events: dict[int, RateByArm]


def arm_comparison(cohort: Cohort, codes: Codes) -> ArmComparison | None:
    """Return the comparison of arms; None where the manifest's arms do not have two patients on each side."""
    part = None if cohort.manifest.patients is None else cohort.manifest.patients.arms
    if part is None or not has_comparator(cohort):
        return None
    treated = is_treated(cohort)
    treated = treated[treated.index.isin(list(codes))]
    return ArmComparison(
        treated_names=tuple(name for name, role in part.roles.items() if role == "fmt_ici"),
        control_names=tuple(name for name, role in part.roles.items() if role != "fmt_ici"),
        n_treated=int(treated.sum()),
        n_control=int((~treated).sum()),
        unassigned=len(codes) - len(treated),
        randomised=part.randomised,
        response=_response(cohort, codes, treated),
        survival=tuple(_survival(cohort, treated)),
        adverse_events=_adverse_events(cohort, treated),
    )


def rate_by_arm(has_event: Mask, treated: Mask) -> RateByArm:
    """Return the shares of patients with an event, (n_patients,) both, and their difference."""
    events, n = int(has_event[treated].sum()), int(treated.sum())
    control_events, control_n = int(has_event[~treated].sum()), int((~treated).sum())
    return RateByArm(
        exact_rate(events, n),
        exact_rate(control_events, control_n),
        risk_difference(events, n, control_events, control_n),
    )


def survival_by_arm(outcome: Outcome, days: NDArray[np.float64], event: Mask, treated: Mask) -> SurvivalByArm:
    """Return survival of each arm and its comparison; arrays (n_patients,)."""
    return SurvivalByArm(
        outcome=outcome,
        treated=outcome_survival(outcome, days[treated], event[treated]),
        control=outcome_survival(outcome, days[~treated], event[~treated]),
        hazard_ratio=hazard_ratio(days, event, treated),
        log_rank=log_rank(days, event, treated),
        restricted_mean=restricted_mean_difference(days, event, treated),
    )


def _response(cohort: Cohort, codes: Codes, treated: pd.Series[bool]) -> dict[str, RateByArm]:
    """Return response rates by the first criteria; a patient without an assessment counts as one without response."""
    best = best_responses(cohort, codes)
    if not len(best.columns):
        return {}
    responses = best.iloc[:, 0].reindex(treated.index)
    return {
        outcome: rate_by_arm(responses.isin(counting).to_numpy(), treated.to_numpy())
        for outcome, counting in RESPONDING.items()
    }


def _survival(cohort: Cohort, treated: pd.Series[bool]) -> list[SurvivalByArm]:
    comparisons = []
    for outcome in OUTCOMES:
        if survival_exclusion_reason(cohort.manifest, cohort.labels, outcome):
            continue
        times = time_to_event(cohort.labels, outcome, pd.Index(treated.index), 0).dropna(subset=["time"])
        is_treated_patient = treated[times.index].to_numpy()
        if is_treated_patient.any() and not is_treated_patient.all():
            days, event = times["time"].to_numpy(float), (times["event"] == EVENT).to_numpy()
            comparisons.append(survival_by_arm(outcome, days, event, is_treated_patient))
    return comparisons


def _adverse_events(cohort: Cohort, treated: pd.Series[bool]) -> dict[int, RateByArm]:
    """Return rates of patients by worst grade; a patient without a recorded event counts as having had none."""
    recorded = treatment_events(cohort)
    if recorded is None:
        return {}
    worst = recorded.rows.groupby("patient")["grade"].max().reindex(treated.index).fillna(0)
    return {grade: rate_by_arm((worst >= grade).to_numpy(), treated.to_numpy()) for grade in GRADES}
