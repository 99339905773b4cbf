"""The service: its description, the resources it needs, and what it makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from pydantic import JsonValue
from sqlalchemy import Engine, insert

from features.errors import InputError
from features.settings import settings
from serving.cds_hooks.clients import CdsClient, read_clients
from serving.cds_hooks.schemas import CardFeedback, HookRequest, ServiceDescription
from serving.cds_hooks.tokens import TokenVerifier
from serving.database import cds_feedback, open_database
from serving.fhir.codes import BODY_MASS_INDEX, LOINC, TAXOKINE_ANALYTE, TAXOKINE_SPECIMEN, code_table
from serving.fhir.measurements import STOOL_PROFILE

SERVICE = "taxokine-response-toxicity"
"""Id of the service."""


@dataclass(frozen=True)
class CdsHooks:
    """What CDS Hooks needs of the server.

    Attributes
    ----------
    clients : tuple of CdsClient
    verifier : TokenVerifier
    server_url : str
        Address of this server, as clients know it.
    engine : Engine
        Keeps the feedback.
    """

    clients: tuple[CdsClient, ...]
    verifier: TokenVerifier = field(repr=False)
    server_url: str
    engine: Engine = field(repr=False)

    @property
    def origins(self) -> tuple[str, ...]:
        """Origins of the clients' pages."""
        return tuple(dict.fromkeys(origin for client in self.clients for origin in client.origins))

    def keep_feedback(self, client: str, feedback: Sequence[CardFeedback]) -> None:
        """Keep what clinicians did with cards."""
        now = datetime.now(UTC)
        rows = [
            {
                "time": now,
                "client": client[:64],
                "card": item.card,
                "outcome": item.outcome,
                "reason": _reason(item),
            }
            for item in feedback
        ]
        with self.engine.begin() as connection:
            connection.execute(insert(cds_feedback), rows)

    def page_of(self, patient: str, known_patients: Mapping[str, object]) -> str | None:
        """Return the address of a patient's page; None where the server does not know the patient."""
        return f"{self.server_url}/patients/{quote(patient)}" if patient in known_patients else None


def open_cds_hooks() -> CdsHooks | None:
    """Return CDS Hooks as the settings describe it; None where they name no clients.

    Raises
    ------
    InputError
        The clients cannot be read, or the address of this server is not set.
    DatabaseError
        The database cannot be opened.
    """
    configuration = settings()
    if configuration.cds_clients is None:
        return None
    if configuration.server_url is None:
        raise InputError(
            "TAXOKINE_CDS_CLIENTS is set and TAXOKINE_SERVER_URL is not: tokens of clients name the address of this "
            "server; set it to the address that they call, such as https://taxokine.hospital.example"
        )
    clients = read_clients(configuration.cds_clients)
    engine = open_database(configuration.database)
    return CdsHooks(clients, TokenVerifier(clients, configuration.server_url, engine), configuration.server_url, engine)


def service_description() -> ServiceDescription:
    """Return the description that discovery lists."""
    patient = "patient={{context.patientId}}"
    analytes = ",".join(f"{LOINC}|{code}" for code in (*code_table().analytes, BODY_MASS_INDEX))
    return ServiceDescription(
        id=SERVICE,
        hook="patient-view",
        title="Response to immunotherapy and its toxicity",
        description="Predicts both from the gut microbiome and the immune system, with evidence and abstention.",
        prefetch={
            "patient": "Patient/{{context.patientId}}",
            "conditions": f"Condition?{patient}&clinical-status=active",
            "administrations": f"MedicationAdministration?{patient}",
            "statements": f"MedicationStatement?{patient}",
            "analytes": f"Observation?{patient}&code={analytes}",
            "namedAnalytes": f"Observation?{patient}&code={TAXOKINE_ANALYTE}|",
            "stool": f"Observation?{patient}&code={TAXOKINE_SPECIMEN}|{STOOL_PROFILE}",
        },
    )


def prefetched_bundle(request: HookRequest) -> dict[str, JsonValue]:
    """Return the prefetched resources as one Bundle, each once."""
    entries: dict[str, JsonValue] = {}
    for resource in request.prefetch.values():
        for entry in _entries(resource):
            content = entry.get("resource")
            if isinstance(content, dict) and content.get("resourceType") != "OperationOutcome":
                name = f"{content.get('resourceType')}/{content.get('id', len(entries))}"
                url = entry.get("fullUrl") or name
                entries.setdefault(name, {"fullUrl": url, "resource": content})
    return {"resourceType": "Bundle", "type": "collection", "entry": list(entries.values())}


def _entries(resource: dict[str, object] | None) -> list[dict[str, JsonValue]]:
    if resource is None:
        return []
    if resource.get("resourceType") != "Bundle":
        return [{"resource": resource}]  # type: ignore[dict-item]
    entries = resource.get("entry", [])
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _reason(item: CardFeedback) -> str | None:
    code = item.overrideReason.reason.get("code") if item.overrideReason else None
    return str(code)[:64] if code else None
