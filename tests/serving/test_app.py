"""What the API answers, over HTTP."""

from __future__ import annotations

import copy
import json
import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.patient_input import to_model_input
from models.predict import ServedModel
from serving.accounts import Accounts
from serving.api import MAX_BODY
from serving.app import create_app
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
    found: Json = body["error"]
    return found


def answers(client: httpx.Client, candidate: Json) -> dict[str, Json]:
    response = client.post(PATH, json=candidate)
    assert response.status_code == 200, response.text
    return {said["outcome"]: said for said in response.json()["answers"]}


@contextmanager
def logged(name: str) -> Iterator[list[str]]:
    """Collect what a logger writes."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger(name).addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger(name).removeHandler(handler)


def changed(candidate: Json, *keys: str | int, to: Any) -> Json:
    candidate = copy.deepcopy(candidate)
    inner: Any = candidate
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    return candidate


def test_contributions_add_up_to_the_margin_and_calibrate_to_the_probability(
    client: httpx.Client, candidate: Json, models: Models
) -> None:
    found = answers(client, candidate)
    assert list(found) == list(models)
    for outcome, said in found.items():
        model = models[outcome][0].model
        explained = said["explanation"]
        shap = [share["shap"] for share in explained["contributions"]]
        assert math.isclose(explained["base_value"] + math.fsum(shap), explained["value"], abs_tol=1e-9)
        asked = PredictionRequest.model_validate_json(json.dumps(candidate)).candidate()
        margin = model.predictor.margin(model.encoder.encode(to_model_input(asked, model.encoder, model.units).values))
        assert abs(explained["value"] - margin[0]) < 1e-4
        assert said["probability"] == model.calibration.probability(np.float64(explained["value"]))
        assert explained["calibration"] == {"slope": 0.8, "intercept": -0.1}
        assert said["evidence"] == model.evidence.to_json()
        assert said["trust"]["verdict"] == "use with care"


def test_a_prediction_names_the_patient_and_its_limits(client: httpx.Client, candidate: Json) -> None:
    body = client.post(PATH, json=candidate).json()
    assert body["patient"] == {"id": "c1"}
    assert body["simulated"] is True
    assert "not a medical device" in body["notice"]


def test_a_range_and_the_place_of_the_patient_come_with_the_answer(client: httpx.Client, candidate: Json) -> None:
    found = answers(client, candidate)
    ranges = {outcome: said["probability_range"] for outcome, said in found.items()}
    assert {outcome for outcome, one in ranges.items() if one} == {"objective_response"}
    assert 0 <= ranges["objective_response"]["low"] <= ranges["objective_response"]["high"] <= 1
    for said in found.values():
        assert said["trust"]["nearest_cohort"] == "made_up"
        assert said["trust"]["distance"] == pytest.approx(found["disease_control"]["trust"]["distance"])


def test_a_card_is_a_page_where_nothing_runs(client: httpx.Client, models: Models) -> None:
    for served in (one for ranked in models.values() for one in ranked):
        response = client.get(f"/v1/models/{served.name}/{served.version}/card")
        assert response.status_code == 200
        page = served.model.card_html
        assert response.text == (page or served.model.card)
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
        next(said["probability"] for said in body["answers"] if said["outcome"] == outcome)
        for outcome in body["benefit"]["outcomes"]
    )
    assert body["benefit"] == {
        "low": max(0.0, r - t),
        "high": min(r, 1 - t),
        "outcomes": ["objective_response", "toxicity_any"],
        "reason": None,
    }


def test_the_four_cells_hold_benefit_and_every_patient(client: httpx.Client, candidate: Json) -> None:
    body = client.post(PATH, json=candidate).json()
    found = body["cells"]
    assert found["outcomes"] == body["benefit"]["outcomes"]
    assert found["odds_ratio"]["patients"] == 140
    ends = ("low", "high")
    assert [found["response_without_toxicity"][end] for end in ends] == [body["benefit"][end] for end in ends]
    names = ("response_without_toxicity", "both", "neither", "toxicity_without_response")
    assert sum(found[name]["expected"] for name in names) == pytest.approx(1)
    # In another outcome's evidence there is no odds ratio of these two.
    body = client.post(PATH, json=candidate | {"outcomes": ["disease_control"]}).json()
    assert body["cells"]["odds_ratio"] is None
    assert body["cells"]["both"]["expected"] is None


def test_how_the_nearest_training_patients_did_comes_along(client: httpx.Client, candidate: Json) -> None:
    found = {outcome: said["nearest"] for outcome, said in answers(client, candidate).items()}
    assert [one["outcome"] for one in found["objective_response"]] == ["objective_response"]
    assert found["objective_response"][0]["patients"] == 25


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (["toxicity_any"], ["toxicity_any", "objective_response", "disease_control"]),
        (["disease_control"], ["disease_control", "toxicity_any"]),
        (["toxicity_any", "disease_control"], ["toxicity_any", "disease_control"]),
        (["disease_control", "disease_control"], ["disease_control", "toxicity_any"]),
        (None, ["objective_response", "disease_control", "toxicity_any"]),
    ],
)
def test_response_and_toxicity_come_side_by_side(
    client: httpx.Client, candidate: Json, asked: list[str] | None, answered: list[str]
) -> None:
    assert list(answers(client, candidate | {"outcomes": asked})) == answered


def test_one_side_alone_says_that_the_other_is_missing(
    candidate: Json, models: Models, made: tuple[str, Accounts]
) -> None:
    key, accounts = made
    with running(create_app({"toxicity_any": models["toxicity_any"]}, accounts)) as url:
        response = httpx.post(url + PATH, json=candidate, headers={"Authorization": f"Bearer {key}"})
    assert response.json()["benefit"]["reason"] == "no model of response is registered"


def test_the_blocks_a_candidate_lacks_choose_another_model(client: httpx.Client, candidate: Json) -> None:
    assert answers(client, candidate)["toxicity_any"]["model"]["blocks"] == ["taxa", "immune", "clinical"]
    without = candidate | {"immune": [item | {"value": None} for item in candidate["immune"]]}
    assert answers(client, without)["toxicity_any"]["model"]["blocks"] == ["taxa"]


def test_unknown_taxa_lead_to_abstention(client: httpx.Client, candidate: Json) -> None:
    strange = changed(candidate, "taxa", "values", to={"Bacillus_terrae": 0.9, "Genus0_species0": 0.1})
    response = client.post(PATH, json=strange)
    assert response.status_code == 200
    for said in response.json()["answers"]:
        assert said["probability"] is None
        assert said["explanation"] is None
        assert said["trust"]["verdict"] == "abstain"
        assert any("10%" in reason for reason in said["trust"]["reasons"])
        assert "Bacillus_terrae" in said["trust"]["unused"]
        assert said["evidence"]["held_out_auroc"]
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
    (("immune", 0, "unit"), "mg/dL", "immune.0.unit", "'pg/mL'"),
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
    (("donor",), {}, "donor", "remove it"),
]


@pytest.mark.parametrize(("keys", "value", "place", "words"), BAD)
def test_what_cannot_be_read_is_refused(
    client: httpx.Client, candidate: Json, keys: tuple[str | int, ...], value: Any, place: str, words: str
) -> None:
    body = json.dumps(changed(candidate, *keys, to=value))
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
def test_malformed_json(client: httpx.Client, body: bytes) -> None:
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


def test_a_key_in_the_url_opens_nothing(address: str, made: tuple[str, Accounts]) -> None:
    failure(httpx.get(f"{address}/v1/models?api_key={made[0]}"), 401, "not_authorised")


def test_unknown_paths_and_methods_have_the_same_shape(client: httpx.Client) -> None:
    failure(client.get("/v2/predictions"), 404, "not_found")
    failure(client.get("/v1/models/"), 404, "not_found")
    failure(client.get("/static-offline-docs/../../x"), 404, "not_found")
    assert failure(client.get(PATH), 405, "method_not_allowed")["message"].count("GET")
    assert client.get(PATH).headers["allow"] == "POST"


def test_health_needs_no_key(address: str) -> None:
    assert httpx.get(address + "/healthz").json() == {"status": "ok"}
    response = httpx.get(address + "/readyz")
    assert response.json() == {"status": "ready"}
    assert response.headers["x-content-type-options"] == "nosniff"


def test_without_models_the_server_is_up_and_not_ready(candidate: Json, made: tuple[str, Accounts]) -> None:
    key, accounts = made
    with running(create_app({}, accounts)) as url:
        assert httpx.get(url + "/healthz").status_code == 200
        failure(httpx.get(url + "/readyz"), 503, "model_missing")
        headers = {"Authorization": f"Bearer {key}"}
        failure(httpx.post(url + PATH, json=candidate, headers=headers), 503, "model_missing")
        assert httpx.get(url + "/v1/models", headers=headers).json() == {"models": []}


def test_an_unforeseen_failure_tells_the_log_where_and_nobody_what(
    candidate: Json, made: tuple[str, Accounts], models: Models
) -> None:
    key, accounts = made
    # No model is a number: what fails is real code, on what it never expects.
    broken: Any = {"objective_response": [1], "toxicity_any": models["toxicity_any"]}
    with running(create_app(_Late(models, broken), accounts)) as url, logged("uvicorn.error") as lines:
        asked = {**candidate, "patient": {**candidate["patient"], "id": "a name to keep"}}
        response = httpx.post(url + PATH, json=asked, headers={"Authorization": f"Bearer {key}"})
    error = failure(response, 500, "internal")
    assert response.headers["x-content-type-options"] == "nosniff"
    number = error["message"].rsplit(" ", 1)[-1]
    assert len(lines) == 1
    assert number in lines[0]
    assert "AttributeError" in lines[0]
    assert "predict" in lines[0]
    assert "a name to keep" not in lines[0]


class _Late(dict):  # type: ignore[type-arg]
    """Models that are sound when the application is made, and broken when it is asked."""

    def __init__(self, models: Models, broken: Models) -> None:
        super().__init__(models)
        self.broken = broken

    def __getitem__(self, outcome: str) -> Any:
        return self.broken[outcome]


def test_the_docs_bring_their_own_assets(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) == 3
    for asset in assets:
        assert asset.startswith("/")
        assert client.get(asset).status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]


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
def test_no_json_whatever_makes_the_server_fail(client: httpx.Client, body: Any) -> None:
    text = json.dumps(body)
    response = client.post(PATH, content=text, headers={"Content-Type": "application/json"})
    if response.status_code == 200:
        for said in response.json()["answers"]:
            assert (said["probability"] is None) == (said["trust"]["verdict"] == "abstain")
            if said["explanation"]:
                assert all(share["shap"] is not None for share in said["explanation"]["contributions"])
    else:
        failure(response, response.status_code, {400: "malformed_json", 422: "invalid_request"}[response.status_code])
