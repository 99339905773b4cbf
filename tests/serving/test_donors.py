"""Donors compared over HTTP: the API, its document, and the page of a clinic's donors."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest

from features.cohort import read_cohort
from features.patient_course import PatientCourse, TreatmentEvent
from features.transplants import cohort_transplants
from models.donors import DonorStool, compare_donors
from models.patient_input import Candidate, StoolProfile
from models.predict import ServedModel
from serving.app import create_app
from serving.clinic import Clinic, read_clinic
from serving.number_text import points
from serving.pages.views.donors import ChangeMark, ChangeView, DonorsView, Recipient, StatedLimit
from serving.pages.views.parts import transplant_text
from serving.schemas import DonorComparisonRequest
from taxokine.simulation import Trial, simulate_trial
from training.engraftment.run import validated_bundle
from training.progress import Progress

from .conftest import PROFILER, running, table
from .test_openapi import response_schema, undocumented
from .test_pages import csrf

COMPARISONS, WHAT_IF = "/v1/donor-comparisons", "/v1/what-if"
PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def http(models, key_and_accounts, engraftment):
    key, accounts = key_and_accounts
    with (
        running(create_app(models, accounts, engraftment=engraftment)) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client,
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
        httpx.Client(base_url=url, follow_redirects=True) as visitor,
    ):
        assert httpx.get(f"{url}/donors/SIM-001").status_code == 303
        visitor.post("/sign-in", data={"name": "dora", "password": PASSWORD, "to": "/"})
        patient_page = visitor.get("/patients/SIM-001").text
        assert 'href="/donors/SIM-001"' in patient_page
        (donor,) = clinic.patients["SIM-001"].course.donors
        gave = f"Transplant day 0, donor {donor}. The model reads the patient&#39;s own"
        # In the verdict and in the text for the tumour board.
        assert patient_page.count(gave) == 2
        page = visitor.get("/donors/SIM-001")
        assert page.status_code == 200
        assert re.findall(r"<h2>(SIM-D\d+)", page.text) == ["SIM-D01", "SIM-D02", "SIM-D03"]
        course = clinic.patients["SIM-001"].course
        donor_names = re.findall(r"<h2>(SIM-D\d+) <span class=\"tag\">donor given", page.text)
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
            "simulated data",
        ):
            assert words in page.text
        assert re.findall(r"No change of (\w+) is stated for any donor[^:]*: the model abstains", page.text)
        assert page.text.count("the model abstains") <= 2
        assert visitor.get("/donors/SIM-999").status_code == 404


def test_the_clinics_donors_are_compared_for_an_uploaded_patient(key_and_accounts, candidate, models, engraftment):
    key, accounts = key_and_accounts
    accounts.add_user("dag", "clinician", PASSWORD)
    stools = [dict(zip(table().taxa.names, row.tolist(), strict=True)) for row in table().taxa.values[20:22]]
    donors = tuple(DonorStool(f"d{i}", StoolProfile(stool, "proportions", PROFILER)) for i, stool in enumerate(stools))
    clinic = Clinic("one", "One", "day_ici", 0.0, False, {}, donors)
    with (
        running(create_app(models, accounts, clinic, engraftment=engraftment)) as url,
        httpx.Client(base_url=url, follow_redirects=True, timeout=30) as visitor,
    ):
        token = csrf(visitor.post("/sign-in", data={"name": "dag", "password": PASSWORD, "to": "/upload"}))

        def sent(path, **patient):
            request = {name: candidate[name] for name in ("patient", "taxa", "immune")} | patient
            return visitor.post(path, data={"csrf": token, "request": json.dumps(request)}).text

        page = sent("/answer")
        assert '<form method="post" action="/donors"' in page
        page = sent("/donors")
        assert re.findall(r"<h2>(d\d)", page) == ["d0", "d1"]
        assert '<form method="post" action="/answer"' in page
        # Changes of both outcomes, as the API has them.
        body = {**candidate, "donors": [
            {"id": donor.name, "cleared": True,
             "taxa": {"profiler": PROFILER, "unit": "proportions", "values": donor.profile.values}} for donor in donors
        ]}  # fmt: skip
        api = httpx.post(url + COMPARISONS, json=body, headers={"Authorization": f"Bearer {key}"}).json()["comparison"]
        expected = [points(change["difference"]) for donor in api["donors"] for change in donor["changes"]]
        assert re.findall(r"with the stool expected after, (\S+) points?", page) == expected
        assert len(expected) == 4
        # Profiles of another profiler are not compared, and the page says so.
        page = sent("/answer", taxa={**candidate["taxa"], "profiler": "kraken2"})
        assert 'action="/donors"' not in page
        assert "Donors are not compared: this patient&#39;s stool was profiled with kraken2" in page
        page = sent("/answer", taxa=None)
        assert "Donors are not compared: no stool of this patient was profiled." in page


def test_no_page_links_to_donors_that_cannot_be_compared(key_and_accounts, tmp_path, models):
    accounts = key_and_accounts[1]
    path = simulate_trial(tmp_path / "trial", Trial(n_patients=9, n_donors=3, n_taxa=40, seed=2))
    bundle = validated_bundle(cohort_transplants(read_cohort(path, path.parent)), ("simulated_fmt_ici",), Progress())
    elsewhere = replace(bundle, evidence=replace(bundle.evidence, profiler="mpa_vOct22_CHOCOPhlAnSGB_202212"))
    accounts.add_user("dino", "clinician", PASSWORD)
    with (
        running(create_app(models, accounts, read_clinic(str(path), (0.0,)), engraftment=elsewhere)) as url,
        httpx.Client(base_url=url, follow_redirects=True, timeout=30) as visitor,
    ):
        visitor.post("/sign-in", data={"name": "dino", "password": PASSWORD, "to": "/"})
        page = visitor.get("/patients/SIM-001").text
        assert "/donors/" not in page + visitor.get("/").text
        reason = "profiled with simulated, that of the engraftment model with MetaPhlAn 4 (October 2022 database)"
        assert f"Donors are not compared: their stool was {reason}." in page


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
    assert view_of(changes).sides_moved_alike == sides


def view_of(changes):
    donors = tuple(SimpleNamespace(donor=f"D{i}") for i in range(len(changes)))
    comparison = SimpleNamespace(donors=donors)
    recipient = Recipient("P1", "day 0", Candidate())
    return DonorsView(recipient, comparison, tuple(changes), 5, "One", SimpleNamespace(), False)


def change_view(side, probability, reason=None, differences=()):
    mark = None if reason else ChangeMark(0.5, 0.4, 0.6)
    change = SimpleNamespace(probability_before=probability)
    shown_differences = (item for item in differences if item.is_shown)
    return ChangeView(side, change, "ok", side, reason, mark, differences, tuple(shown_differences))


@pytest.mark.parametrize(
    ("side", "probability", "end", "against_transplant"),
    [("response", 0.97, "upper", True), ("response", 0.05, "lower", False),
     ("toxicity", 0.95, "upper", False), ("toxicity", 0.01, "lower", True)],
)  # fmt: skip
def test_a_patient_at_the_limit_of_what_is_stated_is_told_which_way_a_change_can_go(
    side, probability, end, against_transplant
):
    (limit,) = view_of([(change_view(side, probability),)]).stated_limits
    assert limit == StatedLimit(side, end)
    assert limit.moves_against_transplant == against_transplant
    assert view_of([(change_view(side, 0.5),)]).stated_limits == ()
    assert view_of([(change_view(side, probability, "the model abstains"),)]).stated_limits == ()


def test_a_side_is_withheld_as_a_whole_if_no_donor_has_a_change_for_one_reason():
    withheld, response = change_view("toxicity", None, "not confirmed"), change_view("response", 0.5)
    assert view_of([(response, withheld)] * 2).withheld_sides == {"toxicity": withheld}
    assert view_of([(withheld,), (change_view("toxicity", 0.5),)]).withheld_sides == {}
    assert view_of([(withheld,), (change_view("toxicity", None, "abstains"),)]).withheld_sides == {}
