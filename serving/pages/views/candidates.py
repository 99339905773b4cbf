"""The list of candidates: one row a patient, predicted at the default visit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from models.joint import joint_outcome
from models.prediction import Use, use_of
from serving.clinic import Clinic
from serving.pages.catalogue import Catalogue, Side, is_promoted, side_of
from serving.pages.views.parts import (
    CellView,
    EvidenceNote,
    PatientFacts,
    cell_views,
    evidence_note,
    forecasts,
    patient_facts,
)


@dataclass(frozen=True)
class SideSummary:
    """The prediction of one side; `reason` is the first reason against "ok", or empty."""

    side: Side
    probability: float | None
    use: Use
    reason: str


@dataclass(frozen=True)
class CandidateRow:
    """One patient.

    `benefit` is the Plackett estimate of response without toxicity; None where a model abstains, or where no odds
    ratio of the training cohorts is known: the middle of bounds is no estimate.
    """

    patient: str
    n_visits: int
    facts: PatientFacts
    sides: tuple[SideSummary, ...]
    cells: tuple[CellView, ...] | None
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


class CandidateList:
    """The patients of the clinic; each is predicted once, as patients and models stay the same while the server runs.

    Parameters
    ----------
    catalogue : Catalogue
    clinic : Clinic, optional
    compares_donors : bool
        Whether an engraftment model is served.
    """

    def __init__(self, catalogue: Catalogue, clinic: Clinic | None, *, compares_donors: bool = False) -> None:
        self._catalogue, self._clinic = catalogue, clinic
        self._compares_donors = compares_donors and clinic is not None and bool(clinic.donors)
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
            evidence=tuple(map(evidence_note, self._catalogue.best)),
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
        predictions = forecasts(self._catalogue.predict(visit.candidate))
        cells = cell_views(joint_outcome(predictions))
        return CandidateRow(
            patient=name,
            n_visits=len(patient.visits),
            facts=patient_facts(visit.candidate, visit.label),
            sides=tuple(
                SideSummary(
                    side_of(prediction.outcome),
                    prediction.probability,
                    use_of(prediction.trust.verdict, simulated=prediction.simulated),
                    next(iter(prediction.trust.reasons), ""),
                )
                for prediction in predictions
            ),
            cells=cells,
            benefit=cells[0].expected if cells else None,
        )
