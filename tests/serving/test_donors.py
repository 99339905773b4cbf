"""Donors compared over HTTP: the API, its document, and the page of a clinic's donors."""

from __future__ import annotations

import copy
import re
from types import SimpleNamespace

import httpx
import pytest

from features.cohort import read_cohort
from features.patient_course import PatientCourse, TreatmentEvent
from features.transplants import cohort_transplants
from models.donors import DonorStool, compare_donors
from models.predict import ServedModel
from serving.app import create_app
from serving.clinic import read_clinic
from serving.pages.views.donors import ChangeView, DonorsView
from serving.pages.views.parts import transplant_text
from serving.schemas import DonorComparisonRequest
from taxokine.simulation import Trial, simulate_trial
from training.engraftment.run import validated_bundle
from training.progress import Progress

from .conftest import PROFILER, running, table
from .test_openapi import response_schema, undocumented

COMPARISONS, WHAT_IF = "/v1/donor-comparisons", "/v1/what-if"
PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def http(models, key_and_accounts, engraftment):
    key, accounts = key_and_accounts
    with (
        running(create_app(models, accounts, engraftment=engraftment)) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client,
    ):
        yield client


@pytest.fixture
def request_body(candidate):
    stool = table().taxa
    donors = []
    for i in range(3):
        values = {name: float(value) for name, value in zip(stool.names, stool.values[20 + i], strict=True) if value}
        donor = {"id": f"d{i}", "cleared": i < 2}
        donors.append({**donor, "taxa": {"profiler": PROFILER, "unit": "proportions", "values": values}})
    return {**candidate, "donors": donors}


def test_every_field_of_a_comparison_is_documented_and_equals_that_of_the_models(
    http, request_body, models, engraftment
):
    response = http.post(COMPARISONS, json=request_body)
    assert response.status_code == 200, response.text
    document = http.get("/openapi.json").json()
    assert undocumented(response.json(), response_schema(document, "post", COMPARISONS), document) == []
    comparison = response.json()["comparison"]
    assert [donor["donor"] for donor in comparison["donors"]] == ["d0", "d1"]
    assert comparison["excluded"] == [{"donor": "d2", "reason": "not cleared by screening"}]
    assert "not an effect of transplant" in comparison["meaning"]
    assert comparison["transplants"] == 9
    request = DonorComparisonRequest.model_validate(request_body)
    expected = compare_donors(engraftment, models, request.candidate(), request.donor_stools())
    changes = expected.donors[0].changes
    assert [change["difference"] for change in comparison["donors"][0]["changes"]] == [
        change.difference for change in changes
    ]


def test_the_stool_after_a_transplant_can_be_put_into_a_prediction(http, request_body, client):
    body = {name: request_body[name] for name in ("patient", "taxa", "immune")}
    body |= {"changes": ["taxa:Genus0"], "donor_stool": request_body["donors"][0]["taxa"]}
    response = http.post(WHAT_IF, json=body)
    assert response.status_code == 200, response.text
    document = http.get("/openapi.json").json()
    assert undocumented(response.json(), response_schema(document, "post", WHAT_IF), document) == []
    comparison = response.json()["comparison"]
    assert "association, not effect" in comparison["meaning"]
    assert {item["patients"] for item in comparison["changes"]} == {9}
    before = http.post("/v1/predictions", json={name: body[name] for name in ("patient", "taxa", "immune")}).json()
    assert [shift["probability_before"] for shift in comparison["shifts"]] == [
        answer["probability"] for answer in before["answers"]
    ]
    # These models keep no validation, and so no median.
    del body["donor_stool"]
    assert "no model reports a training median" in http.post(WHAT_IF, json=body).text
    body["donor_stool"] = {**request_body["donors"][0]["taxa"], "profiler": "kraken2"}
    assert "the donor: kraken2" in http.post(WHAT_IF, json=body).text
    body["donor_stool"] = request_body["donors"][0]["taxa"]
    assert "taxokine engraftment train" in client.post(WHAT_IF, json=body).text


def test_what_cannot_be_compared_is_an_error_that_says_what_to_do(http, request_body, client):
    other = copy.deepcopy(request_body)
    other["donors"][1]["taxa"]["profiler"] = "kraken2"
    for body, message in (
        (other, "donor d1: kraken2"),
        ({**request_body, "taxa": None}, "send a stool profile"),
        ({**request_body, "donors": []}, "at least 1 item"),
        ({**request_body, "donors": [request_body["donors"][2]]}, "at least one donor cleared by screening"),
        ({**request_body, "donors": [request_body["donors"][0]] * 2}, "sent twice"),
    ):
        response = http.post(COMPARISONS, json=body)
        assert response.status_code == 422
        assert message in response.text
    assert client.post(COMPARISONS, json=request_body).status_code == 503
    assert "taxokine engraftment train" in client.post(COMPARISONS, json=request_body).text
    assert httpx.post(str(http.base_url).rstrip("/") + COMPARISONS, json=request_body).status_code == 401


def test_the_page_lists_donors_by_name_and_says_why(key_and_accounts, tmp_path, models):
    accounts = key_and_accounts[1]
    path = simulate_trial(tmp_path / "trial", Trial(n_patients=9, n_donors=3, n_taxa=40, seed=2))
    bundle = validated_bundle(cohort_transplants(read_cohort(path, path.parent)), ("simulated_fmt_ici",), Progress())
    accounts.add_user("dora", "clinician", PASSWORD)
    clinic = read_clinic(str(path), (0.0,))
    served = {outcome: [ServedModel(r[-1].model, outcome, "1", "", "candidate")] for outcome, r in models.items()}
    with (
        running(create_app(served, accounts, clinic, engraftment=bundle)) as url,
        httpx.Client(base_url=url, follow_redirects=True, timeout=30) as visitor,
    ):
        assert httpx.get(f"{url}/donors/SIM-001").status_code == 303
        visitor.post("/sign-in", data={"name": "dora", "password": PASSWORD, "to": "/"})
        assert 'href="/donors/SIM-001"' in visitor.get("/patients/SIM-001").text
        page = visitor.get("/donors/SIM-001")
        assert page.status_code == 200
        assert re.findall(r"<h2>(SIM-D\d+)</h2>", page.text) == ["SIM-D01", "SIM-D02", "SIM-D03"]
        course = clinic.patients["SIM-001"].course
        donor_names = re.findall(r"<h2>(SIM-D\d+)</h2>\s*<p><span class=\"tag\">donor given", page.text)
        assert donor_names == list(course.donors)
        assert ("Donors for SIM-001, retrospective</h1>" in page.text) == course.received_transplant
        assert f"donor {donor_names[0]}" in visitor.get("/").text
        for words in (
            "A model-implied difference, not an effect of transplant",
            "No donor is put before another.",
            "The 95% intervals are by donor: they rest on the errors at ",
            "3 donors left out in turn",
            "transplants of 3 donors",
            "does not test the model",
            "the model abstains",
            "simulated data",
        ):
            assert words in page.text
        assert visitor.get("/donors/SIM-999").status_code == 404


def test_the_clinic_knows_its_donors(tmp_path):
    path = simulate_trial(tmp_path / "trial", Trial(n_patients=4, n_donors=2, n_taxa=40, seed=2))
    donors = read_clinic(str(path), (0.0,)).donors
    assert [donor.name for donor in donors] == ["SIM-D01", "SIM-D02"]
    assert all(isinstance(donor, DonorStool) for donor in donors)
    assert sum(donors[0].profile.values.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("course", "clock", "text"),
    [
        (PatientCourse(), "day_fmt", ""),
        (PatientCourse(donors=("D1",)), "day_fmt", "transplant day 0, donor D1"),
        (PatientCourse(donors=("D1", "D2")), "day_ici", "transplant, donor D1, D2"),
        (PatientCourse(events=(TreatmentEvent("transplant", -4.0, ""),)), "day_ici", "transplant day −4"),
    ],
)
def test_a_transplant_that_took_place_is_said_with_its_day_and_donor(course, clock, text):
    assert transplant_text(course, clock) == text


@pytest.mark.parametrize(
    ("differences", "sides"),
    [((-0.03, -0.011), ("toxicity",)), ((0.02, 0.03), ("toxicity",)), ((-0.03, 0.02), ()), ((-0.03, -0.001), ()),
     ((-0.03,), ()), ((-0.03, None), ())],
)  # fmt: skip
def test_donors_that_all_move_a_prediction_alike_are_said_to(differences, sides):
    changes = tuple(
        (ChangeView("toxicity", SimpleNamespace(difference=item), "ok", "toxicity", None, None, (), ()),)
        for item in differences
    )
    view = DonorsView("P1", "day 0", SimpleNamespace(), (), changes, 5, "One", SimpleNamespace(), False, (), "")
    assert view.sides_moved_alike == sides
