"""The list of candidates: one row a patient, predicted at the default visit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from features.outcomes import Side, side_of
from models.confirmation import forecasts, unconfirmed_reason
from models.joint import joint_outcome
from models.prediction import Prediction, Use, reservations, use_of
from serving.clinic import Clinic
from serving.pages.catalogue import Catalogue, Fallback, Ink, ink_of, is_promoted
from serving.pages.views.parts import (
    CellView,
    EvidenceNote,
    PatientFacts,
    cell_views,
    evidence_note,
    may_have_learnt_from,
    patient_facts,
    transplant_text,
)

_MISSING = {
    "taxa": "no stool",
    "immune": "no immune markers",
    "clinical": "no clinical data",
    "donor": "no donor's stool",
    "over_time": "no immune markers over time",
}
"""How a cell says that a patient has nothing of a block."""
_UNKNOWN = {
    "taxa": "no known taxa",
    "immune": "no known immune markers",
    "clinical": "no known clinical data",
    "donor": "no known distances to the donor's stool",
    "over_time": "no known immune markers over time",
}
"""How a cell says that a model knows nothing of what a patient has of a block."""


@dataclass(frozen=True)
class SideSummary:
    """The prediction of one side.

    Attributes
    ----------
    side : Side
    probability : float or None
    use : Use
    reason : str
        The first reason against "ok", of this patient before those of the model, or empty.
    reservation : str
        What differs by patient, in a few words: that and why the model abstains, or care; empty where it applies.
    is_unconfirmed : bool
        Whether the probability lies outside the interval of the held-out patients with a similar one.
    is_training_patient : bool
        Whether the model learnt from the patient, so that there is no probability.
    may_be_training_patient : bool
        As `may_have_learnt_from` returns.
    ink : Ink
        Colour of the probability.
    fallback : Fallback or None
        Not None where another model than the first choice predicts.
    """

    side: Side
    probability: float | None
    use: Use
    reason: str
    reservation: str
    is_unconfirmed: bool
    is_training_patient: bool
    may_be_training_patient: bool
    ink: Ink
    fallback: Fallback | None


@dataclass(frozen=True)
class CandidateRow:
    """One patient.

    `benefit` is the Plackett estimate of response without toxicity; None where a model abstains, where a prediction is
    not confirmed, or where no odds ratio of the training cohorts is known: the middle of bounds is no estimate.
    `transplant` is as `transplant_text` returns.
    `no_cells_reason` is why there are no cells although both models predict; None otherwise.
    """

    patient: str
    n_visits: int
    facts: PatientFacts
    transplant: str
    sides: tuple[SideSummary, ...]
    cells: tuple[CellView, ...] | None
    no_cells_reason: str | None
    benefit: float | None


@dataclass(frozen=True)
class CandidatesView:
    """The content of the page.

    `no_ranking_reason` is why patients are not ranked by benefit, else empty; `compares_donors`, whether donors can be
    compared for a patient.
    """

    clinic: Clinic | None
    rows: tuple[CandidateRow, ...]
    no_ranking_reason: str
    sort: str
    search: str
    evidence: tuple[EvidenceNote, ...]
    has_models: bool
    compares_donors: bool

    @property
    def simulated(self) -> bool:
        """Whether all models learnt from simulated patients, as the page says once for all of them."""
        return bool(self.evidence) and all(note.simulated for note in self.evidence)

    @property
    def has_unconfirmed(self) -> bool:
        """Whether a prediction of the list is not confirmed."""
        return any(summary.is_unconfirmed for row in self.rows for summary in row.sides)

    @property
    def sides_of_training_cohort(self) -> tuple[Side, ...]:
        """The sides whose model may have learnt from patients of the list."""
        sides = (summary.side for row in self.rows for summary in row.sides if summary.may_be_training_patient)
        return tuple(dict.fromkeys(sides))

    @property
    def has_fallbacks(self) -> bool:
        """Whether another model than the first choice predicts for a patient of the list."""
        return any(summary.fallback for row in self.rows for summary in row.sides)


class CandidateList:
    """The patients of the clinic; each is predicted once, as patients and models stay the same while the server runs.

    Parameters
    ----------
    catalogue : Catalogue
    clinic : Clinic, optional
    compares_donors : bool
        Whether the clinic's donors can be compared.
    """

    def __init__(self, catalogue: Catalogue, clinic: Clinic | None, *, compares_donors: bool = False) -> None:
        self._catalogue, self._clinic = catalogue, clinic
        self._compares_donors = compares_donors
        self._row = cache(self._predict_row)

    def view(self, sort: str, search: str) -> CandidatesView:
        """Return the content of the page.

        Parameters
        ----------
        sort : {"", "benefit"}
            Order of the cohort, or by predicted benefit, highest first, unless there is a `no_ranking_reason`.
        search : str
            Part of a patient's name, in any case.
        """
        names = self._clinic.patients if self._clinic else ()
        rows = [self._row(name) for name in names if search.casefold() in name.casefold()]
        no_ranking_reason = self._no_ranking_reason(rows)
        if sort == "benefit" and not no_ranking_reason:
            rows.sort(key=lambda row: -1.0 if row.benefit is None else row.benefit, reverse=True)
        return CandidatesView(
            clinic=self._clinic,
            rows=tuple(rows),
            no_ranking_reason=no_ranking_reason,
            sort=sort,
            search=search,
            evidence=tuple(
                evidence_note(served, self._catalogue.terms[served.model.outcome]) for served in self._catalogue.best
            ),
            has_models=bool(self._catalogue.shown_outcomes),
            compares_donors=self._compares_donors,
        )

    def _no_ranking_reason(self, rows: Sequence[CandidateRow]) -> str:
        if not self._catalogue.are_both_promoted:
            unpromoted = [
                side_of(served.model.outcome) for served in self._catalogue.best if not is_promoted(served.alias)
            ]
            return (
                "the models are not promoted"
                if len(unpromoted) != 1
                else f"the model of {unpromoted[0]} is not promoted"
            )
        if any(row.cells for row in rows) and all(row.benefit is None for row in rows):
            return "response without toxicity has bounds and no estimate"
        return ""

    def _predict_row(self, name: str) -> CandidateRow:
        assert self._clinic is not None
        patient = self._clinic.patients[name]
        visit = patient.visits[patient.default_visit]
        predictions = self._catalogue.predict(visit.candidate)
        sides = tuple(map(self._side_summary, predictions))
        no_cells_reason = unconfirmed_reason([summary.side for summary in sides if summary.is_unconfirmed])
        if silent := [summary.side for summary in sides if summary.ink == "quiet"]:
            no_cells_reason = f"the model of {' and that of '.join(silent)} does not discriminate"
        cells = None if no_cells_reason else cell_views(joint_outcome(forecasts(predictions)))
        return CandidateRow(
            patient=name,
            n_visits=len(patient.visits),
            facts=patient_facts(visit.candidate, visit.label),
            transplant=transplant_text(patient.course, self._clinic.clock),
            sides=sides,
            cells=cells,
            no_cells_reason=no_cells_reason,
            benefit=cells[0].expected if cells else None,
        )

    def _side_summary(self, prediction: Prediction) -> SideSummary:
        (forecast,) = forecasts([prediction])
        return SideSummary(
            side_of(prediction.outcome),
            forecast.probability,
            use_of(prediction.trust.verdict, prediction.evidence),
            next(iter(reservations(prediction) or prediction.trust.reasons), ""),
            _reservation(prediction),
            is_unconfirmed=prediction.unconfirmed_reason is not None,
            is_training_patient=bool(prediction.trust.in_training_set),
            may_be_training_patient=may_have_learnt_from(prediction, self._clinic),
            ink=ink_of(prediction.outcome, prediction.evidence),
            fallback=self._catalogue.fallback(prediction),
        )


def _reservation(prediction: Prediction) -> str:
    trust = prediction.trust
    if trust.verdict != "abstain":
        return "use with care" if reservations(prediction) else ""
    words = {**_MISSING, **{block: _UNKNOWN[block] for block in trust.unknown_blocks}}
    reasons = [words[block] for block in trust.missing_blocks] or list(trust.decisive)
    return f"abstains: {', '.join(reasons)}" if reasons else "abstains"
