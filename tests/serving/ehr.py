"""A hospital's system that calls CDS Hooks: its keys, its tokens, and what it sends."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

Json = dict[str, Any]
BASE, ISSUER, ORIGIN = "https://taxokine.example", "https://ehr.example", "https://pages.ehr.example"
EC = ECKey.generate_key("P-384", {"kid": "ec"}, auto_kid=False)
RSA = RSAKey.generate_key(2048, {"kid": "rsa"}, auto_kid=False)


def token(path: str, key: Any = EC, algorithm: str = "ES384", header: Json | None = None, **claims: object) -> str:
    now = int(time.time())
    content = {"iss": ISSUER, "aud": BASE + path, "exp": now + 60, "iat": now, "jti": str(uuid4())} | claims
    content = {name: value for name, value in content.items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": key.kid} | (header or {}), content, key, algorithms=[algorithm])


def bearer(path: str, **options: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(path, **options)}"}


def write_clients(folder: Path) -> Path:
    """Write the file of a client, and its public keys."""
    keys = {"keys": [EC.as_dict(private=False), RSA.as_dict(private=False)]}
    (folder / "ehr.jwks.json").write_text(json.dumps(keys))
    file = folder / "clients.json"
    ehr = {"name": "ehr", "issuer": ISSUER, "jwks": "ehr.jwks.json", "origins": [ORIGIN]}
    file.write_text(json.dumps({"clients": [ehr]}))
    return file


def patient_view_call(candidate: Json) -> Json:
    """Return the call of a candidate of the tests, whose stool profile becomes that of no training patient."""
    subject = {"reference": "Patient/c1"}
    values = candidate["taxa"]["values"]
    # No training patient has this profile: of one, a card states no probability.
    abundances = list(values.values())
    candidate["taxa"]["values"] = dict(zip(values, [*abundances[7:], *abundances[:7]], strict=True))

    def observation(code: str, value: float, comparator: str | None = None) -> Json:
        measured = {"value": value, "unit": "pg/mL", "code": "pg/mL", "system": "http://unitsofmeasure.org"}
        return {
            "resourceType": "Observation",
            "id": code,
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "subject": subject,
            "effectiveDateTime": "2026-02-28",
            "valueQuantity": measured | ({"comparator": comparator} if comparator else {}),
        }

    stool = {
        "resourceType": "Observation",
        "id": "stool",
        "status": "final",
        "code": {"coding": [{"system": "urn:x-taxokine:observation", "code": "stool-profile"}]},
        "subject": subject,
        "effectiveDateTime": "2026-02-26",
        "method": {"text": candidate["taxa"]["profiler"]},
        "component": [
            {"code": {"text": taxon}, "valueQuantity": {"value": value, "unit": "1", "code": "1"}}
            for taxon, value in candidate["taxa"]["values"].items()
        ],
    }
    drug = {
        "resourceType": "MedicationAdministration",
        "id": "dose",
        "status": "completed",
        "medicationCodeableConcept": {"coding": [{"system": "http://www.whocc.no/atc", "code": "L01FF02"}]},
        "subject": subject,
        "effectiveDateTime": "2026-03-01",
    }
    analytes = [
        observation("26881-3", 3.2, "<"),
        observation("33211-4", 12),
        observation("26848-2", 7),
        observation("3074-2", 1000, ">"),
    ]
    return {
        "hook": "patient-view",
        "hookInstance": str(uuid4()),
        "fhirServer": "http://127.0.0.1:1/never-fetched",
        "context": {"userId": "Practitioner/1", "patientId": "c1"},
        "prefetch": {
            "patient": {"resourceType": "Patient", "id": "c1", "birthDate": "1964-05-20", "gender": "female"},
            "conditions": searchset([]),
            "administrations": searchset([drug]),
            "statements": None,
            "analytes": searchset(analytes),
            "stool": searchset([stool]),
        },
    }


def searchset(resources: list[Json]) -> Json:
    entries = [
        {
            "fullUrl": f"https://ehr.example/fhir/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "search": {"mode": "match"},
        }
        for resource in resources
    ]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
