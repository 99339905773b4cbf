"""The pages in a real browser: sign-in, candidates, upload, preview, prediction, benefit and risk, print."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from pypdf import PageObject, PdfReader

from features.cohort import read_cohort
from features.landmark import landmark_table
from features.settings import settings
from models.registry import client
from serving.number_text import chance
from taxokine.demo.candidates import prediction_request
from taxokine.processes import background_process, reserved_port
from taxokine.simulation import Trial, simulate_trial
from training.experiment import Experiment, train

from ..barriers import no_barrier
from ..stores import new_store
from ..undrawn import draw_no_figures

PASSWORD = "a long enough password"
NAME = "dr.who"
STALLED_MILLISECONDS = 300_000
"""A page that does not go on for so long has stalled; what it waits for takes seconds on an idle machine."""


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Simulated candidates, and a store with models of another cohort's outcomes, as candidate and as champion."""
    home = tmp_path_factory.mktemp("clinic")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXOKINE_HOME", str(home))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(home))
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.chdir(home)
        patch.setenv("TAXOKINE_DATA", str(home / "cohorts"))
        settings.cache_clear()
        species: dict[str, Any] = {"n_taxa": 40, "visits": (-7, 28), "response_rate": 0.5}
        path = simulate_trial(home / "cohorts" / "training", Trial(name="training", n_patients=300, seed=3, **species))
        simulate_trial(home / "trial", Trial(n_patients=60, seed=5, **species))
        for outcome, grade in (("objective_response", None), ("toxicity", "any")):
            train(
                Experiment(
                    (str(path),), outcome, grade, families=("elastic_net",), blocks=("taxa", "immune"),
                    representation=("clr", "presence"), n_folds=2, repeats=1,
                )
            )  # fmt: skip
            # One outcome's card has figures.
            draw_no_figures(patch)
        for model in client().search_registered_models():
            client().set_registered_model_alias(model.name, "champion", model.aliases["candidate"])
        yield home
    settings.cache_clear()


@contextmanager
def running_server(home: Path, *options: str) -> Iterator[str]:
    with reserved_port(0) as (port, release):
        release()
        command = [sys.executable, "-m", "taxokine", "serve", "--port", str(port), *options]
        log = home / f"server{port}.log"
        with background_process("server", command, log, {"TAXOKINE_API_KEY": "the-key"}) as wait_until_ready:
            wait_until_ready(f"http://127.0.0.1:{port}/readyz")
            yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def users(clinic: Path) -> None:
    for name, role in ((NAME, "clinician"), ("ada", "researcher")):
        subprocess.run(
            [sys.executable, "-m", "taxokine", "users", "add", name, "--role", role, "--password-stdin"],
            input=PASSWORD, text=True, check=True, capture_output=True,
        )  # fmt: skip


@pytest.fixture(scope="module", params=["candidate", "champion"])
def address(request: pytest.FixtureRequest, clinic: Path, users: None) -> Iterator[tuple[str, bool]]:
    """Return where the server is, and whether its models are promoted."""
    options = ("--clinic", str(clinic / "trial" / "manifest.yaml"), "--alias", request.param)
    with running_server(clinic, *options) as url:
        yield url, request.param == "champion"


one_alias = pytest.mark.parametrize("address", ["champion"], indirect=True)
"""For pages and jobs that do not depend on the alias which is served."""


@pytest.fixture
def page(chromium: Any, address: tuple[str, bool]) -> Iterator[Any]:
    """A signed-in page; at its end it must have requested nothing from another host and violated no policy."""
    context = chromium.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    sign_in(page, address[0], NAME)
    yield page
    context.close()
    assert not complaints
    assert [url for url in requests if not url.startswith((address[0], "data:", "blob:"))] == []


def sign_in(page: Any, url: str, name: str) -> None:
    page.goto(f"{url}/")
    assert "/sign-in" in page.url
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")


def follow(page: Any, control: Any) -> None:
    """Click a link or a button, and wait until the page that it leads to is loaded."""
    with page.expect_event("load"):
        control.click()


def unfold_research(page: Any, promoted: bool) -> None:
    if not promoted:
        page.locator("details.research > summary").click()


# The pages


def test_the_list_says_who_is_known_and_ranks_only_by_a_promoted_model(page, address):
    url, promoted = address
    assert page.locator("table.candidates tbody tr").count() == 60
    assert (page.get_by_role("link", name="By predicted benefit").count() == 1) is promoted
    no_barrier(page)
    if promoted:
        follow(page, page.get_by_role("link", name="By predicted benefit"))
        high, low = (
            page.locator("table.candidates tbody tr").nth(i).locator("td.n").first.inner_text() for i in (0, 40)
        )
        assert int(re.search(r"(\d+)%", high)[1]) > int(re.search(r"(\d+)%", low)[1])
    page.get_by_label("Find a patient").fill("SIM-007")
    follow(page, page.get_by_role("button", name="Find"))
    assert page.locator("table.candidates tbody tr").count() == 1
    # The server ranks promoted models only, whatever the address says.
    page.goto(f"{url}/?sort=benefit")
    names = page.locator("table.candidates tbody th").all_inner_texts()
    assert (names == sorted(names)) is not promoted


def test_probabilities_come_first_under_promoted_models_only(page, address):
    url, promoted = address
    page.goto(f"{url}/patients/SIM-007")
    probability = page.locator("[data-probability]").first
    assert probability.is_visible() is promoted
    assert page.get_by_text("Association, not cause. Research use: not a medical device.", exact=True).is_visible()
    assert page.locator("[data-verdict]").count() == 2
    assert "Simulated evidence: " in page.locator("[data-verdict]").first.inner_text()
    if not promoted:
        assert "training patients, not this patient" in page.locator(".panel h2").first.inner_text()
        page.locator("details.research > summary").click()
    assert probability.is_visible()
    no_barrier(page)


def test_the_page_shows_the_numbers_of_the_api(page, address, clinic):
    url, _ = address
    page.goto(f"{url}/patients/SIM-007")
    figures = page.locator("[data-probability]").all()
    probabilities = [float(figure.get_attribute("data-probability")) for figure in figures]
    texts = [figure.text_content().split()[0] for figure in figures]
    cohort = read_cohort(str(clinic / "trial" / "manifest.yaml"), clinic)
    index = landmark_table(cohort).rows["patient"].tolist().index("SIM-007")
    prediction = httpx.post(
        f"{url}/v1/predictions", json=prediction_request(cohort, index), headers={"Authorization": "Bearer the-key"}
    ).raise_for_status().json()  # fmt: skip
    assert probabilities == [answer["probability"] for answer in prediction["answers"]]
    assert texts == [chance(answer["probability"]) for answer in prediction["answers"]]
    for cell in ("response_without_toxicity", "response_with_toxicity"):
        low, high = prediction["cells"][cell]["low"], prediction["cells"][cell]["high"]
        assert f"{100 * low:.0f}%–{100 * high:.0f}%" in page.content()


def test_what_if_shows_the_numbers_of_the_api(page, address, clinic):
    url, promoted = address
    page.goto(f"{url}/patients/SIM-007")
    unfold_research(page, promoted)
    page.get_by_label("IL-6 immune").check()
    fold = page.locator(".reasons details").first
    fold.locator("summary").click()
    button = page.get_by_role("button", name="Compare")
    button.scroll_into_view_if_needed()
    top = page.evaluate("scrollY")
    follow(page, button)
    # The reader keeps the place, the focus and what was unfolded.
    assert page.evaluate("scrollY") == top > 0
    assert button.evaluate("button => button === document.activeElement")
    assert page.locator(".reasons details").first.evaluate("details => details.open")
    assert page.get_by_label("IL-6 immune").is_checked()
    assert page.get_by_text("Association, not effect.").is_visible()
    no_barrier(page)
    differences = [float(row.get_attribute("data-shift")) for row in page.locator("[data-shift]").all()]
    cohort = read_cohort(str(clinic / "trial" / "manifest.yaml"), clinic)
    index = landmark_table(cohort).rows["patient"].tolist().index("SIM-007")
    request = {**prediction_request(cohort, index), "changes": ["immune:IL-6"]}
    response = httpx.post(f"{url}/v1/what-if", json=request, headers={"Authorization": "Bearer the-key"})
    shifts = response.raise_for_status().json()["comparison"]["shifts"]
    assert differences == [shift["difference"] for shift in shifts]
    assert any(differences)
    assert [f"{shift['difference'] * 100:+.0f}".replace("-", "−") + " points" for shift in shifts] == [
        row.locator(".n").inner_text() for row in page.locator("[data-shift]").all()
    ]


def test_what_if_needs_no_script(chromium, address):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, address[0], NAME)
    page.goto(f"{address[0]}/patients/SIM-007?change=immune:IL-6")
    assert page.locator("[data-shift]").count() == 2
    page.goto(f"{address[0]}/patients/SIM-007?change=taxa:Unheard_of")
    assert "no model reports a training median of 'taxa:Unheard_of'" in page.locator("main").text_content()
    context.close()


def test_a_training_patient_gets_no_forecast(chromium, clinic, users):
    with running_server(
        clinic, "--clinic", str(clinic / "cohorts" / "training" / "manifest.yaml"), "--alias", "champion"
    ) as url:
        page = chromium.new_page()
        sign_in(page, url, NAME)
        assert "%" not in page.locator("table.candidates tbody td.n").first.inner_text()
        page.goto(f"{url}/patients/SIM-007")
        assert "in the training set" in page.locator("[data-verdict]").first.inner_text()
        assert page.locator("[data-probability]").count() == 0
        assert page.locator(".reasons").count() == 0
        page.close()


def test_contributions_unfold_and_visits_have_a_course(page, address):
    url, promoted = address
    page.goto(f"{url}/patients/SIM-007")
    if not promoted:
        page.locator("details.research > summary").click()
    step = page.locator(".reasons details").first
    step.locator("summary").click()
    assert step.locator("table").is_visible()
    # A value has its unit: a share of the stool, or the concentration of a marker.
    values = page.locator(".reasons table td:nth-child(2)").all_text_contents()
    assert {"%", "pg/mL"} <= {value.strip()[-1] if "%" in value else value.split()[-1] for value in values}
    # Both outcomes share the axis, from the start of each model to this patient.
    labels = [figure.text_content().split() for figure in page.locator(".reasons svg:has(text)").all()]
    assert labels
    assert all(label == labels[0] for label in labels)
    no_barrier(page)
    assert page.get_by_role("heading", name="The course").is_visible()
    visits = page.get_by_role("navigation", name="Visits")
    visits.get_by_label("Stool sample of").select_option("1")
    visits.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("visit=1"))
    # The stool of this visit is later than the landmark of the models, which read the one before.
    assert "no model predicts from later than day" in page.locator("main").text_content()


def test_benefit_and_risk_are_weighed_under_promoted_models_only(page, address):
    url, promoted = address
    page.goto(f"{url}/patients/SIM-007")
    weigh = page.get_by_role("heading", name="Benefit and risk")
    assert (weigh.count() == 1) is promoted
    if promoted:
        unweighted = page.get_by_role("row", name="expected value for this patient").inner_text()
        page.locator(".reasons details").first.locator("summary").click()
        slider = page.locator("input[type=range]")
        slider.scroll_into_view_if_needed()
        top = page.evaluate("scrollY")
        slider.fill("4")
        page.wait_for_url(re.compile("worth=4"))
        page.locator("input[type=range]:focus").wait_for()
        assert page.evaluate("scrollY") == top > 0
        assert page.locator(".reasons details").first.evaluate("details => details.open")
        assert page.get_by_role("row", name="expected value for this patient").inner_text() != unweighted
        no_barrier(page)


def text_sizes(sheet: PageObject) -> dict[str, float]:
    """Return the size in points of each piece of text on a sheet, the least where one stands there several times."""
    sizes: dict[str, float] = {}

    def visit(text: str, sheet_matrix: list[float], text_matrix: list[float], font: Any, size: float) -> None:
        if text.strip():
            x, y = text_matrix[:2]
            direction = (x * sheet_matrix[0] + y * sheet_matrix[2], x * sheet_matrix[1] + y * sheet_matrix[3])
            sizes[text] = min(sizes.get(text, math.inf), size * math.hypot(*direction))

    sheet.extract_text(visitor_text=visit)
    return sizes


@pytest.mark.parametrize(("query", "n_sheets"), [("", 2), ("?change=immune:IL-6", 3)], ids=["plain", "with what if"])
def test_the_page_of_a_patient_prints_on_a4(query, n_sheets, page, address, tmp_path):
    page.goto(f"{address[0]}/patients/SIM-007{query}")
    if query:
        unfold_research(page, address[1])
    probabilities = [figure.text_content().split()[0] for figure in page.locator("[data-probability]").all()]
    page.pdf(path=tmp_path / "patient.pdf", prefer_css_page_size=True)
    reader = PdfReader(tmp_path / "patient.pdf")
    assert len(reader.pages) <= n_sheets
    # What is printed are the numbers of the page, which are those of the API.
    printed = " ".join(sheet.extract_text() for sheet in reader.pages)
    assert len(probabilities) == 2
    assert all(f"{probability} predicted" in printed for probability in probabilities)
    for number, sheet in enumerate(reader.pages, start=1):
        assert [round(float(side)) for side in sheet.mediabox] == [0, 0, 595, 842]
        text = sheet.extract_text()
        assert f"SIM-007 · Simulated trial of fecal microb… · printed by {NAME} on " in text
        assert f"page {number} of {len(reader.pages)}" in text
        # On paper at arm's length: neither words nor the text of a drawing are set below 7 points.
        assert {text: size for text, size in text_sizes(sheet).items() if size < 7} == {}


def test_an_upload_is_checked_before_the_prediction(page, address, clinic, tmp_path):
    url, _promoted = address
    profiles = pd.read_csv(clinic / "trial" / "stool_counts.tsv", sep="\t", index_col=0)
    profile = tmp_path / "profile.tsv"
    profiles[["SIM-007-V1"]].to_csv(profile, sep="\t")
    follow(page, page.get_by_role("link", name="Upload", exact=True))
    no_barrier(page)
    page.get_by_label("Stool profile").set_input_files(profile)
    follow(page, page.get_by_role("button", name="Check the files"))
    assert "nothing has been predicted yet" in page.locator("main").inner_text()
    assert "counts" in page.locator("main").inner_text()
    no_barrier(page)
    follow(page, page.get_by_role("button", name=re.compile("^(Predict|Show why)")))
    page.wait_for_url(f"{url}/answer")
    assert page.locator("[data-probability]").count() + page.get_by_text("The model abstains").count() >= 2
    # Numbers in percent, stated to be proportions, prevent the prediction.
    shares = 100 * profiles[["SIM-007-V1"]] / profiles["SIM-007-V1"].sum()
    shares.to_csv(profile, sep="\t")
    page.goto(f"{url}/upload")
    page.get_by_label("Stool profile").set_input_files(profile)
    page.get_by_text("State what the files do not report").click()
    page.get_by_label("Unit of the profile").select_option("proportions")
    follow(page, page.get_by_role("button", name="Check the files"))
    assert page.get_by_role("heading", name="Not ready to predict").is_visible()
    assert page.get_by_text("The stated unit contradicts the numbers").is_visible()
    assert page.get_by_role("button", name="Predict").count() == 0
    no_barrier(page)
    # What was stated is corrected on the same page; the file needs not be chosen again.
    page.get_by_label("Unit of the profile").select_option("as in the file")
    follow(page, page.get_by_role("button", name="Check again"))
    assert page.get_by_role("heading", name="Not ready to predict").count() == 0
    # The promoted models need blood too, and abstain.
    follow(page, page.get_by_role("button", name=re.compile("^(Predict|Show why the models abstain)")))
    assert page.locator("[data-probability]").count() + page.get_by_text("The model abstains").count() >= 2


def test_the_example_has_a_prediction_of_both_outcomes(page, address):
    assert page.goto(f"{address[0]}/example").status == 200
    assert page.locator("[data-probability]").count() == 2
    assert "the medians of the taxa are scaled to 100%" in page.get_by_text("This patient does not exist").inner_text()
    no_barrier(page)


@one_alias
def test_the_reference_of_the_api_has_no_barriers(page, address):
    assert page.goto(f"{address[0]}/docs").status == 200
    follow_to = page.get_by_role("link", name="POST /v1/what-if")
    follow_to.click()
    assert page.get_by_role("heading", name="POST /v1/what-if").is_visible()
    no_barrier(page)


@one_alias
@pytest.mark.parametrize("path", ["/nowhere", "/patients/nobody", "/patients/SIM-007?visit=last"])
def test_an_error_is_a_page_without_barriers(chromium, address, path):
    context = chromium.new_context()
    page = context.new_page()
    sign_in(page, address[0], NAME)
    assert page.goto(address[0] + path).status in {404, 422}
    assert page.get_by_role("link", name="Back to the candidates").is_visible()
    no_barrier(page)
    context.close()


def test_the_keyboard_suffices(chromium, address):
    url, promoted = address
    page = chromium.new_page()
    page.goto(f"{url}/")
    # The browser moves the focus to the first field, which it may do after the page is loaded.
    page.locator("input[name=name]:focus").wait_for()
    page.keyboard.type(NAME)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href') || ''").startswith("/patients/"):
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/patients/"))
    if not promoted:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.parentElement.className") == "research":
                break
        page.keyboard.press("Enter")
    assert page.locator("[data-probability]").first.is_visible()
    page.close()


def test_the_pages_fit_a_phone(chromium, address):
    context = chromium.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    sign_in(page, address[0], NAME)
    # A candidate is a card: name above measurements above the bar, and each percentage beside its name.
    row = page.locator("table.candidates tbody tr").first
    boxes = [row.locator(cell).bounding_box() for cell in ("th", "td.quiet >> nth=0", "td.drawing", "td.n >> nth=0")]
    assert all(above["y"] + above["height"] <= below["y"] for above, below in pairwise(boxes))
    assert row.locator("td.n").first.inner_text().split()[0] == "response"
    for path in ("/", "/patients/SIM-007", "/example", "/upload", "/docs", "/nowhere"):
        page.goto(address[0] + path)
        for details in page.locator("details").all():
            details.evaluate("element => element.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    context.close()


def test_researchers_see_models_cards_and_drift(chromium, address):
    url, promoted = address
    # The card's own policy runs no script, not even that of axe.
    context = chromium.new_context(bypass_csp=True)
    researcher = context.new_page()
    sign_in(researcher, url, "ada")
    follow(researcher, researcher.get_by_role("link", name="Models"))
    # Two outcomes; with the alias candidate, the best models of taxa and of immune markers alone are served too.
    assert researcher.get_by_text("Do the patients of the clinic resemble the training patients?").count() == (
        2 if promoted else 6
    )
    no_barrier(researcher)
    follow(researcher, researcher.get_by_role("link", name="model card").first)
    assert "AUROC" in researcher.content()
    no_barrier(researcher)
    context.close()


@one_alias
def test_researchers_validate_a_model_from_its_page(chromium, address, clinic):
    url, _ = address
    context = chromium.new_context(bypass_csp=True)
    researcher = context.new_page()
    sign_in(researcher, url, "ada")
    follow(researcher, researcher.get_by_role("link", name="Models"))
    name = validate_on(researcher, "simulated_fmt_ici")
    assert researcher.get_by_text("The validation on simulated fmt ici, started").count() == 1
    row = researcher.get_by_role("row").filter(
        has=researcher.get_by_role("rowheader", name="simulated fmt ici (simulated)")
    )
    assert row.first.inner_text().split("\t")[1].endswith("events)")
    no_barrier(researcher)
    # The card has it at once, and MLflow the run.
    follow(researcher, researcher.get_by_role("link", name="model card").first)
    assert "Validated elsewhere" in researcher.content()
    model, version = name.split("/")
    assert "validated.simulated_fmt_ici" in client().get_model_version(model, version).tags
    # Patients whom the model learnt from are refused, and the page says why.
    researcher.goto(f"{url}/models")
    validate_on(researcher, "training/manifest.yaml")
    assert "patients are in the model's training set" in researcher.get_by_role("alert").inner_text()
    # Files of one's own are validated on alike, and deleted.
    researcher.goto(f"{url}/models")
    upload_cohort(researcher, clinic / "trial", "another_hospital")
    assert researcher.get_by_text("The validation on another hospital, started").count() == 1
    assert researcher.get_by_role("rowheader", name="another hospital (simulated)").count() >= 1
    assert not (clinic / "validations" / "uploaded").exists()
    no_barrier(researcher)
    context.close()


def upload_cohort(page: Any, folder: Path, name: str) -> None:
    """Upload a cohort's files under another name, validate the first model of the page, and wait until it has ended."""
    manifest = (folder / "manifest.yaml").read_text().replace("name: simulated_fmt_ici", f"name: {name}")
    files = [{"name": "manifest.yaml", "mimeType": "text/plain", "buffer": manifest.encode()}]
    files += [
        {"name": path.name, "mimeType": "text/plain", "buffer": path.read_bytes()}
        for path in folder.iterdir()
        if path.name != "manifest.yaml"
    ]
    page.get_by_text("Validate on files of yours").first.click()
    page.get_by_label("A manifest, and the tables that it names").first.set_input_files(files)
    page.get_by_role("button", name="Upload and validate").first.click()
    page.get_by_text(re.compile("this page reloads until")).wait_for(timeout=STALLED_MILLISECONDS)
    page.locator("form[action$='/validations']").first.wait_for(timeout=STALLED_MILLISECONDS)


def validate_on(page: Any, cohort: str) -> str:
    """Validate the first model of the page on a cohort, wait until it has ended, and return the model's name.

    While it runs, the page has no barrier either.
    """
    form = page.locator("form[action$='/validations']").first
    name = form.get_attribute("action").removeprefix("/models/").removesuffix("/validations")
    form.get_by_label("Validate on").select_option(cohort)
    form.get_by_role("button", name="Validate").click()
    page.get_by_text(re.compile("this page reloads until")).wait_for(timeout=STALLED_MILLISECONDS)
    running_page = page.context.new_page()
    # Without its script the page stays as it is.
    running_page.route("**/*.js", lambda route: route.abort())
    running_page.goto(page.url)
    assert running_page.get_by_role("status").get_by_role("link", name="Look again").is_visible()
    no_barrier(running_page)
    running_page.close()
    page.locator("form[action$='/validations']").first.wait_for(timeout=STALLED_MILLISECONDS)
    return name
