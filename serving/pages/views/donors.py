"""The page that compares donors for one recipient."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from models.donors import ComparedDonor, DonorComparison, DonorDifference, OutcomeChange, compare_donors
from models.engraftment import EngraftmentBundle
from models.prediction import Use, use_of
from serving.clinic import Clinic, Patient
from serving.pages.catalogue import Catalogue, Side, side_of
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
    mark : ChangeMark or None
        None where the model reports no change.
    differences : tuple of DonorDifference
        Of this outcome, from every other donor.
    shown_differences : tuple of DonorDifference
        Of these, those whose interval excludes 0.
    """

    side: Side
    change: OutcomeChange
    use: Use
    mark: ChangeMark | None
    differences: tuple[DonorDifference, ...]
    shown_differences: tuple[DonorDifference, ...]


@dataclass(frozen=True)
class DonorsView:
    """The content of the page.

    Attributes
    ----------
    title : str
        The patient.
    sample : str
        The visit whose stool is the recipient's.
    comparison : DonorComparison
    changes : tuple of tuple of ChangeView
        By donor, in the order of the comparison.
    limit : int
        Percentage points at both ends of the axis.
    cohort : str
        The clinic's cohort.
    learnt_from_cohort : bool
        Whether the engraftment model was trained on that cohort.
    donors_given : tuple of str
        Donors whose stool the patient received.
    transplant : str
        As `transplant_text` returns: not empty where the comparison is retrospective.
    most_taxa : int
    """

    title: str
    sample: str
    comparison: DonorComparison
    changes: tuple[tuple[ChangeView, ...], ...]
    limit: int
    cohort: str
    learnt_from_cohort: bool
    donors_given: tuple[str, ...]
    transplant: str
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
            by_side.setdefault(item.side, []).append(round(100 * (item.change.difference or 0)))
        return tuple(
            side for side, points in by_side.items() if len(points) > 1 and (min(points) > 0 or max(points) < 0)
        )

    @property
    def differences_possible(self) -> bool:
        """Whether any two donors have a probability of the same outcome."""
        return any(item.differences for items in self.changes for item in items)

    @property
    def differences_shown(self) -> bool:
        """Whether the interval of any difference between donors excludes 0."""
        return any(item.shown_differences for items in self.changes for item in items)


def donors_view(catalogue: Catalogue, clinic: Clinic, patient: Patient, engraftment: EngraftmentBundle) -> DonorsView:
    """Return the comparison of a clinic's donors for one of its patients.

    Raises
    ------
    InputError
        The donors cannot be compared: see `models.donors.compare_donors`.
    """
    visit = patient.visits[patient.default_visit]
    models = {outcome: catalogue.models[outcome] for outcome in catalogue.shown_outcomes}
    comparison = compare_donors(engraftment, models, visit.candidate, clinic.donors)
    changes = [change for donor in comparison.donors for change in donor.changes]
    ends = [abs(end) for change in changes for end in (change.low, change.high) if end is not None]
    # Five points at least, so that a difference of nothing is not drawn as wide as the page.
    limit = 5 * ceil(max([0.05, *ends]) / 0.05 - 1e-9)
    return DonorsView(
        title=patient.id,
        sample=visit.label,
        comparison=comparison,
        changes=tuple(
            tuple(_change_view(catalogue, donor, change, limit / 100) for change in donor.changes)
            for donor in comparison.donors
        ),
        limit=limit,
        cohort=clinic.name,
        learnt_from_cohort=clinic.name in engraftment.evidence.cohorts,
        donors_given=patient.course.donors,
        transplant=transplant_text(patient.course, clinic.clock),
    )


def _change_view(catalogue: Catalogue, donor: ComparedDonor, change: OutcomeChange, limit: float) -> ChangeView:
    differences = tuple(item for item in donor.differences if item.outcome == change.outcome)
    shown_differences = tuple(item for item in differences if item.is_shown)
    evidence = catalogue.find(change.model.name, change.model.version).model.evidence
    use = use_of(change.trust.verdict, evidence)
    return ChangeView(side_of(change.outcome), change, use, _mark(change, limit), differences, shown_differences)


def _mark(change: OutcomeChange, limit: float) -> ChangeMark | None:
    if change.difference is None or change.low is None or change.high is None:
        return None
    value, low, high = ((end + limit) / (2 * limit) for end in (change.difference, change.low, change.high))
    return ChangeMark(value, low, high)
