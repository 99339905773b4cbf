"""Predictions through FHIR R4: what is understood, what is named as not understood, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome

from models.predict import ServedModel

Json = dict[str, Any]
PREDICT = "/fhir/R4/RiskAssessment/$predict"
UCUM = "http://unitsofmeasure.org"


def observation(code: Json, day: str, **fields: object) -> Json:
    return {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"coding": [code]},
        "subject": {"reference": "Patient/c1"},
        "effectiveDateTime": day,
        **fields,
    }


def quantity(value: float, unit: str, comparator: str | None = None) -> Json:
    measured = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    return measured | ({"comparator": comparator} if comparator else {})


def loinc(code: str) -> Json:
    return {"system": "http://loinc.org", "code": code}


def stool(values: Json, day: str = "2026-02-26", unit: str = "1") -> Json:
    return observation(
        {"system": "urn:x-taxokine:observation", "code": "stool-profile"},
        day,
        method={"text": "mpa_vOct22_CHOCOPhlAnSGB_202212"},
        component=[{"code": {"text": name}, "valueQuantity": quantity(value, unit)} for name, value in values.items()],
    )


def medication(code: str, day: str | None, **fields: object) -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "medicationCodeableConcept": {"coding": [{"system": "http://www.whocc.no/atc", "code": code}]},
        "subject": {"reference": "Patient/c1"},
        **({"effectiveDateTime": day} if day else {"effectivePeriod": {}}),
        **fields,
    }


def condition(system: str, code: str, **fields: object) -> Json:
    return {
        "resourceType": "Condition",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": "Patient/c1"},
        **fields,
    }


PATIENT = {"resourceType": "Patient", "id": "c1", "birthDate": "1964-05-20", "gender": "female"}
ICD10 = "http://hl7.org/fhir/sid/icd-10"


def bundle(*resources: Json) -> Json:
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"urn:uuid:{i}", "resource": copy.deepcopy(item)} for i, item in enumerate(resources)],
    }


@pytest.fixture
def sent_bundle(candidate: Json) -> Json:
    """Return the candidate of the API's tests, as a hospital's system would send it."""
    return bundle(
        PATIENT,
        condition(ICD10, "C43.9"),
        medication("L01FF02", "2026-03-01T09:30:00+01:00"),
        stool(candidate["taxa"]["values"]),
        observation(loinc("26881-3"), "2026-02-28", valueQuantity=quantity(3.2, "pg/mL", "<")),
        observation(loinc("33211-4"), "2026-02-28", valueQuantity=quantity(0.012, "ng/mL")),
        observation(loinc("26848-2"), "2026-02-28", valueQuantity=quantity(7, "ng/L")),
        observation(loinc("3074-2"), "2026-02-28", valueQuantity=quantity(1000, "pg/mL", ">")),
    )


def send(client: httpx.Client, content: Json) -> httpx.Response:
    return client.post(PREDICT, json=content, headers={"Content-Type": "application/fhir+json"})


def resources(response: httpx.Response, kind: str) -> list[Json]:
    return [entry["resource"] for entry in response.json()["entry"] if entry["resource"]["resourceType"] == kind]


def diagnostics(response: httpx.Response) -> str:
    outcome = response.json()
    if outcome["resourceType"] == "Bundle":
        (outcome,) = resources(response, "OperationOutcome")
    OperationOutcome.model_validate(outcome)
    return "\n".join(f"{item['severity']} {item['expression'][0]}: {item['diagnostics']}" for item in outcome["issue"])


def probabilities(response: httpx.Response) -> dict[str, float]:
    return {
        item["prediction"][0]["outcome"]["coding"][0]["code"]: item["prediction"][0].get("probabilityDecimal")
        for item in resources(response, "RiskAssessment")
    }


def test_fhir_answers_as_the_api_does(
    client: httpx.Client, sent_bundle: Json, candidate: Json, models: dict[str, list[ServedModel]]
) -> None:
    response = send(client, sent_bundle)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/fhir+json")
    Bundle.model_validate(response.json())
    assert diagnostics(response) == "information Bundle: Everything that was sent was understood and used."
    candidate["patient"] |= {"tumour_type": "melanoma", "drug_class": "anti-PD-1"}
    for item in candidate["immune"]:
        item["day"] = -1
    answer = client.post("/v1/predictions", json=candidate).json()
    fhir = probabilities(response)
    assert fhir.pop("response_without_toxicity") is None
    assert fhir.keys() == {item["outcome"] for item in answer["answers"]}
    for item in answer["answers"]:
        assert fhir[item["outcome"]] == pytest.approx(100 * item["probability"], abs=1e-6)
    benefit = resources(response, "RiskAssessment")[-1]["prediction"][0]["probabilityRange"]
    assert benefit["low"]["value"] == pytest.approx(100 * answer["benefit"]["low"], abs=1e-6)
    assert benefit["high"]["value"] == pytest.approx(100 * answer["benefit"]["high"], abs=1e-6)


def test_each_assessment_names_its_patient_basis_model_and_evidence(
    client: httpx.Client, sent_bundle: Json, models: dict[str, list[ServedModel]]
) -> None:
    response = send(client, sent_bundle)
    by_url = {entry["fullUrl"]: entry["resource"] for entry in response.json()["entry"]}
    targets = {item["target"][0]["reference"]: item for item in resources(response, "Provenance")}
    for url, assessment in by_url.items():
        if assessment["resourceType"] != "RiskAssessment":
            continue
        assert assessment["status"] == "final"
        assert "mitigation" not in assessment
        assert assessment["subject"] == {"reference": "urn:uuid:0"}
        assert {item["reference"] for item in assessment["basis"]} == {f"urn:uuid:{i}" for i in range(1, 8)}
        agents = [by_url[agent["who"]["reference"]] for agent in targets[url]["agent"]]
        assert {agent["resourceType"] for agent in agents} == {"Device"}
    toxicity = next(served for served in models["toxicity_any"] if "immune" in served.model.blocks)
    device = next(item for item in resources(response, "Device") if item["version"] == [{"value": toxicity.version}])
    assert {"system": "urn:x-taxokine:bundle-sha256", "value": toxicity.model.digest} in device["identifier"]
    assert len(toxicity.model.digest) == 64
    notes = str(resources(response, "RiskAssessment")[0]["note"])
    assert "Evidence:" in notes
    assert "not a medical device" in notes
    assert "Prediction day 0: " in notes
    assert "simulated" in notes


def test_an_abstention_has_no_probability_and_says_why(client: httpx.Client) -> None:
    response = send(client, bundle(PATIENT, medication("L01FF02", "2026-03-01"), stool({"Bacillus_terrae": 1.0})))
    assert response.status_code == 200
    Bundle.model_validate(response.json())
    assert set(probabilities(response).values()) == {None}
    assert all("rationale" in item["prediction"][0] for item in resources(response, "RiskAssessment"))
    assert "abstains" in str(resources(response, "RiskAssessment"))
    # That models learnt from simulated patients is no reason to abstain, and stands in a note.
    assert "abstains: the model learnt" not in str(resources(response, "RiskAssessment"))


OTHERS = [
    (observation(loinc("718-7"), "2026-02-28", valueQuantity=quantity(12, "g/dL")), "718-7 is no analyte"),
    (condition(ICD10, "C34.1"), "C34.1 decides no type of tumour"),
    (condition(ICD10, "I10"), "I10 decides no type"),
    (medication("A02BC01", "2026-02-01"), "A02BC01 is no immune checkpoint inhibitor"),
    (medication("L01XA02", "2025-02-01"), "not counted: it does not begin within 42 days"),
    ({"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}, "Encounter is not read"),
    (
        observation(loinc("26881-3"), "2026-05-01", valueQuantity=quantity(9, "pg/mL")),
        "of day 61, after the models' prediction day",
    ),
    (
        observation(loinc("1988-5"), "2026-02-01", status="entered-in-error", valueQuantity=quantity(9, "?")),
        "status entered-in-error has no effect",
    ),
    (
        observation(loinc("1988-5"), "2026-02-01", dataAbsentReason={"text": "clotted"}),
        "CRP was not measured: 'clotted'",
    ),
    (condition(ICD10, "C50.1", verificationStatus={"coding": [{"code": "refuted"}]}), "is refuted has no effect"),
]


@pytest.mark.parametrize(("other", "message"), OTHERS, ids=[message for _, message in OTHERS])
def test_what_is_not_used_is_named_and_changes_nothing(
    client: httpx.Client, sent_bundle: Json, other: Json, message: str
) -> None:
    plain = probabilities(send(client, sent_bundle))
    sent_bundle["entry"].append({"fullUrl": "urn:uuid:other", "resource": other})
    response = send(client, sent_bundle)
    assert response.status_code == 200, response.text
    assert message in diagnostics(response)
    assert "Bundle.entry[8]" in diagnostics(response)
    assert probabilities(response) == plain


REFUSED = [
    (observation(loinc("13629-1"), "2026-02-28", valueQuantity=quantity(3, "[IU]/mL")), "the unit is '[IU]/mL'"),
    (observation(loinc("13629-1"), "2026-02-28", valueQuantity=quantity(3, "mmol/L")), "the unit is 'mmol/L'"),
    (observation(loinc("13629-1"), "2026-02-28", valueQuantity={"value": 3}), "the unit is ''"),
    (observation(loinc("13629-1"), "2026-02-28", valueQuantity=quantity(-3, "pg/mL")), "negative"),
    (observation(loinc("13629-1"), "2026-02-28", valueString="high"), "there is no number"),
    (observation(loinc("26881-3"), "2026-02-28", valueQuantity=quantity(4, "pg/mL")), "two results of IL-6"),
    (
        {**observation(loinc("13629-1"), "2026-02-28"), "subject": {"reference": "Patient/c2"}},
        "its subject is not the Patient",
    ),
    ({**PATIENT, "id": "c2"}, "2 Patient resources"),
    (condition(ICD10, "C50.1"), "several types of tumour"),
    ({"resourceType": "Observation", "status": "final"}, "Field required"),
    (observation(loinc("13629-1"), "2026-02-28", status="finale"), "status"),
    (observation(loinc("13629-1"), "2026-02-31", valueQuantity=quantity(3, "pg/mL")), "out"),
    ({"resourceType": "Spaceship"}, "no type of FHIR R4"),
    ({**PATIENT, "favouriteColour": "red"}, "favouriteColour"),
    (stool({"A_b": 50}, unit="%") | {"effectiveDateTime": "2026-02-27", "method": {}}, "sum to"),
    (stool({"A_b": 1}, unit="kg") | {"effectiveDateTime": "2026-02-27"}, "the abundances are in 'kg'"),
    (stool({}) | {"effectiveDateTime": "2026-02-27", "component": []}, "one component"),
]


@pytest.mark.parametrize(("other", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_read_is_refused_by_name(
    client: httpx.Client, sent_bundle: Json, other: Json, message: str
) -> None:
    if "sum to" in message:
        other = other | {"component": [*other["component"], *stool({"C_d": 60}, unit="%")["component"]]}
    sent_bundle["entry"].append({"fullUrl": "urn:uuid:other", "resource": other})
    response = send(client, sent_bundle)
    assert response.status_code == 422, response.text
    assert message in diagnostics(response)


@pytest.mark.parametrize("content", [[], "text", 3, {}, {"resourceType": "Patient"}, {"entry": 3}])
def test_a_body_that_is_no_bundle_is_refused(client: httpx.Client, content: Any) -> None:
    response = client.post(PREDICT, json=content, headers={"Content-Type": "application/fhir+json"})
    assert response.status_code == 422
    assert diagnostics(response)


def test_errors_of_http_are_operation_outcomes(client: httpx.Client) -> None:
    fhir = {"Content-Type": "application/fhir+json"}
    statuses = {
        401: client.post(PREDICT, content="{}", headers=fhir | {"Authorization": "Bearer wrong"}),
        400: client.post(PREDICT, content="{", headers=fhir),
        415: client.post(PREDICT, content="<a/>", headers={"Content-Type": "application/fhir+xml"}),
        413: client.post(PREDICT, content=b" " * (2**21 + 1), headers=fhir),
    }
    for status, response in statuses.items():
        assert response.status_code == status
        assert response.json()["resourceType"] == "OperationOutcome"
        assert diagnostics(response)


def test_the_class_of_drugs_is_that_of_the_course(client: httpx.Client, sent_bundle: Json) -> None:
    def reasons(*drugs: Json) -> str:
        content = bundle(
            *[entry["resource"] for entry in sent_bundle["entry"] if entry["resource"].get("status") != "completed"]
        )
        content["entry"] += [{"fullUrl": f"urn:uuid:d{i}", "resource": drug} for i, drug in enumerate(drugs)]
        return diagnostics(send(client, content))

    assert "understood" in reasons(medication("L01FF01", "2026-03-01"), medication("L01FX04", "2026-03-01"))
    assert "days of samples are unknown" in reasons()
    assert "days of samples are unknown" in reasons(medication("L01FF01", "2026-03-01", status="not-done"))


def test_the_capabilities_are_public_and_conform(client: httpx.Client) -> None:
    response = client.get("/fhir/R4/metadata", headers={"Authorization": ""})
    assert response.status_code == 200
    statement = CapabilityStatement.model_validate(response.json())
    assert statement.fhirVersion == "4.0.1"


def test_the_example_of_the_openapi_document_is_answered(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"][PREDICT]["post"]
    content = operation["requestBody"]["content"]["application/fhir+json"]
    (example,) = content["schema"]["examples"]
    response = send(client, example)
    assert response.status_code == 200, response.text
    assert "error" not in diagnostics(response)
