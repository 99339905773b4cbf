"""A hospital's system that calls CDS Hooks: its keys, its tokens, and what it sends."""

from __future__ import annotations

import json
import time
from datetime import date, timedelta
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


def patient_resources(request: Json) -> list[Json]:
    """Return what a hospital holds of a candidate whom a request to the API describes, first the patient.

    Fields of the patient but the id are left out: FHIR states them in other terms.
    """
    patient = request["patient"]["id"]
    taxa, first_dose = request["taxa"], date(2026, 3, 1)

    def observation(name: str, coding: Json, day: float, **fields: object) -> Json:
        return {
            "resourceType": "Observation",
            "id": name,
            "status": "final",
            "code": {"coding": [coding]},
            "subject": {"reference": f"Patient/{patient}"},
            "effectiveDateTime": (first_dose + timedelta(days=day)).isoformat(),
            **fields,
        }

    def component(taxon: str, value: float) -> Json:
        return {"code": {"text": taxon}, "valueQuantity": {"value": value, "unit": "1", "code": "1"}}

    resources: list[Json] = [
        {"resourceType": "Patient", "id": patient, "birthDate": "1964-05-20", "gender": "female"},
        {
            "resourceType": "MedicationAdministration",
            "id": "dose",
            "status": "completed",
            "medicationCodeableConcept": {"coding": [{"system": "http://www.whocc.no/atc", "code": "L01FF02"}]},
            "subject": {"reference": f"Patient/{patient}"},
            "effectiveDateTime": first_dose.isoformat(),
        },
        observation(
            "stool",
            {"system": "urn:x-taxokine:observation", "code": "stool-profile"},
            taxa["day"],
            method={"text": taxa["profiler"]},
            component=[component(*item) for item in taxa["values"].items()],
        ),
    ]
    for number, item in enumerate(request["immune"]):
        text = str(item["value"])
        quantity = {"value": float(text.lstrip("<>")), "unit": item["unit"], "code": item["unit"]}
        if text[0] in "<>":
            quantity["comparator"] = text[0]
        coding = {"system": "urn:x-taxokine:analyte", "code": item["analyte"]}
        # Of no stated day: drawn when the stool was sampled.
        day = taxa["day"] if item["day"] is None else item["day"]
        resources.append(observation(f"analyte-{number}", coding, day, valueQuantity=quantity))
    return resources
