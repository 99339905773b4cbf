"""The pages over real HTTP: who gets in, what forms are taken from where, and what each page may load."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from serving.app import create_app
from serving.clinic import read_clinic
from taxokine.simulation import simulate_trial

from .conftest import running

PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def site(models, made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = simulate_trial(tmp_path_factory.mktemp("trial") / "all", n_patients=12, n_taxa=40, visits=(-7, 28), seed=2)
    for name, role in (("anna", "clinician"), ("ada", "researcher")):
        made[1].add_user(name, role, PASSWORD)
    with running(create_app(models, made[1], read_clinic(str(path), 0), "http://127.0.0.1:5000")) as url:
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
def test_nobody_sees_a_page_without_signing_in(site, path):
    said = httpx.get(site + path)
    assert said.status_code == 303
    assert said.headers["location"].startswith("/sign-in?to=")
    assert "SIM-" not in said.text


def test_after_signing_in_one_is_where_one_wanted_to_be(site):
    with httpx.Client(base_url=site, follow_redirects=True) as client:
        page = client.get("/patients/SIM-001?visit=1")
        to = re.search(r'name="to" value="([^"]*)"', page.text)[1]
        there = client.post("/sign-in", data={"name": "anna", "password": PASSWORD, "to": to})
        assert str(there.url) == f"{site}/patients/SIM-001?visit=1"


@pytest.mark.parametrize(
    "to", ["https://elsewhere.test/", "//elsewhere.test", "/\\elsewhere.test", "javascript:alert(1)", ""]
)
def test_signing_in_leads_nowhere_else(site, to):
    said = httpx.post(f"{site}/sign-in", data={"name": "anna", "password": PASSWORD, "to": to})
    assert (said.status_code, said.headers["location"]) == (303, "/")


def test_a_wrong_password_says_neither_which_nor_who(site):
    said = [httpx.post(f"{site}/sign-in", data={"name": name, "password": "wrong"}) for name in ("anna", "nobody")]
    assert [one.status_code for one in said] == [401, 401]
    assert said[0].text == said[1].text
    assert "set-cookie" not in said[0].headers


def test_the_cookie_is_kept_from_scripts_and_other_sites(site):
    said = httpx.post(f"{site}/sign-in", data={"name": "anna", "password": PASSWORD})
    words = {part.strip().lower() for part in said.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= words


def test_signing_out_ends_the_session_itself(site):
    with httpx.Client(base_url=site, follow_redirects=True) as client:
        page = signed_in(client, "anna")
        kept = dict(client.cookies)
        client.post("/sign-out", data={"csrf": csrf(page)})
        assert httpx.get(f"{site}/", cookies=kept).status_code == 303


def test_a_form_needs_its_sessions_word_and_this_site(visitor):
    file = {"taxa": ("a.tsv", b"taxon\tabundance\nGenus0_species0\t1\n")}
    page = visitor.get("/upload")
    assert visitor.post("/upload", files=file).status_code == 401
    assert visitor.post("/upload", data={"csrf": "é" * 64}, files=file).status_code == 401
    said = {"data": {"csrf": csrf(page)}, "files": file}
    assert visitor.post("/upload", **said, headers={"Origin": "https://elsewhere.test"}).status_code == 401
    assert visitor.post("/upload", **said).status_code == 200


def test_every_page_loads_only_its_own_and_is_nobodys_to_keep(visitor):
    for path in ("/", "/patients/SIM-001", "/example", "/upload", "/nowhere-at-all", "/patients/nobody", "/sign-in"):
        said = visitor.get(path)
        policy = said.headers["content-security-policy"]
        if path != "/nowhere-at-all":
            assert "default-src 'none'" in policy
            assert "unsafe-inline" not in policy
            assert said.headers["cache-control"] == "no-store"
            assert not re.search(r"\sstyle=|<style|\son\w+=|<script>", said.text), path
    assert len(visitor.get("/patients/SIM-001").content) + sum(
        len(visitor.get(f"/static/{name}").content) for name in ("style.css", "taxokine.js", "favicon.svg")
    ) < 300_000  # fmt: skip


def test_what_does_not_exist_is_said_on_a_page(visitor):
    said = visitor.get("/patients/<script>alert(1)")
    assert said.status_code == 404
    assert "has no patient" in said.text
    assert "<script>alert" not in said.text


def test_only_researchers_see_models(visitor, site):
    assert visitor.get("/models").status_code == 401
    with httpx.Client(base_url=site, follow_redirects=True) as ada:
        page = signed_in(ada, "ada") and ada.get("/models")
        assert page.text.count("run in MLflow") == 4
        card = re.search(r'href="(/models/[^"]+/card)"', page.text)[1]
        assert ada.get(card).status_code == 200
        assert ada.get("/models/none/1/card").status_code == 404


@pytest.mark.parametrize("body", ["", "{", '{"patient": {}}', '{"patient": {"id": "a"}, "more": 1}'])
def test_an_answer_is_given_only_to_what_the_preview_made(visitor, body):
    page = visitor.get("/upload")
    said = visitor.post("/answer", data={"csrf": csrf(page), "request": body})
    assert said.status_code == 422
    assert "upload the files again" in said.text


def test_no_file_no_number_and_no_such_unit_are_said_in_words(visitor):
    word = csrf(visitor.get("/upload"))
    file = {"taxa": ("a.tsv", b"taxon\tabundance\nGenus0_species0\t1\n")}
    assert "no file was chosen" in visitor.post("/upload", data={"csrf": word}).text
    assert (
        "expected a number, got &#39;soon&#39;"
        in visitor.post("/upload", data={"csrf": word, "day": "soon"}, files=file).text
    )
    assert "expected one of" in visitor.post("/upload", data={"csrf": word, "taxa_unit": "litres"}, files=file).text
