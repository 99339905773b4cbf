"""What this server offers in FHIR: its CapabilityStatement (http://hl7.org/fhir/R4/capabilitystatement.html)."""

from __future__ import annotations

from pydantic import JsonValue

from serving.fhir.codes import code_table
from serving.schemas import NOTICE

OPERATION = "urn:x-taxokine:OperationDefinition:predict"
"""Canonical name of the operation."""


def capability_statement() -> dict[str, JsonValue]:
    """Return the CapabilityStatement."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-29",
        "copyright": " ".join(code_table().sources.values()),
        "kind": "instance",
        "implementation": {"description": f"Taxokine. {NOTICE}"},
        "software": {"name": "Taxokine"},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "documentation": "A key of the API as Bearer token",
                "resource": [
                    {
                        "type": "RiskAssessment",
                        "operation": [
                            {
                                "name": "predict",
                                "definition": OPERATION,
                                "documentation": "POST RiskAssessment/$predict with a Bundle about one patient",
                            }
                        ],
                    }
                ],
            }
        ],
    }
