"""Performance of a registered model on a cohort that it had not seen: validated elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from models.evidence.estimates import FEWEST_OF_A_CLASS, Documented, Estimate, EventRate, StoredRecord
from models.evidence.performance import CentreDecisionCurve


@dataclass(frozen=True)
class AbstentionReason(Documented):
    """Patients without a prediction by the rule that led to it; one patient may count for several rules."""

    rule: str
    """Name of the rule of the applicability domain, such as coverage."""
    patients: int
    """Patients."""


@dataclass(frozen=True)
class ExternalCentrePerformance(Documented):
    """Performance in one centre of the cohort."""

    centre: str
    """Name of the centre."""
    patients: int
    """Predicted patients."""
    events: int
    """Of these patients, those who had the outcome."""
    auroc: Estimate
    """AUROC of the served probability; null in a centre of one class."""
    brier: Estimate
    """Brier score of the served probability."""
    prevalence_brier: float
    """Brier score of predicting the centre's own prevalence."""


@dataclass(frozen=True)
class Recalibration(Documented):
    """Recalibration in the large: the log-odds of all patients shifted so that the mean probability is the prevalence.

    The registered model is not changed.
    """

    shift: Estimate
    """What is added to the log-odds, fitted to all predicted patients."""
    brier: Estimate
    """Brier score after it; each patient's shift is fitted to the other patients."""
    brier_difference: Estimate
    """That Brier score minus that of the prevalence, each patient's by the other patients too."""


@dataclass(frozen=True)
class ExternalPerformance(Documented):
    """Performance of the served probability among the patients with a prediction.

    Intervals are of the patients: the model is fixed.
    """

    outcomes: EventRate
    """Outcomes of the predicted patients; their rate is the cohort's own prevalence."""
    distinct_probabilities: int
    """Different probabilities among them; 1 where the model cannot tell patients apart."""
    auroc: Estimate
    """AUROC, ties counting half; patients are ranked within centres."""
    brier: Estimate
    """Brier score."""
    prevalence_brier: float
    """Brier score of predicting the cohort's own prevalence."""
    brier_difference: Estimate
    """The first Brier score minus the second; below 0 is better than the prevalence."""
    in_the_large: Estimate
    """Calibration in the large: observed prevalence minus mean probability."""
    intercept: Estimate
    """Calibration intercept: what must be added to the log-odds at a slope of 1."""
    slope: Estimate
    """Calibration slope; 1 is ideal. Null where the probabilities hardly vary or separate the outcomes completely, or
    with fewer than 10 patients of an outcome."""
    decision_curve: CentreDecisionCurve
    """Net benefit over threshold probabilities."""
    by_centre: tuple[ExternalCentrePerformance, ...]
    """Each centre, where the cohort has several."""

    @property
    def auroc_unit(self) -> str:
        """What the AUROC is the mean of, as in ', mean of 3 centres'; empty of one centre."""
        n_centres = sum(row.auroc.value is not None for row in self.by_centre)
        return f", mean of {n_centres} centres" if n_centres > 1 else ""

    @property
    def has_few_of_a_class(self) -> bool:
        """Whether fewer than `FEWEST_OF_A_CLASS` patients had the outcome, or were without."""
        patients, events = self.outcomes.patients, self.outcomes.events
        return min(events, patients - events) < FEWEST_OF_A_CLASS

    @property
    def no_slope_reason(self) -> str | None:
        """Why there is no calibration slope to show, without a full stop; None where there is one."""
        if self.has_few_of_a_class:
            return f"no slope: fewer than {FEWEST_OF_A_CLASS} patients of an outcome"
        if self.auroc.value in (0.0, 1.0):
            return "no slope: the probabilities separate the outcomes completely"
        return (
            "no slope: the probabilities hardly vary, or nearly separate the outcomes"
            if self.slope.value is None
            else None
        )


@dataclass(frozen=True)
class ExternalValidation(StoredRecord):
    """A registered model on the labelled patients of a cohort that it had not seen."""

    cohort: str
    """Name of the cohort."""
    title: str
    """Title of the cohort."""
    outcome: str
    """Id of the outcome."""
    simulated: bool
    """Whether its patients are simulated."""
    labelled: int
    """Patients with stool by the landmark and a known outcome."""
    training_patients: int
    """Of these patients, those excluded since their profile is in the training set."""
    predicted: int
    """Of the others, those with a prediction."""
    with_care: int
    """Of the predicted patients, those whose prediction calls for care."""
    abstained: int
    """Patients for whom the model abstained."""
    abstentions: tuple[AbstentionReason, ...]
    """Rules that led to abstention, the most frequent first."""
    performance: ExternalPerformance | None
    """Performance among the predicted patients; null without any."""
    recalibration: Recalibration | None
    """Recalibration in the large; null where not asked for, or not estimable."""
    contradictions: tuple[str, ...]
    """Rules of demotion that this validation meets, each as a sentence; a champion that meets one can be demoted."""
    sentence: str
    """The validation in one sentence, without a full stop."""
    notes: tuple[str, ...]
    """Remarks on the data."""
    taxokine_version: str
    """Version of Taxokine that validated the model."""
