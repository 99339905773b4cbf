"""The API over HTTP."""

from __future__ import annotations

import copy
import json
import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from models.patient_input import to_model_input
from models.predict import NO_DONOR_READ, ServedModel
from serving.accounts import Accounts
from serving.api import MAX_BODY
from serving.app import create_app
from serving.logs import JsonFormatter
from serving.schemas import ErrorResponse, PredictionRequest

from .conftest import running

Json = dict[str, Any]
Models = dict[str, list[ServedModel]]
PATH = "/v1/predictions"


def failure(response: httpx.Response, status: int, code: str) -> Json:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    ErrorResponse.model_validate(body)
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "place", "problems"}
    assert body["error"]["code"] == code
    assert body["error"]["message"]
    error: Json = body["error"]
    return error


def answers(client: httpx.Client, candidate: Json) -> dict[str, Json]:
    response = client.post(PATH, json=candidate)
    assert response.status_code == 200, response.text
    return {answer["outcome"]: answer for answer in response.json()["answers"]}


@contextmanager
def logged(name: str) -> Iterator[list[str]]:
    """Collect the lines of a logger."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(JsonFormatter().format(record))  # type: ignore[method-assign]
    logging.getLogger(name).addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger(name).removeHandler(handler)


def with_value(candidate: Json, *keys: str | int, value: Any) -> Json:
    candidate = copy.deepcopy(candidate)
    inner: Any = candidate
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return candidate


def test_contributions_add_up_to_the_margin_and_calibrate_to_the_probability(
    client: httpx.Client, candidate: Json, models: Models
) -> None:
    predictions = answers(client, candidate)
    assert list(predictions) == list(models)
    for outcome, prediction in predictions.items():
        model = models[outcome][0].model
        explanation = prediction["explanation"]
        shap = [share["shap"] for share in explanation["contributions"]]
        assert math.isclose(explanation["base_value"] + math.fsum(shap), explanation["value"], abs_tol=1e-9)
        received = PredictionRequest.model_validate_json(json.dumps(candidate)).candidate()
        margin = model.predictor.margin(
            model.encoder.encode(to_model_input(received, model.encoder, model.units).values)
        )
        assert abs(explanation["value"] - margin[0]) < 1e-4
        assert prediction["probability"] == model.calibration.probability(np.float64(explanation["value"]))
        assert explanation["calibration"] == {"slope": 0.8, "intercept": -0.1}
        assert prediction["evidence"] == model.evidence.to_json()
        assert prediction["trust"]["verdict"] == "use with care"


def test_each_measurement_has_the_models_unit(client: httpx.Client, candidate: Json, models: Models) -> None:
    for outcome, prediction in answers(client, candidate).items():
        model = models[outcome][0].model
        units = {(item["block"], item["feature"]): item["unit"] for item in prediction["explanation"]["contributions"]}
        taxa = {
            unit for (block, name), unit in units.items() if block == "taxa" and name in model.encoder.names_["taxa"]
        }
        assert taxa == {"proportion"}
        assert {name: unit for (block, name), unit in units.items() if block == "immune"} == model.units
        assert {unit for (block, _), unit in units.items() if block not in {"taxa", "immune"}} <= {None}


def test_a_prediction_names_the_patient_and_its_limits(client: httpx.Client, candidate: Json) -> None:
    body = client.post(PATH, json=candidate).json()
    assert body["patient"] == {"id": "c1"}
    assert body["simulated"] is True
    assert "not a medical device" in body["notice"]


def test_every_answer_says_what_part_the_donor_has(client: httpx.Client, candidate: Json) -> None:
    recipient = {**candidate, "donor": {"taxa": candidate["taxa"]}}
    for request in (candidate, recipient):
        for answer in answers(client, request).values():
            assert answer["donor_part"] == NO_DONOR_READ


def test_every_answer_says_that_it_is_prognostic(client: httpx.Client, candidate: Json) -> None:
    unknown = with_value(candidate, "taxa", "values", value={"Bacillus_terrae": 0.9, "Genus0_species0": 0.1})
    for request in (candidate, unknown):
        for answer in answers(client, request).values():
            assert answer["interpretation"].startswith("Prognostic: no randomised arm stands behind this model.")


def test_a_prediction_has_a_range_and_a_distance_to_training(client: httpx.Client, candidate: Json) -> None:
    predictions = answers(client, candidate)
    ranges = {outcome: prediction["probability_range"] for outcome, prediction in predictions.items()}
    assert {outcome for outcome, interval in ranges.items() if interval} == {"objective_response"}
    assert 0 <= ranges["objective_response"]["low"] <= ranges["objective_response"]["high"] <= 1
    for prediction in predictions.values():
        assert prediction["trust"]["nearest_centre"] == "made_up"
        assert prediction["trust"]["distance"] == pytest.approx(predictions["disease_control"]["trust"]["distance"])


def test_a_card_is_a_page_without_scripts(client: httpx.Client, models: Models) -> None:
    for served in chain.from_iterable(models.values()):
        response = client.get(f"/v1/models/{served.name}/{served.version}/card")
        assert response.status_code == 200
        page = served.model.card_html
        # What has been validated since the training follows the card that the bundle keeps.
        assert response.text.startswith(page or served.model.card)
        assert "Not tested on another cohort." in response.text
        assert response.headers["content-type"] == ("text/html" if page else "text/plain") + "; charset=utf-8"
        policy = response.headers["content-security-policy"]
        assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["survival/0", "objective_response/9", "objective_response/2"])
def test_a_card_of_no_model_is_not_found(client: httpx.Client, path: str) -> None:
    error = failure(client.get(f"/v1/models/{path}/card"), 404, "not_found")
    name, version = path.split("/")
    assert error["message"].startswith(f"no model {name!r} of version {version!r} is served")


def test_a_card_needs_a_key(address: str) -> None:
    failure(httpx.get(address + "/v1/models/objective_response/0/card"), 401, "not_authorised")


def test_benefit_lies_within_its_bounds(client: httpx.Client, candidate: Json) -> None:
    body = client.post(PATH, json=candidate).json()
    r, t = (
        next(answer["probability"] for answer in body["answers"] if answer["outcome"] == outcome)
        for outcome in body["benefit"]["outcomes"]
    )
    assert body["benefit"] == {
        "low": max(0.0, r - t),
        "high": min(r, 1 - t),
        "outcomes": ["objective_response", "toxicity_any"],
        "reason": None,
        "unconfirmed_reason": None,
    }


def test_the_four_cells_contain_benefit_and_add_up_to_one(client: httpx.Client, candidate: Json) -> None:
    body = client.post(PATH, json=candidate).json()
    cells = body["cells"]
    assert cells["outcomes"] == body["benefit"]["outcomes"]
    assert cells["odds_ratio"]["patients"] == 140
    ends = ("low", "high")
    assert [cells["response_without_toxicity"][end] for end in ends] == [body["benefit"][end] for end in ends]
    names = (
        "response_without_toxicity",
        "response_with_toxicity",
        "no_response_no_toxicity",
        "toxicity_without_response",
    )
    assert sum(cells[name]["expected"] for name in names) == pytest.approx(1)
    # The evidence of the other outcome has no odds ratio of these two.
    body = client.post(PATH, json=candidate | {"outcomes": ["disease_control"]}).json()
    assert body["cells"]["odds_ratio"] is None
    assert body["cells"]["response_with_toxicity"]["expected"] is None


def test_a_prediction_has_the_outcomes_of_the_nearest_patients(client: httpx.Client, candidate: Json) -> None:
    nearest = answers(client, candidate)["objective_response"]["nearest"]
    assert [row["outcome"] for row in nearest] == ["objective_response"]
    assert nearest[0]["patients"] == 25


@pytest.mark.parametrize(
    ("requested", "predicted"),
    [
        (["toxicity_any"], ["toxicity_any", "objective_response", "disease_control"]),
        (["disease_control"], ["disease_control", "toxicity_any"]),
        (["toxicity_any", "disease_control"], ["toxicity_any", "disease_control"]),
        (["disease_control", "disease_control"], ["disease_control", "toxicity_any"]),
        (None, ["objective_response", "disease_control", "toxicity_any"]),
    ],
)
def test_response_and_toxicity_are_predicted_together(
    client: httpx.Client, candidate: Json, requested: list[str] | None, predicted: list[str]
) -> None:
    assert list(answers(client, candidate | {"outcomes": requested})) == predicted


def test_a_missing_side_is_the_reason_for_no_bounds(
    candidate: Json, models: Models, key_and_accounts: tuple[str, Accounts]
) -> None:
    key, accounts = key_and_accounts
    with running(create_app({"toxicity_any": models["toxicity_any"]}, accounts)) as url:
        response = httpx.post(url + PATH, json=candidate, headers={"Authorization": f"Bearer {key}"})
    assert response.json()["benefit"]["reason"] == "no model of response is registered"


def test_missing_blocks_select_another_model(client: httpx.Client, candidate: Json) -> None:
    assert answers(client, candidate)["toxicity_any"]["model"]["blocks"] == ["taxa", "immune", "clinical"]
    without_immune = candidate | {"immune": [item | {"value": None} for item in candidate["immune"]]}
    assert answers(client, without_immune)["toxicity_any"]["model"]["blocks"] == ["taxa"]


def test_unknown_taxa_lead_to_abstention(client: httpx.Client, candidate: Json) -> None:
    unknown = with_value(candidate, "taxa", "values", value={"Bacillus_terrae": 0.9, "Genus0_species0": 0.1})
    response = client.post(PATH, json=unknown)
    assert response.status_code == 200
    for answer in response.json()["answers"]:
        assert answer["probability"] is None
        assert answer["explanation"] is None
        assert answer["trust"]["verdict"] == "abstain"
        assert any("10%" in reason for reason in answer["trust"]["reasons"])
        assert "Bacillus_terrae" in answer["trust"]["unused"]
        assert answer["evidence"]["held_out_auroc"]
    assert response.json()["benefit"]["reason"] == "a model abstained"


BAD = [
    (("taxa", "values", "Genus0_species0"), -0.1, "taxa.values.Genus0_species0", "from 0 up"),
    (("taxa", "values", "Genus0_species0"), math.nan, "taxa.values.Genus0_species0", "nan"),
    (("taxa", "values", "Genus0_species0"), math.inf, "taxa.values.Genus0_species0", "inf"),
    (("taxa", "values", "Genus0_species0"), 10**400, "taxa.values.Genus0_species0", "number"),
    (("taxa", "values", "Genus0_species0"), "0.1", "taxa.values.Genus0_species0", "'0.1'"),
    (("taxa", "values", "Genus0_species0"), None, "taxa.values.Genus0_species0", "leave out"),
    (("taxa", "values", ""), 0.1, "taxa.values.", "1 character"),
    (("taxa", "values"), {}, "taxa.values", "at least 1"),
    (("taxa", "values"), {"Genus0_species0": 0}, "taxa.values", "no taxon has an abundance"),
    (("taxa", "values"), {"Genus0_species0": 60, "Genus1_species1": 40}, "taxa.values", "percent"),
    (("taxa", "values"), {"Genus0_species0": 0.1, "s__Genus0_species0": 0.1}, "taxa.values", "once"),
    (("taxa", "values"), [0.1], "taxa.values", "object"),
    (("taxa", "unit"), "%", "taxa.unit", "'percent'"),
    (("taxa", "unit"), "counts", "taxa.values", "whole numbers"),
    (("taxa", "day"), "last week", "taxa.day", "'last week'"),
    (("taxa", "reads"), 5, "taxa.reads", "remove it"),
    (("immune", 0, "value"), "low", "immune.0.value", "'low'"),
    (("immune", 0, "value"), "<1e300", "immune.0.value", "<1e300"),
    (("immune", 0, "value"), -2, "immune.0.value", "negative"),
    (("immune", 0, "value"), True, "immune.0.value", "True"),
    (("immune", 0, "value"), math.nan, "immune.0.value", "null"),
    (("immune", 0, "unit"), "IU/mL", "immune.0.unit", "'pg/mL'"),
    (("immune", 0, "unit"), "NPX", "immune", "the model reads IL-6 in pg/mL"),
    (("immune", 1, "analyte"), "IL-6", "immune", "two values of IL-6"),
    (("immune", 0, "lloq"), 3.2, "immune.0.lloq", "remove it"),
    (("immune",), {"IL-6": 3}, "immune", "array"),
    (("patient", "id"), 7, "patient.id", "got 7"),
    (("patient", "age"), math.nan, "patient.age", "null"),
    (("patient", "age"), 1e300, "patient.age", "1e+300"),
    (("patient", "age"), "old", "patient.age", "'old'"),
    (("patient", "age"), [61], "patient.age", "[61]"),
    (("patient", "sex"), "other", "patient.sex", "female, male"),
    (("patient",), None, "patient", "object"),
    (("outcomes",), ["survival"], "outcomes.0", "objective_response, disease_control, toxicity_any"),
    (("outcomes",), [], "outcomes", "at least 1"),
    (("sibling",), {}, "sibling", "remove it"),
]


@pytest.mark.parametrize(("keys", "value", "place", "words"), BAD)
def test_an_invalid_value_is_refused_with_its_place(
    client: httpx.Client, candidate: Json, keys: tuple[str | int, ...], value: Any, place: str, words: str
) -> None:
    body = json.dumps(with_value(candidate, *keys, value=value))
    response = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    error = failure(response, 422, "invalid_request")
    assert error["place"] == place
    assert words in error["message"]
    assert error["message"].startswith(place)
    assert response.headers["cache-control"] == "no-store"


def test_every_problem_is_listed_up_to_ten(client: httpx.Client, candidate: Json) -> None:
    candidate["immune"] = [{"analyte": "IL-6", "value": "3", "unit": "%"}] * 12
    error = failure(client.post(PATH, json=candidate | {"taxa": {}}), 422, "invalid_request")
    assert len(error["problems"]) == 10
    assert [problem["place"] for problem in error["problems"][:3]] == ["taxa.unit", "taxa.values", "immune.0.unit"]
    assert error["message"] == error["problems"][0]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"patient": {"id": "a"},}', b"\xff\xfe", b"[" * 100_000, b'"\\ud800"'])
def test_malformed_json_is_refused(client: httpx.Client, body: bytes) -> None:
    response = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    failure(response, 400, "malformed_json")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/csv"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_other_media_are_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    failure(client.post(PATH, content=b"{}", headers=headers), 415, "unsupported_media_type")


def test_a_large_body_is_refused_before_it_is_read(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    failure(client.post(PATH, content=b" " * 10_000_000, headers=headers), 413, "too_large")


def test_a_large_chunked_body_is_refused_while_it_streams(client: httpx.Client) -> None:
    sent = 0

    def chunks():
        nonlocal sent
        for _ in range(160):
            sent += 65536
            yield b" " * 65536

    headers = {"Content-Type": "application/json"}
    failure(client.post(PATH, content=chunks(), headers=headers), 413, "too_large")
    assert sent > MAX_BODY
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong", "Basic dXNlcjpwYXNz", "Bearer \xe9", "Bearer " + "a" * 5000]
)
@pytest.mark.parametrize(("method", "path"), [("POST", PATH), ("GET", "/v1/models")])
def test_a_key_is_required(address: str, candidate: Json, header: str | None, method: str, path: str) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    response = httpx.request(method, address + path, json=candidate, headers=headers)  # type: ignore[arg-type]
    failure(response, 401, "not_authorised")
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_key_in_the_url_is_not_accepted(address: str, key_and_accounts: tuple[str, Accounts]) -> None:
    failure(httpx.get(f"{address}/v1/models?api_key={key_and_accounts[0]}"), 401, "not_authorised")


def test_unknown_paths_and_methods_have_the_shape_of_errors(client: httpx.Client) -> None:
    failure(client.get("/v2/predictions"), 404, "not_found")
    failure(client.get("/v1/models/"), 404, "not_found")
    failure(client.get("/static-offline-docs/../../x"), 404, "not_found")
    assert failure(client.get(PATH), 405, "method_not_allowed")["message"].count("GET")
    assert client.get(PATH).headers["allow"] == "POST"


def test_health_needs_no_key(address: str) -> None:
    assert httpx.get(address + "/healthz").json() == {"status": "ok"}
    response = httpx.get(address + "/readyz")
    readiness = response.json()
    assert (readiness["status"], readiness["problems"], readiness["checked"]) == ("ready", [], None)
    assert readiness["models"][0] == "objective_response/0"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_without_models_the_server_is_up_and_not_ready(candidate: Json, key_and_accounts: tuple[str, Accounts]) -> None:
    key, accounts = key_and_accounts
    with running(create_app({}, accounts)) as url:
        assert httpx.get(url + "/healthz").status_code == 200
        failure(httpx.get(url + "/readyz"), 503, "model_missing")
        headers = {"Authorization": f"Bearer {key}"}
        failure(httpx.post(url + PATH, json=candidate, headers=headers), 503, "model_missing")
        assert httpx.get(url + "/v1/models", headers=headers).json() == {"models": []}


def test_the_log_of_an_unforeseen_failure_has_no_patient_data(
    candidate: Json, key_and_accounts: tuple[str, Accounts], models: Models
) -> None:
    key, accounts = key_and_accounts
    # A number in place of a model makes the real code fail.
    broken: Any = {"objective_response": [1], "toxicity_any": models["toxicity_any"]}
    with running(create_app(_Late(models, broken), accounts)) as url, logged("taxokine") as lines:
        request = {**candidate, "patient": {**candidate["patient"], "id": "a name to keep"}}
        response = httpx.post(url + PATH, json=request, headers={"Authorization": f"Bearer {key}"})
    error = failure(response, 500, "internal")
    assert response.headers["x-content-type-options"] == "nosniff"
    failed, answered = map(json.loads, lines)
    assert failed["error"] == "AttributeError"
    assert failed["trace"][-1].endswith("in select_model.<locals>.<lambda>")
    assert (answered["status"], answered["route"], answered["asker"]) == (500, PATH, "key tests")
    assert {failed["request"], answered["request"]} == {response.headers["x-request-id"]}
    assert error["message"].endswith(response.headers["x-request-id"])
    assert "a name to keep" not in "".join(lines)


class _Late(dict):  # type: ignore[type-arg]
    """Models that are valid when the application is created, and broken when it predicts."""

    def __init__(self, models: Models, broken: Models) -> None:
        super().__init__(models)
        self.broken = broken

    def __getitem__(self, outcome: str) -> Any:
        return self.broken[outcome]


def test_the_reference_names_every_route_and_field_and_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text
    for link in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert client.get(link).status_code == 200, link
    anchors = re.findall(r'href="#([^"]+)"', page.text)
    assert len(anchors) > 50
    assert set(anchors) <= set(re.findall(r'id="([^"]+)"', page.text))
    document = client.get("/openapi.json").json()
    for path in document["paths"]:
        assert path in page.text
    for schema in document["components"]["schemas"].values():
        for field in schema["properties"].values():
            assert escape(field["description"]) in page.text
    assert "unsafe-inline" not in page.headers["content-security-policy"]


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["<3.2", ">1e15", "OOR<", "NaN", "pg/mL", "percent", "counts", "NPX", "<-3", "IL-6", "toxicity_any"]
    ),
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
numbers = st.one_of(st.floats(0, 1), st.floats(-1e16, 1e16), st.integers(0, 10**15), scalars)
taxa_names = st.sampled_from([f"Genus{i % 9}_species{i}" for i in range(40)]) | st.text(max_size=12)
units = st.sampled_from(["pg/mL", "ng/mL", "NPX", "log2_expression", "unstated"])
requests = st.fixed_dictionaries(
    {
        "patient": st.fixed_dictionaries(
            {"id": st.text(min_size=1, max_size=3)}, optional={"age": numbers, "sex": scalars}
        )
    },
    optional={
        "taxa": st.fixed_dictionaries(
            {
                "unit": st.sampled_from(["counts", "proportions", "percent"]),
                "values": st.dictionaries(taxa_names, numbers, max_size=6),
            },
            optional={"day": numbers, "clock": scalars, "profiler": scalars},
        ),
        "immune": st.lists(
            st.fixed_dictionaries(
                {
                    "analyte": st.sampled_from(["IL-6", "IL8", "TNF"]) | st.text(max_size=6),
                    "value": numbers,
                    "unit": units,
                }
            ),
            max_size=4,
        ),
        "outcomes": st.lists(scalars, max_size=2),
    },
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=requests | anything)
def test_no_json_makes_the_server_fail(client: httpx.Client, body: Any) -> None:
    text = json.dumps(body)
    response = client.post(PATH, content=text, headers={"Content-Type": "application/json"})
    if response.status_code == 200:
        for answer in response.json()["answers"]:
            assert (answer["probability"] is None) == (answer["trust"]["verdict"] == "abstain")
            if answer["explanation"]:
                assert all(share["shap"] is not None for share in answer["explanation"]["contributions"])
    else:
        failure(response, response.status_code, {400: "malformed_json", 422: "invalid_request"}[response.status_code])
