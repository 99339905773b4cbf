"""Response, survival and adverse events, compared between the arms with FMT and the controls."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.arrays import Mask, Vector
from features.cohort import Cohort
from features.errors import InputError
from features.manifest import ArmRole
from features.survival import EVENT, survival_exclusion_reason, time_to_event
from training.statistics.hazard_ratio import hazard_ratio
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.log_rank import LogRank, log_rank
from training.statistics.restricted_mean import RestrictedMeanDifference, restricted_mean_difference
from training.statistics.risk_difference import RiskDifference, risk_difference
from training.statistics.significance import ALPHA
from training.study.analysis.adverse_events import treatment_events
from training.study.analysis.arm_variants import ArmVariant, response_variants, survival_variants
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
class Arm:
    """An arm of the trial.

    Attributes
    ----------
    name : str
        As the patients' sheet names it.
    role : str
        What it received, as the manifest states it.
    n : int
        Patients assigned to it.
    """

    name: str
    role: ArmRole
    n: int

    @property
    def is_control(self) -> bool:
        """Whether it received no transplant from a donor."""
        return self.role != "fmt_ici"


@dataclass(frozen=True)
class ArmComparison:
    """The arms with FMT against the controls, as assigned.

    Attributes
    ----------
    arms : tuple of Arm
        Those that have patients, with FMT first.
    n_treated, n_control : int
    unassigned : int
        Patients whose arm is not reported, who are in no comparison.
    randomised : bool
    strata : tuple of str
        Columns by which the assignment was stratified.
    from_assignment : bool
        Whether survival counts from the day of the assignment; else from day 0.
    response : dict of str to RateByArm
        By outcome; empty where no response is known.
    survival : tuple of SurvivalByArm
    adverse_events : dict of int to RateByArm
        Patients with an event of at least a grade, by grade; empty where events are not dated and graded.
    variants : tuple of ArmVariant
        Response and survival by every analysis; empty where the cohort allows but the one of all as assigned.
    """

    arms: tuple[Arm, ...]
    n_treated: int
    n_control: int
    unassigned: int
    randomised: bool
    strata: tuple[str, ...]
    from_assignment: bool
    response: dict[str, RateByArm]
    survival: tuple[SurvivalByArm, ...]
    adverse_events: dict[int, RateByArm]
    variants: tuple[ArmVariant, ...]

    @property
    def outcomes_with_difference(self) -> tuple[str, ...]:
        """Outcomes that differ between arms: the 95% interval excludes no effect, and p is at most 5%."""
        return tuple(outcome for outcome, differs in self._outcomes().items() if differs)

    @property
    def disagreeing_means(self) -> tuple[SurvivalByArm, ...]:
        """Survival whose difference of restricted means, a secondary analysis, disagrees with the primary one."""
        primary = self._outcomes()
        return tuple(
            survival
            for survival in self.survival
            if _is_shown(survival.restricted_mean.difference, 0, survival.restricted_mean.p)
            != primary[survival.outcome]
        )

    @property
    def disagreeing_variants(self) -> tuple[ArmVariant, ...]:
        """Other analyses of an outcome that disagree with the primary one, of all patients as assigned."""
        primary = self._outcomes()
        return tuple(
            variant
            for variant in self.variants
            if variant.analysis != "as assigned"
            and variant.outcome in primary
            and _is_shown(variant.estimate, variant.no_effect, variant.p) != primary[variant.outcome]
        )

    @property
    def outcomes_without_difference(self) -> tuple[str, ...]:
        """Outcomes whose difference between arms was not shown."""
        return tuple(outcome for outcome, differs in self._outcomes().items() if not differs)

    def _outcomes(self) -> dict[str, bool]:
        """Return whether objective response and survival differ between arms, by outcome."""
        rate = self.response.get("objective_response")
        response = (
            {} if rate is None else {"objective_response": _is_shown(rate.difference.difference, 0, rate.difference.p)}
        )
        return response | {
            survival.outcome: _is_shown(survival.hazard_ratio, 1, survival.log_rank.p) for survival in self.survival
        }


def _is_shown(effect: IntervalEstimate, no_effect: float, p: float) -> bool:
    return p <= ALPHA and (effect.low > no_effect or effect.high < no_effect)


def arm_comparison(cohort: Cohort, codes: Codes) -> ArmComparison | None:
    """Return the comparison of arms; None where the manifest's arms do not have two patients on each side."""
    part = cohort.manifest.arms
    if part is None or not has_comparator(cohort):
        return None
    treated = is_treated(cohort)
    treated = treated[treated.index.isin(list(codes))]
    sizes = cohort.arm[treated.index].value_counts()
    arm_list = [Arm(name, role, int(sizes[name])) for name, role in part.roles.items() if name in sizes]
    times_by_outcome = _times(cohort, treated)
    return ArmComparison(
        arms=tuple(sorted(arm_list, key=lambda arm: arm.is_control)),
        n_treated=int(treated.sum()),
        n_control=int((~treated).sum()),
        unassigned=len(codes) - len(treated),
        randomised=part.randomised,
        strata=part.strata,
        from_assignment=part.assigned_on is not None,
        response=_response(cohort, codes, treated),
        survival=tuple(_survival(outcome, times, treated) for outcome, times in times_by_outcome.items()),
        adverse_events=_adverse_events(cohort, treated),
        variants=_variants(cohort, codes, treated, times_by_outcome),
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


def survival_by_arm(outcome: Outcome, days: Vector, event: Mask, treated: Mask) -> SurvivalByArm:
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
    """Return response rates by the first criteria."""
    return {
        outcome: rate_by_arm(responds.to_numpy(), treated.to_numpy())
        for outcome, responds in _responders(cohort, codes, treated).items()
    }


def _responders(cohort: Cohort, codes: Codes, treated: pd.Series[bool]) -> dict[str, pd.Series[bool]]:
    """Return who responded, by outcome; a patient without an assessment counts as one without response."""
    best = best_responses(cohort, codes)
    if not len(best.columns):
        return {}
    responses = best.iloc[:, 0].reindex(treated.index)
    return {outcome: responses.isin(counting) for outcome, counting in RESPONDING.items()}


def _times(cohort: Cohort, treated: pd.Series[bool]) -> dict[Outcome, pd.DataFrame]:
    """Return `time_to_event` from the assignment of the patients whose time is known, where both arms have some."""
    times_by_outcome: dict[Outcome, pd.DataFrame] = {}
    for outcome in OUTCOMES:
        if survival_exclusion_reason(cohort.manifest, cohort.labels, outcome):
            continue
        times = time_to_event(cohort.labels, outcome, pd.Index(treated.index), 0).dropna(subset=["time"])
        day = cohort.assignment["day"][times.index]
        times = times.assign(time=times["time"] - day)
        if (times["time"] < 0).any():
            patient = times.index[times["time"] < 0][0]
            end = times.at[patient, "time"] + day[patient]
            raise InputError(
                f"{cohort.name}: {outcome} of patient {patient!r} ends on day {end:g}, "
                f"before the day of the assignment, {day[patient]:g}; correct one of them in the patients' sheet"
            )
        if treated[times.index].nunique() > 1:
            times_by_outcome[outcome] = times
    return times_by_outcome


def _survival(outcome: Outcome, times: pd.DataFrame, treated: pd.Series[bool]) -> SurvivalByArm:
    days, event = times["time"].to_numpy(float), (times["event"] == EVENT).to_numpy()
    return survival_by_arm(outcome, days, event, treated[times.index].to_numpy())


def _variants(
    cohort: Cohort, codes: Codes, treated: pd.Series[bool], times_by_outcome: dict[Outcome, pd.DataFrame]
) -> tuple[ArmVariant, ...]:
    variants = []
    for outcome, responds in _responders(cohort, codes, treated).items():
        if outcome == "objective_response":
            variants += response_variants(cohort, outcome, responds, treated)
    for name, times in times_by_outcome.items():
        variants += survival_variants(cohort, name, times, treated)
    return tuple(variants) if any(variant.analysis != "as assigned" for variant in variants) else ()


def adverse_events_by_arm(cohort: Cohort, codes: Codes) -> dict[int, RateByArm]:
    """Return rates of patients by worst grade and arm; empty without a control or without dated, graded events."""
    treated = is_treated(cohort)
    treated = treated[treated.index.isin(list(codes))]
    return _adverse_events(cohort, treated) if len(treated) and has_comparator(cohort) else {}


def _adverse_events(cohort: Cohort, treated: pd.Series[bool]) -> dict[int, RateByArm]:
    """Return rates of patients by worst grade; a patient without a recorded event counts as having had none."""
    recorded = treatment_events(cohort)
    if recorded is None:
        return {}
    worst = recorded.rows.groupby("patient")["grade"].max().reindex(treated.index).fillna(0)
    return {grade: rate_by_arm((worst >= grade).to_numpy(), treated.to_numpy()) for grade in GRADES}
