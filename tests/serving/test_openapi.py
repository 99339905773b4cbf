"""The OpenAPI document describes every field of every response, and each field has a description."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.bundle import load_bundle
from models.predict import ServedModel
from serving.accounts import Accounts
from serving.app import create_app
from serving.schemas import PredictionRequest

from .conftest import running

Json = dict[str, Any]
PREDICTIONS = "/v1/predictions"
UNKNOWN_TAXA = {"unit": "proportions", "values": {"Bacillus_terrae": 1.0}}
GOLDEN = sorted(path for path in (Path(__file__).parents[1] / "models" / "golden").iterdir() if path.is_dir())
_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def undocumented(value: Any, schema: Json, document: Json, place: str = "") -> list[str]:
    """Return the places where a JSON value departs from its schema, with additional properties forbidden everywhere."""
    if "$ref" in schema:
        return undocumented(value, _resolve(schema["$ref"], document), document, place)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            problems = [undocumented(value, option, document, place) for option in schema[keyword]]
            return min(problems, key=len)
    if "type" in schema and not _has_type(value, schema["type"]):
        return [f"{place}: {value!r} is not of type {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place}: {value!r} is none of {schema['enum']}"]
    if isinstance(value, list):
        prefix = schema.get("prefixItems", [])
        schemas = [*prefix, *[schema.get("items", {})] * (len(value) - len(prefix))]
        items = zip(value, schemas, strict=True)
        return [text for i, item in enumerate(items) for text in undocumented(*item, document, f"{place}.{i}")]
    if isinstance(value, dict):
        return _undocumented_fields(value, schema, document, place)
    return [] if schema.keys() & {"type", "const", "enum"} else [f"{place}: the schema is empty"]


def _undocumented_fields(value: Json, schema: Json, document: Json, place: str) -> list[str]:
    properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
    problems = [f"{place}.{key}: missing" for key in schema.get("required", ()) if key not in value]
    for key, item in value.items():
        item_schema = properties.get(key, additional if isinstance(additional, dict) else None)
        if item_schema is None:
            problems.append(f"{place}.{key}: no field of the schema")
        else:
            problems += undocumented(item, item_schema, document, f"{place}.{key}")
    return problems


def _has_type(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _resolve(reference: str, document: Json) -> Json:
    schema: Json = document
    for key in reference.removeprefix("#/").split("/"):
        schema = schema[key]
    return schema


def response_schema(document: Json, method: str, path: str) -> Json:
    schema: Json = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
    return schema


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> Json:
    document: Json = client.get("/openapi.json").json()
    return document


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name)
def golden_bundle(request: pytest.FixtureRequest) -> Path:
    bundle: Path = request.param
    return bundle


@pytest.fixture
def golden_client(golden_bundle: Path, key_and_accounts: tuple[str, Accounts]) -> Iterator[httpx.Client]:
    model = load_bundle(golden_bundle)
    models = {model.outcome: [ServedModel(model, model.outcome, "1", "", "champion")]}
    with (
        running(create_app(models, key_and_accounts[1])) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key_and_accounts[0]}"}) as client,
    ):
        yield client


def golden_requests(bundle: Path, units: dict[str, str]) -> list[Json]:
    requests: list[Json] = []
    for numbers in json.loads(bundle.with_suffix(".json").read_text())["candidates"]:
        taxa = {name: value for name, value in numbers["taxa"].items() if value}
        total = sum(taxa.values())
        profile = {"unit": "proportions", "values": {name: value / total for name, value in taxa.items()}}
        immune = [
            {"analyte": name.removesuffix(" mRNA"), "value": value, "unit": units[name]}
            for name, value in numbers["immune"].items()
            if value is not None
        ]
        fields = {name: value for name, value in numbers["clinical"].items() if "=" not in name}
        levels = dict(name.split("=") for name, value in numbers["clinical"].items() if "=" in name and value)
        requests.append(
            {"patient": {"id": "golden", **fields, **levels}, "taxa": profile if taxa else None, "immune": immune}
        )
    return [*requests, {"patient": {"id": "unknown taxa"}, "taxa": UNKNOWN_TAXA}, {"patient": {"id": "empty"}}]


def test_every_field_of_a_prediction_is_documented(client: httpx.Client, candidate: Json, document: Json) -> None:
    unknown_taxa = candidate | {"taxa": UNKNOWN_TAXA}
    schema = response_schema(document, "post", PREDICTIONS)
    for request in (candidate, candidate | {"immune": []}, unknown_taxa, {"patient": {"id": "empty"}}):
        response = client.post(PREDICTIONS, json=request)
        assert response.status_code == 200
        assert undocumented(response.json(), schema, document) == []


def test_a_further_application_reads_the_source_of_no_response(
    models: dict[str, list[ServedModel]], key_and_accounts: tuple[str, Accounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    create_app(models, key_and_accounts[1])
    sources: list[object] = []
    read_source = inspect.getsourcelines
    monkeypatch.setattr(inspect, "getsourcelines", lambda item: sources.append(item) or read_source(item))
    create_app(models, key_and_accounts[1])
    assert sources == []


def test_every_field_of_the_predictions_of_golden_bundles_is_documented(
    golden_bundle: Path, golden_client: httpx.Client, document: Json
) -> None:
    models = golden_client.get("/v1/models").json()
    assert undocumented(models, response_schema(document, "get", "/v1/models"), document) == []
    verdicts = set()
    schema = response_schema(document, "post", PREDICTIONS)
    for request in golden_requests(golden_bundle, models["models"][0]["units"]):
        response = golden_client.post(PREDICTIONS, json=request)
        assert response.status_code == 200, response.text
        assert undocumented(response.json(), schema, document) == []
        verdicts |= {prediction["trust"]["verdict"] for prediction in response.json()["answers"]}
    assert "abstain" in verdicts
    assert len(verdicts) > 1


@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/readyz"])
def test_every_field_of_other_responses_is_documented(client: httpx.Client, document: Json, path: str) -> None:
    assert undocumented(client.get(path).json(), response_schema(document, "get", path), document) == []


def test_every_field_of_an_error_is_documented(client: httpx.Client, document: Json) -> None:
    schema = document["components"]["schemas"]["ErrorResponse"]
    assert undocumented(client.post(PREDICTIONS, json={}).json(), schema, document) == []


def test_the_walk_finds_what_a_schema_does_not_describe(client: httpx.Client, candidate: Json, document: Json) -> None:
    body = client.post(PREDICTIONS, json=candidate).json()
    body["answers"][0]["evidence"]["secret"] = 1
    del body["answers"][0]["trust"]["verdict"]
    body["simulated"] = "no"
    problems = undocumented(body, response_schema(document, "post", PREDICTIONS), document)
    assert sorted(problem.partition(":")[0] for problem in problems) == [
        ".answers.0.evidence.secret",
        ".answers.0.trust.verdict",
        ".simulated",
    ]


def test_every_field_has_a_description(document: Json) -> None:
    schemas = document["components"]["schemas"]
    fields = {
        f"{name}.{field}": field_schema
        for name, schema in schemas.items()
        for field, field_schema in schema["properties"].items()
    }
    assert len(fields) > 100
    assert [field for field, schema in fields.items() if not schema.get("description")] == []
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []


def test_the_document_describes_requests_keys_and_errors(client: httpx.Client, document: Json) -> None:
    schemas = document["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", json.dumps(document)):
        assert name in schemas
    assert {"PredictionRequest", "PredictionResponse", "ErrorResponse", "Evidence"} <= set(schemas)
    assert document["paths"][PREDICTIONS]["post"]["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    example = json.dumps(schemas["PredictionRequest"]["example"])
    PredictionRequest.model_validate_json(example).candidate()
