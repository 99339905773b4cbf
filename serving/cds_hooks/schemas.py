"""Requests and responses of CDS Hooks 2.0, as far as Taxokine reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.evidence import Documented
from models.prediction import Probability, Verdict
from serving.schemas import Name

MAX_SUMMARY = 140
"""Characters of the longest summary that CDS Hooks 2.0 allows."""


class _Lenient(BaseModel):
    # A client may send fields of later versions, and extensions.
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class HookContext(_Lenient):
    """Whom the clinician looks at."""

    patientId: Name
    """FHIR id of the patient."""


class HookRequest(_Lenient):
    """The call of a service. The server fetches nothing: what it needs must come as prefetch."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "hook": "patient-view",
                "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
                "context": {"userId": "Practitioner/1", "patientId": "candidate-1"},
                "prefetch": {
                    "patient": {"resourceType": "Patient", "id": "candidate-1", "gender": "female"},
                    "stool": None,
                },
            }
        }
    )

    hook: Literal["patient-view"]
    """Name of the hook."""
    hookInstance: Name
    """Id of this call."""
    context: HookContext
    """Whom the clinician looks at."""
    prefetch: dict[str, dict[str, object] | None] = {}
    """Resources of FHIR R4 by the key of their template: a resource, a Bundle of search results, or null."""


class OverrideReason(_Lenient):
    """Why a card was overridden."""

    reason: dict[str, object] = {}
    """The coded reason; only its `code` is kept. A comment of the clinician is not kept."""


class CardFeedback(_Lenient):
    """What a clinician did with a card."""

    card: Annotated[str, Field(min_length=1, max_length=64)]
    """The `uuid` of the card."""
    outcome: Literal["accepted", "overridden"]
    """What the clinician did."""
    overrideReason: OverrideReason | None = None
    """Why a card was overridden."""
    outcomeTimestamp: AwareDatetime
    """When the clinician did so."""


class FeedbackRequest(_Lenient):
    """Feedback on cards."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "feedback": [
                    {
                        "card": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
                        "outcome": "accepted",
                        "outcomeTimestamp": "2026-03-01T09:30:00Z",
                    }
                ]
            }
        }
    )

    feedback: Annotated[list[CardFeedback], Field(min_length=1, max_length=100)]
    """Of each card."""


@dataclass(frozen=True)
class ServiceDescription(Documented):
    """A service, as discovery lists it."""

    id: str
    """The part of the address that names the service."""
    hook: str
    """The hook on which it is called."""
    title: str
    """Its name for people."""
    description: str
    """What it does."""
    prefetch: dict[str, str]
    """Templates of the searches whose results it needs, by key."""


@dataclass(frozen=True)
class ServicesResponse(Documented):
    """The services of this server."""

    services: list[ServiceDescription]
    """One for each service."""


@dataclass(frozen=True)
class CardSource(Documented):
    """Where a card comes from."""

    label: str
    """Name of the source."""
    url: str
    """Address of the source."""


@dataclass(frozen=True)
class CardLink(Documented):
    """A link of a card."""

    label: str
    """Its text."""
    url: str
    """Its address."""
    type: Literal["absolute"]
    """An address that the browser opens."""


@dataclass(frozen=True)
class PredictedOutcome(Documented):
    """A predicted outcome, in numbers."""

    outcome: str
    """Id of the outcome."""
    probability: Probability | None
    """Calibrated probability, as the API returns it; null where the page of the patient states none."""
    unconfirmed_reason: str | None
    """That the probability is not confirmed, as the API states it; null without a probability."""
    verdict: Verdict
    """Whether the model applies to the patient."""
    model: str
    """Name and version of the model."""


@dataclass(frozen=True)
class CardExtension(Documented):
    """What a card adds to those of the specification."""

    taxokine_predictions: list[PredictedOutcome]
    """The predictions in numbers."""


@dataclass(frozen=True)
class Card(Documented):
    """A card that the clinician sees."""

    uuid: str
    """Id of the card, and of the request in the record of questions."""
    summary: Annotated[str, Field(max_length=MAX_SUMMARY)]
    """One sentence, at most 140 characters."""
    detail: str
    """Evidence, reservations and what was not used, in GitHub Flavored Markdown."""
    indicator: Literal["info", "warning"]
    """Urgency; never "critical", since no prediction calls for action at once."""
    source: CardSource
    """Where the card comes from."""
    links: list[CardLink]
    """The patient's page, where the server knows the patient."""
    extension: CardExtension
    """The predictions in numbers."""


@dataclass(frozen=True)
class CardsResponse(Documented):
    """The cards about a patient."""

    cards: list[Card]
    """At most one; empty for patients without a stool profile and immune measurements."""
