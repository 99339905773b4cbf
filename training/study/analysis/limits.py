"""Limits of a cohort: what no analysis of it can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from features.audit import Finding
from features.cohort import Cohort
from features.outcomes import RESPONSES
from features.trajectories import trajectories
from training.study.analysis.arms import compares_arms, has_comparator, has_several_arms
from training.study.analysis.rates import exact_rate
from training.study.codes import patient_codes

MIN_FOR_P = 20
"""Patients, or events of survival, from which on the report's opening states a p-value or what is significant.

Of fewer, a p-value tells the size of the study rather than that of an effect.
"""


def states_p(n: int) -> bool:
    """Return whether the report's opening states p-values of so many patients, or of so many events of survival."""
    return n >= MIN_FOR_P


@dataclass(frozen=True)
class CohortLimits:
    """The properties of a cohort that limit what any analysis of it can show.

    Attributes
    ----------
    min_for_p : int
        `MIN_FOR_P`, which sentences state.
    simulated : bool
    has_several_arms, has_comparator, compares_arms : bool
        As of `training.study.analysis.arms`.
    has_transplants : bool
        Whether patients received FMT.
    has_response, has_survival : bool
        Whether response and survival are known.
    serial : tuple of str
        Of "cytokines" and "stool", those of which a patient has several samples, so that changes can be seen.
    single : tuple of str
        Those of which each patient has one sample at most.
    n : int
        Patients.
    n_assessed : int
        Patients whose response is known, or whose survival is; of the outcome that is known of most.
    audit_errors : int
        Findings of the audit that make a result wrong.
    """

    min_for_p: ClassVar[int] = MIN_FOR_P

    simulated: bool
    has_several_arms: bool
    has_comparator: bool
    compares_arms: bool
    has_transplants: bool
    has_response: bool
    has_survival: bool
    serial: tuple[str, ...]
    single: tuple[str, ...]
    n: int
    n_assessed: int
    audit_errors: int

    @property
    def least_exact_p(self) -> float:
        """The smallest p-value of an exact two-sided sign-flip test of n changes."""
        return float(2.0 ** (1 - self.n))

    @property
    def has_outcomes(self) -> bool:
        """Whether survival or response is known."""
        return self.has_response or self.has_survival

    @property
    def interval_reach(self) -> float:
        """How far from a rate its exact 95% interval reaches among the assessed patients, at most."""
        n = max(self.n_assessed, 1)
        rates = [exact_rate(events, n) for events in range(n + 1)]
        return max(max(rate.high - rate.value, rate.value - rate.low) for rate in rates)


def cohort_limits(cohort: Cohort, findings: Sequence[Finding] = ()) -> CohortLimits:
    """Return the limits of a cohort; `findings` are those of its audit."""
    is_serial = _serial_by_kind(cohort)
    transplants = not cohort.donor_samples.empty or not cohort.course.transplants.empty
    return CohortLimits(
        simulated=cohort.manifest.simulated,
        has_several_arms=has_several_arms(cohort),
        has_comparator=has_comparator(cohort),
        compares_arms=compares_arms(cohort),
        has_transplants=transplants or cohort.manifest.clock.name == "day_fmt",
        has_response=bool(cohort.labels.label_by_outcome.keys() & set(RESPONSES)),
        has_survival=cohort.labels.dates is not None,
        serial=tuple(kind for kind, serial in is_serial.items() if serial),
        single=tuple(kind for kind, serial in is_serial.items() if not serial),
        n=len(patient_codes(cohort)),
        n_assessed=_n_assessed(cohort),
        audit_errors=sum(finding.severity == "error" for finding in findings),
    )


def _serial_by_kind(cohort: Cohort) -> dict[str, bool]:
    """Return whether a patient has several blood draws, and several stool samples, where there are any."""
    kinds = dict[str, bool]()
    if cohort.immune is not None and len(cohort.immune.rows):
        course = trajectories(cohort)
        draws = None if course is None else course.rows[["patient", "time"]].drop_duplicates()
        kinds["cytokines"] = draws is not None and bool(draws["patient"].duplicated().any())
    stool = cohort.samples.loc[~cohort.samples["donor"], "patient"]
    if len(stool):
        kinds["stool"] = bool(stool.duplicated().any())
    return kinds


def _n_assessed(cohort: Cohort) -> int:
    counts = [
        int(flag.notna().sum()) for outcome, flag in cohort.labels.label_by_outcome.items() if outcome in RESPONSES
    ]
    dates = cohort.labels.dates
    return max([*counts, *([] if dates is None else [len(dates.dropna(how="all"))])], default=0)
