"""The plane of response and toxicity: the patient among the training cohorts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.evidence import EventRate, JointTable


@dataclass(frozen=True)
class PlanePatient:
    """The patient's probabilities, and the outcomes of held-out patients with similar probabilities where known."""

    response: float
    toxicity: float
    similar_response: EventRate | None
    similar_toxicity: EventRate | None


@dataclass(frozen=True)
class PlaneCentre:
    """The rates of response and toxicity in one training centre."""

    centre: str
    response: float
    toxicity: float


def plane_centres(counts: JointTable | None, title_of: Callable[[str], str]) -> tuple[PlaneCentre, ...]:
    """Return the rates of each centre in which response and toxicity of the same patients are known.

    Parameters
    ----------
    counts : JointTable or None
    title_of : callable
        Returns the title of a centre.
    """
    centres = counts.centres if counts else ()
    return tuple(
        PlaneCentre(
            title_of(row.centre),
            response=(row.cells.response_without_toxicity.rate or 0) + (row.cells.response_with_toxicity.rate or 0),
            toxicity=(row.cells.toxicity_without_response.rate or 0) + (row.cells.response_with_toxicity.rate or 0),
        )
        for row in centres
        if row.cells.patients
    )
