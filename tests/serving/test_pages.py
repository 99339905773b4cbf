"""The pages over HTTP: access, forms, and what each page may load."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from html import unescape

import httpx
import numpy as np
import pytest

from features.columns import levels_by_field
from models.evidence import TrainingPopulation
from serving.accounts import MAX_FAILURES
from serving.app import create_app
from serving.clinic import read_clinic
from serving.pages.form_files import MAX_PACKED, pack_files, unpack
from serving.schemas import NOTICE
from serving.upload import UploadChoices, UploadedFile
from taxokine.simulation import Trial, simulate_trial

from .conftest import running

PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def site(models, key_and_accounts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = simulate_trial(
        tmp_path_factory.mktemp("trial") / "all", Trial(n_patients=12, n_taxa=40, visits=(-7, 28), seed=2)
    )
    for name, role in (("anna", "clinician"), ("ada", "researcher")):
        key_and_accounts[1].add_user(name, role, PASSWORD)
    with running(
        create_app(models, key_and_accounts[1], read_clinic(str(path), (0.0,)), "http://127.0.0.1:5000")
    ) as url:
        yield url


@pytest.fixture
def visitor(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site, follow_redirects=True) as client:
        signed_in(client, "anna")
        yield client


def signed_in(client: httpx.Client, name: str) -> httpx.Response:
    return client.post("/sign-in", data={"name": name, "password": PASSWORD, "to": "/"})


def csrf(page: httpx.Response) -> str:
    return re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)[1]


@pytest.mark.parametrize("path", ["/", "/patients/SIM-001", "/example", "/upload", "/models", "/models/a/1/card"])
def test_every_page_needs_a_sign_in(site, path):
    response = httpx.get(site + path)
    assert response.status_code == 303
    assert response.headers["location"].startswith("/sign-in?to=")
    assert "SIM-" not in response.text


def test_sign_in_leads_back_to_the_requested_page(site):
    with httpx.Client(base_url=site, follow_redirects=True) as client:
        page = client.get("/patients/SIM-001?visit=1")
        target = re.search(r'name="to" value="([^"]*)"', page.text)[1]
        page = client.post("/sign-in", data={"name": "anna", "password": PASSWORD, "to": target})
        assert str(page.url) == f"{site}/patients/SIM-001?visit=1"


@pytest.mark.parametrize(
    "target", ["https://elsewhere.test/", "//elsewhere.test", "/\\elsewhere.test", "javascript:alert(1)", ""]
)
def test_sign_in_never_redirects_to_another_site(site, target):
    response = httpx.post(f"{site}/sign-in", data={"name": "anna", "password": PASSWORD, "to": target})
    assert (response.status_code, response.headers["location"]) == (303, "/")


def test_a_wrong_name_and_a_wrong_password_get_the_same_response(site):
    responses = [httpx.post(f"{site}/sign-in", data={"name": name, "password": "wrong"}) for name in ("anna", "nobody")]
    assert [response.status_code for response in responses] == [401, 401]
    assert responses[0].text == responses[1].text
    assert "set-cookie" not in responses[0].headers


def test_a_locked_name_gets_the_time_of_the_next_attempt(site):
    for _ in range(MAX_FAILURES):
        assert httpx.post(f"{site}/sign-in", data={"name": "mallory", "password": "wrong"}).status_code == 401
    response = httpx.post(f"{site}/sign-in", data={"name": "mallory", "password": "wrong"})
    assert response.status_code == 429
    assert 0 < int(response.headers["retry-after"]) <= 15 * 60
    assert "try again in 15 min" in response.text


def test_scripts_and_other_sites_cannot_read_the_cookie(site):
    response = httpx.post(f"{site}/sign-in", data={"name": "anna", "password": PASSWORD})
    attributes = {part.strip().lower() for part in response.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= attributes


def test_the_sign_in_states_the_use_above_the_name(site):
    page = httpx.get(f"{site}/sign-in").text
    use = page.index("Research use, not a medical device.</strong> A demonstration with simulated patients.")
    assert use < page.index('name="name"')
    real = create_app({}, None)
    assert not real.state.is_demonstration


def test_a_mistyped_address_is_no_alarm_and_leads_back(visitor):
    page = visitor.get("/nothing-here", headers={"Accept": "text/html"})
    assert page.status_code == 404
    main = page.text[page.text.index("<main") : page.text.index("</main>")]
    assert 'role="alert"' not in main
    assert re.findall(r"<a [^>]+>", main) == ['<a href="/">']
    refused = visitor.get("/models")
    assert refused.status_code == 403
    assert 'role="alert"' in refused.text


def test_sign_out_ends_the_session(site):
    with httpx.Client(base_url=site, follow_redirects=True) as client:
        page = signed_in(client, "anna")
        cookies = dict(client.cookies)
        client.post("/sign-out", data={"csrf": csrf(page)})
        assert httpx.get(f"{site}/", cookies=cookies).status_code == 303


def test_a_form_needs_the_token_of_the_session_and_this_origin(visitor):
    file = {"taxa": ("a.tsv", b"taxon\tabundance\nGenus0_species0\t1\n")}
    page = visitor.get("/upload")
    assert "Days are counted from" in page.text
    assert '<option value="day_ici">the first dose of immune checkpoint inhibitors</option>' in page.text
    assert visitor.post("/upload", files=file).status_code == 403
    assert visitor.post("/upload", data={"csrf": "é" * 64}, files=file).status_code == 403
    form = {"data": {"csrf": csrf(page)}, "files": file}
    assert visitor.post("/upload", **form, headers={"Origin": "https://elsewhere.test"}).status_code == 403
    assert visitor.post("/upload", **form).status_code == 200


def test_every_page_loads_local_files_only_and_is_not_stored(visitor):
    for path in ("/", "/patients/SIM-001", "/example", "/upload", "/nowhere-at-all", "/patients/nobody", "/sign-in"):
        response = visitor.get(path)
        policy = response.headers["content-security-policy"]
        if path != "/nowhere-at-all":
            assert "default-src 'none'" in policy
            assert "unsafe-inline" not in policy
            assert response.headers["cache-control"] == "no-store"
            assert not re.search(r"\sstyle=|<style|\son\w+=|<script>", response.text), path
    assert len(visitor.get("/patients/SIM-001").content) + sum(
        len(visitor.get(f"/static/{name}").content) for name in ("style.css", "taxokine.js", "favicon.svg")
    ) < 300_000  # fmt: skip


def test_an_unknown_patient_gets_an_error_page(visitor):
    response = visitor.get("/patients/<script>alert(1)")
    assert response.status_code == 404
    assert "has no patient" in response.text
    assert "<script>alert" not in response.text


def test_models_of_few_patients_have_no_example(visitor):
    # The models of these tests keep no validation, so no median.
    assert_is_page(visitor.get("/example"), 404, "too few patients")


BROWSER = {"Accept": "text/html,application/xhtml+xml"}


def assert_is_page(response: httpx.Response, status: int, words: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert words in response.text
    assert 'class="brand"' in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "no page at /nowhere"),
        ("/patients", 404, "no page at /patients"),
        ("/static/none.css", 404, "no page at"),
        ("/patients/nobody", 404, "has no patient"),
        ("/patients/SIM-001?visit=last", 422, "got &#39;last&#39;"),
        ("/patients/SIM-001?worth=much", 422, "got &#39;much&#39;"),
        ("/example?worth=", 422, "Worth: got"),
        ("/answer", 405, "does not take GET"),
    ],
)
def test_what_a_browser_cannot_open_gets_a_page(visitor, path, status, words):
    assert_is_page(visitor.get(path, headers=BROWSER), status, words)


def test_a_path_that_no_browser_asks_for_gets_json(visitor):
    assert visitor.get("/nowhere").json()["error"]["code"] == "not_found"
    assert visitor.get("/v1/nowhere", headers=BROWSER).json()["error"]["code"] == "not_found"
    assert visitor.get("/v1/models", headers=BROWSER).json()["error"]["code"] == "not_authorised"


@pytest.mark.parametrize("worth", ["nan", "inf", "-1", "0", "1e300"])
def test_every_weight_that_is_a_number_gives_the_page_of_the_patient(visitor, worth):
    assert visitor.get(f"/patients/SIM-001?worth={worth}").status_code == 200


def test_a_crash_gets_a_page_that_quotes_nothing(visitor, monkeypatch):
    def crash(*_: object) -> None:
        raise RuntimeError("patient Jane Doe")

    monkeypatch.setattr("serving.pages.routes.patient_view", crash)
    response = visitor.get("/patients/SIM-001")
    assert_is_page(response, 500, "its log has the place, under")
    assert "Jane" not in response.text


def test_the_page_as_text_says_what_the_page_says(visitor):
    page = visitor.get("/patients/SIM-001").text
    text = unescape(re.search(r'<pre id="board">(.*?)</pre>', page, re.DOTALL)[1])
    assert len(text.splitlines()) <= 25
    assert "<" not in re.sub(r"<\d", "", text)
    assert text.splitlines()[0].startswith("SIM-001: ")
    assert f"{date.today():%d %B %Y}. {NOTICE}" in text
    for verdict in re.findall(
        r'<p data-verdict="\w+"><strong>\w+</strong><span class="quiet">, [^<]*\.</span> (.*?)</p>', page
    ):
        assert unescape(re.sub("<[^>]+>", "", verdict)) in text
    assert len(re.findall(r"^Model: .* version \d, .*, not promoted: research output\.$", text, re.MULTILINE)) == 2
    assert len(re.findall(r"^Evidence: one cohort only", text, re.MULTILINE)) == 2


def test_the_page_and_its_text_say_that_probabilities_are_prognostic(visitor):
    page = visitor.get("/patients/SIM-001").text
    assert page.count("Prognostic: no randomised arm stands behind this model.") == 2
    assert "no randomised arm" in page.partition('<pre id="board">')[2].partition("</pre>")[0]


def test_without_an_engraftment_model_no_link_leads_to_donors(visitor):
    page = visitor.get("/patients/SIM-001").text
    assert "/donors/" not in page
    # Which command registers one is the researchers' business.
    assert "no engraftment model is served" not in page


def test_a_researcher_reads_why_donors_are_not_compared(site):
    with httpx.Client(base_url=site, follow_redirects=True) as ada:
        signed_in(ada, "ada")
        assert "no engraftment model is served" in ada.get("/patients/SIM-001").text


def test_a_researcher_gets_from_a_patient_to_the_runs(visitor, site):
    assert "Run in MLflow" not in visitor.get("/patients/SIM-001").text
    with httpx.Client(base_url=site, follow_redirects=True) as ada:
        signed_in(ada, "ada")
        runs = re.findall(r'href="([^"]*)">Run in MLflow', ada.get("/patients/SIM-001").text)
    address = "http://127.0.0.1:5000/#/runs/{}?workflowType=machine_learning"
    assert runs == [address.format("run0"), address.format("run2")]


def test_only_researchers_see_the_models(visitor, site):
    assert visitor.get("/models").status_code == 403
    with httpx.Client(base_url=site, follow_redirects=True) as ada:
        page = signed_in(ada, "ada") and ada.get("/models")
        assert page.text.count("run in MLflow") == 4
        cards = re.findall(r'href="(/models/[^"]+/card)"', page.text)
        assert {ada.get(card).status_code for card in cards} == {200}
        assert any('<nav class="back" aria-label="Pages"><a href="/models">' in ada.get(path).text for path in cards)
        assert ada.get("/models/none/1/card").status_code == 404


@pytest.mark.parametrize("body", ["", "{", '{"patient": {}}', '{"patient": {"id": "a"}, "more": 1}'])
def test_only_a_previewed_request_is_predicted(visitor, body):
    page = visitor.get("/upload")
    response = visitor.post("/answer", data={"csrf": csrf(page), "request": body})
    assert response.status_code == 422
    assert "upload the files again" in response.text


def test_the_upload_marks_what_is_required_and_names_tumour_types_and_columns(visitor, models):
    page = visitor.get("/upload").text
    for label in (
        "Stool profile (required)",
        "Taxonomy (optional)",
        "Cytokines (optional)",
        "Clinical data (optional)",
    ):
        assert label in page
    columns = models["toxicity_any"][0].model.encoder.names_["clinical"]
    assert f"in columns named {', '.join(levels_by_field(columns))}" in page
    best = models["objective_response"][0]
    population = TrainingPopulation({"melanoma": 3, "renal_cell": 1}, {}, {})
    known = replace(best, model=replace(best.model, population=population))
    choices = UploadChoices.from_models([known, *models["toxicity_any"][:1]])
    assert choices.tumour_types == ("melanoma", "renal_cell")
    assert choices.requiring_sides["taxa"] == choices.sides == ("response", "toxicity")
    assert choices.requiring_sides["immune"] == ("toxicity",)


def test_files_are_kept_while_the_form_is_corrected(visitor):
    file = {"taxa": ("<mine>.tsv", b"taxon\tabundance\nGenus0_species0\t100\n")}
    preview = visitor.post("/upload", data={"csrf": csrf(visitor.get("/upload"))}, files=file).text
    assert "The profiler is not known" in preview
    assert "&lt;mine&gt;.tsv is in this form" in preview
    packed = re.search(r'name="kept_taxa" value="([^"]+)"', preview)[1]
    fields = {"csrf": csrf(visitor.get("/upload")), "kept_taxa": packed, "profiler": "metaphlan4"}
    preview = visitor.post("/upload", data=fields).text
    assert "&lt;mine&gt;.tsv is in this form" in preview
    assert "The profiler is not known" not in preview
    # A file that is chosen replaces the one in the form.
    other = {"taxa": ("other.tsv", b"taxon\tabundance\nGenus0_species0\t100\n")}
    assert "other.tsv is in this form" in visitor.post("/upload", data=fields, files=other).text


@pytest.mark.parametrize("packed", ["%%%", "aGVsbG8=", base64.b64encode(zlib.compress(b"\0" * 2**25)).decode()])
def test_only_packed_files_are_unpacked(visitor, packed):
    response = visitor.post("/upload", data={"csrf": csrf(visitor.get("/upload")), "kept_taxa": packed})
    assert response.status_code == 422
    assert "choose the files again" in response.text


def test_large_files_are_not_kept_in_the_page():
    noise = np.random.default_rng(0).bytes(MAX_PACKED)
    assert pack_files({"taxa": UploadedFile("a", noise)}) == {}
    files = pack_files({"taxa": UploadedFile("a", noise[:1000])})
    assert unpack(files["taxa"].packed) == UploadedFile("a", noise[:1000])


def test_a_profile_of_unknown_taxa_alone_offers_no_prediction(visitor):
    file = {"taxa": ("a.tsv", b"taxon\tabundance\nUnheard_of\t60\nUnseen_of\t40\n")}
    preview = visitor.post("/upload", data={"csrf": csrf(visitor.get("/upload"))}, files=file).text
    assert "None of these taxa occurs in the training cohorts" in preview
    assert "Not ready to predict" in preview
    assert 'action="/answer"' not in preview


def test_invalid_form_fields_get_an_explanation(visitor):
    token = csrf(visitor.get("/upload"))
    file = {"taxa": ("a.tsv", b"taxon\tabundance\nGenus0_species0\t1\n")}
    page = visitor.post("/upload", data={"csrf": token, "patient": "Ann K.", "tumour_type": "melanoma", "day": "-3.5"})
    assert page.status_code == 422
    assert 'role="alert"><p>No file was chosen' in page.text
    # What was stated besides the files stays in the form.
    assert 'name="patient" value="Ann K."' in page.text
    assert 'value="melanoma" selected' in page.text
    assert 'name="day" type="number" step="any" value="-3.5"' in page.text
    assert (
        "expected a number, got &#39;soon&#39;"
        in visitor.post("/upload", data={"csrf": token, "day": "soon"}, files=file).text
    )
    assert "expected one of" in visitor.post("/upload", data={"csrf": token, "taxa_unit": "litres"}, files=file).text


def test_pages_show_the_outcomes_that_a_user_chooses(visitor: httpx.Client) -> None:
    path = "/patients/SIM-001?visit=0"
    page = visitor.get(path)
    assert '<option value="objective_response" selected>CR or PR</option>' in page.text
    assert "SD (RECIST)" not in page.text
    form = {"csrf": csrf(page), "response": "disease_control", "to": path}
    result = visitor.post("/outcomes", data=form)
    assert result.url.raw_path.decode() == path
    assert '<option value="disease_control" selected>CR, PR or SD</option>' in result.text
    assert "Complete or partial response, or any stable disease (RECIST)." in result.text
    listed = visitor.get("/")
    assert "response <small>CR, PR or SD</small>" in listed.text
    assert "taxokine_outcomes" in visitor.cookies
    visitor.post("/sign-out", data={"csrf": csrf(listed)})
    assert not visitor.cookies


def test_an_outcome_is_chosen_on_the_page_of_an_upload_without_sending_the_files_again(
    visitor: httpx.Client, candidate: dict[str, object]
) -> None:
    form = {"csrf": csrf(visitor.get("/upload")), "request": json.dumps(candidate)}
    page = visitor.post("/answer", data={**form, "worth": "2", "change": "taxa:Genus0_species0"})
    (choice,) = re.findall(r'<form method="post" action="/answer" class="actions no-print">.*?</form>', page.text, re.S)
    assert '<option value="objective_response" selected>' in choice
    fields = {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="(.*?)"', choice)}
    # What else was chosen on the page stays too.
    assert fields == {**form, "worth": "2.0", "change": "taxa:Genus0_species0"}
    page = visitor.post("/answer", data={**fields, "response": "disease_control"})
    assert '<option value="disease_control" selected>CR, PR or SD</option>' in page.text
    assert "Complete or partial response, or any stable disease (RECIST)" in page.text
    assert "response <small>CR, PR or SD</small>" in visitor.get("/").text
    page = visitor.post("/answer", data={**fields, "response": "survival"})
    assert page.status_code == 404
    assert 'name="to"' not in page.text


@pytest.mark.parametrize(
    ("form", "status", "place"),
    [({"response": "survival"}, 404, None), ({"to": "https://elsewhere.example/"}, 303, "/")],
)
def test_no_outcome_and_no_address_but_the_servers_own_is_taken(
    visitor: httpx.Client, form: dict[str, str], status: int, place: str | None
) -> None:
    response = visitor.post("/outcomes", data={"csrf": csrf(visitor.get("/")), **form}, follow_redirects=False)
    assert (response.status_code, response.headers.get("location")) == (status, place)


def test_where_one_outcome_of_each_side_is_served_there_is_no_choice(models, key_and_accounts) -> None:
    served = {outcome: models[outcome] for outcome in ("objective_response", "toxicity_any")}
    with running(create_app(served, key_and_accounts[1])) as url, httpx.Client(base_url=url) as client:
        signed_in(client, "anna")
        assert 'action="/outcomes"' not in client.get("/upload").text
