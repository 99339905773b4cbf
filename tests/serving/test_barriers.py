"""Every page of the server in a real browser: axe finds nothing, and nothing is wider than a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from models.predict import ServedModel
from serving.pages.rendering import PageRoute

from ..barriers import no_barrier
from .test_roles import PREDICTION
from .whole_site import Site, whole_site

PAGES: dict[str, tuple[str, Mapping[str, str]]] = {
    "GET /docs": ("/docs", {}),
    "GET /sign-in": ("/sign-in", {}),
    "POST /sign-in": ("/sign-in", {"name": "nobody", "password": "a guess"}),
    # The provider does not respond: a page of the error.
    "GET /sign-in/provider": ("/sign-in/provider", {}),
    "GET /sign-in/provider/callback": ("/sign-in/provider/callback", {}),
    "GET /": ("/", {}),
    "GET /patients/{patient_id:path}": ("/patients/SIM-001?change=taxa:Genus0_species0", {}),
    "GET /donors/{patient_id:path}": ("/donors/SIM-001", {}),
    "POST /donors": ("/donors", {"request": json.dumps(PREDICTION)}),
    "GET /example": ("/example", {}),
    "GET /upload": ("/upload", {}),
    "POST /upload": ("/upload", {"patient": "c1"}),
    "POST /answer": ("/answer", {"request": json.dumps(PREDICTION)}),
    "GET /models": ("/models", {}),
    "POST /models/{name}/{version}/validations": (
        "/models/objective_response/0/validations", {"cohort": "mine"},
    ),
    "GET no page": ("/nowhere", {}),
    "GET no patient": ("/patients/nobody", {}),
    "GET no number": ("/patients/SIM-001?visit=last", {}),
}  # fmt: skip
"""Address and form of a request of each page; besides those of routes, those of errors."""
ELSEWHERE = {"POST /outcomes", "POST /sign-out", "GET /sign-in/provider/sign-out", "GET /models/{name}/{version}/card"}
"""Routes that lead to another page, and the card: these models have it as plain text."""


@pytest.fixture(scope="module")
def site(models: Mapping[str, list[ServedModel]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with whole_site(models, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def researcher(site: Site, chromium: Any) -> Iterator[Any]:
    """A page in which a researcher is signed in; its policy lets the driver's scripts in."""
    # A card's own policy runs no script, not even that of axe.
    context = chromium.new_context(bypass_csp=True, viewport={"width": 360, "height": 740})
    with site.client("researcher") as http:
        session = http.cookies["taxokine_session"]
    context.add_cookies([{"name": "taxokine_session", "value": session, "url": site.address}])
    yield context.new_page()
    context.close()


def test_every_page_has_its_row(site: Site) -> None:
    routes = {
        f"{method} {context.path}"
        for context in iter_route_contexts(site.app.routes)
        if isinstance(context.original_route, PageRoute)
        for method in context.methods or ()
    }
    assert routes - ELSEWHERE == {name for name in PAGES if "/" in name}


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_barrier(site: Site, researcher: Any, name: str) -> None:
    path, form = PAGES[name]
    if name.startswith("POST"):
        researcher.goto(f"{site.address}/upload")
        with researcher.expect_navigation():
            researcher.evaluate(_SUBMIT, [path, dict(form)])
    else:
        researcher.goto(site.address + path)
    no_barrier(researcher)
    assert researcher.evaluate(_WIDE) == []


_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth && !element.closest(".scroll, svg"))
  .map((element) => element.outerHTML.slice(0, 120))"""
"""The elements that reach beyond the window, where the page is wider than it."""
_SUBMIT = """([path, fields]) => {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: path, enctype: "multipart/form-data" });
  fields = { csrf: document.querySelector("input[name=csrf]").value, ...fields };
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
  document.body.append(form);
  form.submit();
}"""
