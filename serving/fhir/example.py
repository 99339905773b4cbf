"""An example of a Bundle: what the documents show, and a test sends."""

from __future__ import annotations

from pydantic import JsonValue

from serving.fhir.codes import ATC, LOINC, TAXOKINE_SPECIMEN, UCUM
from serving.fhir.measurements import STOOL_PROFILE

_SUBJECT: JsonValue = {"reference": "Patient/candidate-1"}


def _percent(taxon: str, value: float) -> JsonValue:
    return {"code": {"text": taxon}, "valueQuantity": {"value": value, "unit": "%", "system": UCUM, "code": "%"}}


_RESOURCES: list[JsonValue] = [
    {"resourceType": "Patient", "id": "candidate-1", "birthDate": "1964-05-20", "gender": "female"},
    {
        "resourceType": "Condition",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "C43.9"}]},
        "subject": _SUBJECT,
    },
    {
        "resourceType": "MedicationStatement",
        "status": "intended",
        "medicationCodeableConcept": {"coding": [{"system": ATC, "code": "L01FF02", "display": "pembrolizumab"}]},
        "subject": _SUBJECT,
        "effectiveDateTime": "2026-03-01",
    },
    {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "26881-3"}]},
        "subject": _SUBJECT,
        "effectiveDateTime": "2026-02-26",
        "valueQuantity": {"value": 3.2, "comparator": "<", "unit": "pg/mL", "system": UCUM, "code": "pg/mL"},
    },
    {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": TAXOKINE_SPECIMEN, "code": STOOL_PROFILE}]},
        "subject": _SUBJECT,
        "effectiveDateTime": "2026-02-26",
        "method": {"text": "mpa_vOct22_CHOCOPhlAnSGB_202212"},
        "component": [_percent("Akkermansia_muciniphila", 4.2), _percent("Faecalibacterium_prausnitzii", 95.8)],
    },
]

EXAMPLE: dict[str, JsonValue] = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {"fullUrl": f"urn:uuid:00000000-0000-4000-8000-00000000000{index}", "resource": resource}
        for index, resource in enumerate(_RESOURCES)
    ],
}
"""A patient with a tumour, a drug to come, one cytokine below its limit and a stool profile."""
