"""Limits of a cohort: what no analysis of it can show."""

from __future__ import annotations

from dataclasses import dataclass

from features.cohort import Cohort
from features.outcomes import RESPONSES
from training.study.analysis.arms import has_comparator, has_several_arms
from training.study.codes import patient_codes


@dataclass(frozen=True)
class CohortLimits:
    """The properties of a cohort that limit what any analysis of it can show.

    Attributes
    ----------
    simulated : bool
    has_several_arms, has_comparator : bool
        As of `training.study.analysis.arms`.
    has_transplants : bool
        Whether patients received FMT.
    has_outcomes : bool
        Whether survival or response is known.
    n : int
        Patients.
    """

    simulated: bool
    has_several_arms: bool
    has_comparator: bool
    has_transplants: bool
    has_outcomes: bool
    n: int

    @property
    def least_exact_p(self) -> float:
        """The smallest p-value of an exact two-sided sign-flip test of n changes."""
        return float(2.0 ** (1 - self.n))


def cohort_limits(cohort: Cohort) -> CohortLimits:
    """Return the limits of a cohort."""
    transplants = not cohort.donor_samples.empty or not cohort.course.transplants.empty
    return CohortLimits(
        simulated=cohort.manifest.simulated,
        has_several_arms=has_several_arms(cohort),
        has_comparator=has_comparator(cohort),
        has_transplants=transplants or cohort.manifest.clock.name == "day_fmt",
        has_outcomes=cohort.labels.dates is not None or bool(cohort.labels.label_by_outcome.keys() & set(RESPONSES)),
        n=len(patient_codes(cohort)),
    )
