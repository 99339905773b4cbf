"""The page that compares donors for one recipient."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from features.outcomes import Side, side_of
from models.confirmation import LEAST_CHANCE, MOST_CHANCE
from models.donors import ComparedDonor, DonorComparison, DonorDifference, OutcomeChange, compare_donors
from models.engraftment import EngraftmentBundle, EngraftmentValidation
from models.patient_input import Candidate
from models.prediction import Use, use_of
from serving.clinic import Clinic, Patient
from serving.pages.catalogue import Catalogue, Ink, ink_of
from serving.pages.views.parts import transplant_text

MOST_TAXA = 12
"""Taxa of an expected profile that the page shows."""


@dataclass(frozen=True)
class ChangeMark:
    """Positions of a difference and its interval on an axis around 0, as shares of its width."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ChangeView:
    """One outcome of one donor.

    Attributes
    ----------
    side : Side
    change : OutcomeChange
    use : Use
    ink : Ink
        Colour of the change.
    reason : str or None
        Why the page shows no change: the model reports none, or learnt from the patient, or a prediction that the
        change joins is not confirmed.
    mark : ChangeMark or None
        None for `reason`.
    differences : tuple of DonorDifference
        Of this outcome, from every other donor; empty for `reason`.
    shown_differences : tuple of DonorDifference
        Of these, those whose interval excludes 0.
    """

    side: Side
    change: OutcomeChange
    use: Use
    ink: Ink
    reason: str | None
    mark: ChangeMark | None
    differences: tuple[DonorDifference, ...]
    shown_differences: tuple[DonorDifference, ...]


@dataclass(frozen=True)
class StatedLimit:
    """A patient's prediction with the stool before lies at or beyond the lower or upper limit that pages state."""

    side: Side
    end: Literal["lower", "upper"]

    @property
    def probability(self) -> float:
        """The limit."""
        return LEAST_CHANCE if self.end == "lower" else MOST_CHANCE

    @property
    def moves_against_transplant(self) -> bool:
        """Whether every change that the limit leaves lowers response or raises toxicity."""
        return (self.side == "response") == (self.end == "upper")


@dataclass(frozen=True)
class Recipient:
    """The patient for whom donors are compared.

    Attributes
    ----------
    title : str
    sample : str
        The visit whose stool is the recipient's.
    candidate : Candidate
    donors_given : tuple of str
        Donors whose stool the patient received.
    transplant : str
        As `transplant_text` returns: not empty where the comparison is retrospective.
    request_json : str
        Request of an upload; empty for a patient of the clinic.
    """

    title: str
    sample: str
    candidate: Candidate
    donors_given: tuple[str, ...] = ()
    transplant: str = ""
    request_json: str = ""


@dataclass(frozen=True)
class DonorsView:
    """The content of the page.

    Attributes
    ----------
    recipient : Recipient
    comparison : DonorComparison
    changes : tuple of tuple of ChangeView
        By donor, in the order of the comparison.
    limit : int
        Percentage points at both ends of the axis.
    cohort : str
        Title of the clinic's cohort.
    validation : EngraftmentValidation
        On which the intervals rest.
    learnt_from_cohort : bool
        Whether the engraftment model was trained on that cohort.
    most_taxa : int
    """

    recipient: Recipient
    comparison: DonorComparison
    changes: tuple[tuple[ChangeView, ...], ...]
    limit: int
    cohort: str
    validation: EngraftmentValidation
    learnt_from_cohort: bool
    most_taxa: int = MOST_TAXA

    @property
    def has_toxicity(self) -> bool:
        """Whether a model of toxicity is asked."""
        return any(item.side == "toxicity" for items in self.changes for item in items)

    @property
    def sides_moved_alike(self) -> tuple[Side, ...]:
        """The sides whose prediction all donors, two or more, move the same way by at least a whole point."""
        by_side: dict[Side, list[float]] = {}
        for item in (item for items in self.changes for item in items):
            by_side.setdefault(item.side, []).append(0 if item.reason else round(100 * (item.change.difference or 0)))
        return tuple(
            side for side, points in by_side.items() if len(points) > 1 and (min(points) > 0 or max(points) < 0)
        )

    @property
    def stated_limits(self) -> tuple[StatedLimit, ...]:
        """The limits at which the predictions with the stool before lie, of sides whose changes the page shows."""
        probabilities = {
            item.side: item.change.probability_before for items in self.changes for item in items if item.mark
        }
        limits: list[StatedLimit] = []
        for side, probability in probabilities.items():
            if probability is not None and not LEAST_CHANCE < probability < MOST_CHANCE:
                limits.append(StatedLimit(side, "lower" if probability <= LEAST_CHANCE else "upper"))
        return tuple(limits)

    @property
    def withheld_sides(self) -> dict[Side, ChangeView]:
        """The sides of which the page shows no change of any donor, all for one reason, with the first donor's."""
        columns = [list(column) for column in zip(*self.changes, strict=True)]
        return {
            column[0].side: column[0]
            for column in columns
            if column[0].reason and {item.reason for item in column} == {column[0].reason}
        }


def clinic_recipient(clinic: Clinic, patient: Patient) -> Recipient:
    """Return a patient of a clinic, with the stool of the default visit."""
    visit = patient.visits[patient.default_visit]
    transplant = transplant_text(patient.course, clinic.clock)
    return Recipient(patient.id, visit.label, visit.candidate, patient.course.donors, transplant)


def donors_view(
    catalogue: Catalogue, clinic: Clinic, recipient: Recipient, engraftment: EngraftmentBundle
) -> DonorsView:
    """Return the comparison of a clinic's donors for one of its patients, or for an uploaded one.

    Raises
    ------
    InputError
        The donors cannot be compared: see `models.donors.compare_donors`.
    """
    models = {outcome: catalogue.models[outcome] for outcome in catalogue.shown_outcomes}
    comparison = compare_donors(engraftment, models, recipient.candidate, clinic.donors)
    limit = _axis_limit(comparison)
    return DonorsView(
        recipient=recipient,
        comparison=comparison,
        changes=tuple(
            tuple(_change_view(catalogue, donor, change, limit / 100) for change in donor.changes)
            for donor in comparison.donors
        ),
        limit=limit,
        cohort=clinic.title,
        validation=engraftment.evidence.validations[-1],
        learnt_from_cohort=clinic.name in engraftment.evidence.cohorts,
    )


def _axis_limit(comparison: DonorComparison) -> int:
    """Return the percentage points at both ends of the axis that all changes share."""
    ends = [
        abs(end)
        for donor in comparison.donors
        for change in donor.changes
        if change.unconfirmed_reason is None
        for end in (change.low, change.high)
        if end is not None
    ]
    # Five points at least, so that a difference of nothing is not drawn as wide as the page.
    return 5 * ceil(max([0.05, *ends]) / 0.05 - 1e-9)


def _change_view(catalogue: Catalogue, donor: ComparedDonor, change: OutcomeChange, limit: float) -> ChangeView:
    served = catalogue.find(change.model.name, change.model.version)
    evidence, side = served.model.evidence, side_of(change.outcome)
    use, ink = use_of(change.trust.verdict, evidence), ink_of(change.outcome, evidence)
    if reason := change.reason or change.unconfirmed_reason:
        return ChangeView(side, change, use, ink, reason, None, (), ())
    differences = tuple(item for item in donor.differences if item.outcome == change.outcome)
    shown_differences = tuple(item for item in differences if item.is_shown)
    return ChangeView(side, change, use, ink, None, _mark(change, limit), differences, shown_differences)


def _mark(change: OutcomeChange, limit: float) -> ChangeMark | None:
    if change.difference is None or change.low is None or change.high is None:
        return None
    value, low, high = ((end + limit) / (2 * limit) for end in (change.difference, change.low, change.high))
    return ChangeMark(value, low, high)
