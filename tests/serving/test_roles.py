"""Every route, asked by everybody who may ask a server: who is answered, and how the others are refused."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from models.predict import ServedModel
from serving.cds_hooks.service import SERVICE
from serving.fhir.example import EXAMPLE as BUNDLE
from serving.schemas import EXAMPLE

from .whole_site import ROLES, Site, whole_site

Json = dict[str, Any]
SIGN_IN = "a page for everybody who is signed in"
RESEARCHERS = "a page for researchers"
KEY = "for programs with a key"
CLIENT = "for clients of CDS Hooks"
ANYBODY = "for everybody"
STOOL = {"profiler": "simulated", "unit": "proportions", "values": {"Genus0_species0": 0.6, "Genus1_species1": 0.4}}
PREDICTION = {"patient": {"id": "c1"}, "taxa": STOOL}


@dataclass(frozen=True)
class Row:
    """A route: whom it answers, with which status, and what to send."""

    access: str
    status: int
    path: str = ""
    json: Json | None = None
    content: str = ""
    media_type: str = ""
    form: Mapping[str, str] = field(default_factory=dict)

    def expected(self, role: str) -> int:
        """Return the status of the answer to one of `ROLES`."""
        is_user = role.startswith(("clinician", "researcher"))
        match self.access:
            case _ if self.access == ANYBODY:
                return self.status
            case _ if self.access == SIGN_IN:
                return self.status if is_user else 303
            case _ if self.access == RESEARCHERS:
                return (self.status if role.startswith("researcher") else 403) if is_user else 303
            case _ if self.access == KEY:
                return self.status if role == "key" else 401
        return self.status if role == "client of CDS Hooks" else 401


MATRIX = {
    "GET /openapi.json": Row(ANYBODY, 200),
    "HEAD /openapi.json": Row(ANYBODY, 200),
    "GET /healthz": Row(ANYBODY, 200),
    "GET /readyz": Row(ANYBODY, 200),
    # From another machine it needs a key: tests/serving/test_metrics.py.
    "GET /metrics": Row(ANYBODY, 200),
    "GET /docs": Row(ANYBODY, 200),
    "GET /fhir/R4/metadata": Row(ANYBODY, 200),
    "GET /sign-in": Row(ANYBODY, 200),
    "POST /sign-in": Row(ANYBODY, 401, form={"password": "a guess"}),
    "GET /sign-in/provider": Row(ANYBODY, 503),
    "GET /sign-in/provider/callback": Row(ANYBODY, 403),
    "GET /sign-in/provider/sign-out": Row(ANYBODY, 303),
    "GET /": Row(SIGN_IN, 200),
    "GET /patients/{patient_id:path}": Row(SIGN_IN, 200, "/patients/SIM-001"),
    "GET /donors/{patient_id:path}": Row(SIGN_IN, 200, "/donors/SIM-001"),
    "POST /donors": Row(SIGN_IN, 200, form={"request": json.dumps(PREDICTION)}),
    # The models of these tests keep no validation, so no median patient.
    "GET /example": Row(SIGN_IN, 404),
    "GET /upload": Row(SIGN_IN, 200),
    "POST /upload": Row(SIGN_IN, 200, form={"patient": "c1"}),
    "POST /outcomes": Row(SIGN_IN, 303, form={"response": "disease_control"}),
    "POST /answer": Row(SIGN_IN, 200, form={"request": json.dumps(PREDICTION)}),
    "POST /sign-out": Row(SIGN_IN, 303, form={"a": "b"}),
    "GET /models": Row(RESEARCHERS, 200),
    "GET /models/{name}/{version}/card": Row(RESEARCHERS, 200, "/models/objective_response/0/card"),
    "POST /models/{name}/{version}/validations": Row(
        RESEARCHERS, 404, "/models/objective_response/0/validations", form={"cohort": "mine"}
    ),
    "GET /v1/models": Row(KEY, 200),
    "GET /v1/models/{name}/{version}/card": Row(KEY, 200, "/v1/models/objective_response/0/card"),
    "GET /v1/models/{name}/performance": Row(KEY, 200, "/v1/models/objective_response/performance"),
    "POST /v1/predictions": Row(KEY, 200, json=EXAMPLE),
    "POST /v1/what-if": Row(KEY, 200, json={**PREDICTION, "changes": ["taxa:Genus0_species0"], "donor_stool": STOOL}),
    "POST /v1/donor-comparisons": Row(
        KEY, 200, json={**PREDICTION, "donors": [{"id": name, "cleared": True, "taxa": STOOL} for name in ("d1", "d2")]}
    ),
    "POST /v1/predictions/batch": Row(KEY, 200, content="patient,taxa:Genus0_species0\nc1,1\n", media_type="text/csv"),
    "POST /v1/outcomes": Row(
        KEY, 404, json={"record": 10**6, "assessed": "2026-01-01", "outcomes": {"toxicity_any": True}}
    ),
    "POST /fhir/R4/RiskAssessment/$predict": Row(KEY, 200, json=BUNDLE),
    "GET /cds-services": Row(CLIENT, 200),
    "POST /cds-services/{service}": Row(CLIENT, 200, f"/cds-services/{SERVICE}"),
    "POST /cds-services/{service}/feedback": Row(
        CLIENT, 200, f"/cds-services/{SERVICE}/feedback",
        json={"feedback": [{"card": "c", "outcome": "accepted", "outcomeTimestamp": "2026-01-01T00:00:00Z"}]},
    ),
    "GET /static": Row(ANYBODY, 200, "/static/style.css"),
}  # fmt: skip


@pytest.fixture(scope="module")
def site(models: Mapping[str, list[ServedModel]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with whole_site(models, tmp_path_factory.mktemp("site")) as site:
        yield site


def test_every_route_has_its_row(site: Site) -> None:
    contexts = list(iter_route_contexts(site.app.routes))
    routes = {f"{method} {context.path}" for context in contexts for method in context.methods or {"GET"}}
    assert routes == set(MATRIX)


def send(http: httpx.Client, route: str, call: Json, csrf: bool = True) -> httpx.Response:
    row, (method, template) = MATRIX[route], route.split()
    path, headers = row.path or template, {"Content-Type": row.media_type} if row.media_type else {}
    form = dict(row.form)
    if form and csrf and (token := re.search(r'name="csrf" value="(\w+)"', http.get("/upload").text)):
        form["csrf"] = token[1]
    if route == "POST /sign-in":
        # After some guesses of a name the next ones are refused.
        form["name"] = secrets.token_hex(8)
    files = {"taxa": ("a.tsv", b"taxon\tabundance\nGenus0_species0\t100\n")} if route == "POST /upload" else None
    body = call if template == "/cds-services/{service}" else row.json
    content = row.content or None
    return http.request(method, path, json=body, content=content, data=form or None, files=files, headers=headers)


@pytest.mark.parametrize("role", ROLES)
def test_each_route_answers_those_whom_it_is_for_and_refuses_the_others(site: Site, role: str, call: Json) -> None:
    statuses = {}
    for route, row in MATRIX.items():
        # Each route is asked anew: signing out ends a session, and a token of CDS Hooks counts once.
        with site.client(role, row.path or route.split()[1]) as http:
            response = send(http, route, call)
        statuses[route] = response.status_code
        if response.status_code == 303 and row.access != ANYBODY and row.status != 303:
            assert response.headers["location"].startswith("/sign-in"), route
        if row.expected(role) in {303, 401, 403}:
            assert "SIM-0" not in response.text
            assert '"answers"' not in response.text
    assert statuses == {route: row.expected(role) for route, row in MATRIX.items()}


@pytest.mark.parametrize("role", ["clinician", "researcher of the provider"])
def test_no_form_is_taken_without_the_token_of_the_session(site: Site, role: str, call: Json) -> None:
    for route, row in MATRIX.items():
        if row.form and row.access != ANYBODY:
            with site.client(role) as http:
                assert send(http, route, call, csrf=False).status_code == 403, route
