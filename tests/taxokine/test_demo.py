"""The demo, as `make demo` runs it: from the printed address to a patient's prediction, and to its end."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from pypdf import PdfReader
from ruamel.yaml import YAML
from starlette.testclient import TestClient

from features.manifest.files import manifest_folder
from features.settings import settings
from models.engraftment_registry import ENGRAFTMENT
from models.registry import client, load_version
from serving.accounts import Accounts
from serving.app import create_app
from serving.cds_hooks.clients import read_clients
from serving.cds_hooks.service import SERVICE, CdsHooks
from serving.cds_hooks.tokens import TokenVerifier
from serving.clinic import read_clinic
from serving.database import open_database
from serving.number_text import chance
from serving.record.keys import RecordKey
from serving.record.recorder import Recorder
from serving.record.store import RecordStore
from taxokine.demo.candidates import simulated_candidate
from taxokine.processes import responds

from ..barriers import no_barrier
from ..serving.ehr import BASE, bearer, patient_resources, searchset, write_clients

COMMAND = [sys.executable, "-m", "taxokine", "demo"]
STALLED_SECONDS = 900
"""A demo that prints nothing for so long has stalled; a step takes half a minute of an idle machine."""
STALLED_MILLISECONDS = 300_000
"""A page that does not go on for so long has stalled; a step takes a second of an idle machine."""


def run_demo(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--once", *options], cwd=folder, env={**os.environ, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@contextmanager
def started_demo(folder: Path, awaited: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start a demo, and wait for a text of its output, as long as it runs and goes on."""
    output, progress = folder / "output.txt", folder / "progress.txt"
    with output.open("wb") as stdout, progress.open("wb") as stderr:
        process = subprocess.Popen(COMMAND, cwd=folder, stdout=stdout, stderr=stderr, env=unbuffered())
    try:
        n_bytes, deadline = 0, time.monotonic() + STALLED_SECONDS
        while awaited not in output.read_text():
            assert process.poll() is None, progress.read_text()[-2000:]
            if (size := output.stat().st_size + progress.stat().st_size) > n_bytes:
                n_bytes, deadline = size, time.monotonic() + STALLED_SECONDS
            assert time.monotonic() < deadline, progress.read_text()[-2000:]
            time.sleep(0.2)
        yield process, output.read_text()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait()


def unbuffered() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def processes_in(folder: Path) -> list[str]:
    """Return the commands that run in a folder."""
    commands = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            # Python's own tracker of resources ends by itself, a moment after the process that it belongs to; a process
            # that is ending has no command any more.
            if process.cwd() == str(folder) and command and "resource_tracker" not in command:
                commands.append(command)
    return commands


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, subprocess.Popen[bytes]]]:
    """A running demo beside a program that has its port: its folder, output and process."""
    folder = tmp_path_factory.mktemp("demo")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Where the bind fails, some other program has the port already.
        with suppress(OSError):
            other.bind(("127.0.0.1", 8000))
            other.listen()
        with started_demo(folder, "Ctrl-C ends the demo") as (process, output):
            yield folder, output, process


def outcome_versions() -> list[Any]:
    """Return the registered versions of response and toxicity; the engraftment model predicts no outcome."""
    return [version for version in client().search_model_versions() if version.name != ENGRAFTMENT]


def printed(output: str, name: str) -> str:
    match = re.search(rf"^  {name} +(\S+)", output, re.MULTILINE)
    assert match is not None, output
    return match[1]


def test_from_the_printed_address_to_a_candidates_prediction(demo: Any, chromium: Any) -> None:
    _, output, _ = demo
    address = printed(output, "address")
    assert "another program has port 8000" in output
    assert not address.endswith(":8000")
    page = chromium.new_page()
    page.set_default_timeout(STALLED_MILLISECONDS)
    page.goto(address)
    page.get_by_label("Name").fill(printed(output, "name"))
    page.get_by_label("Password").fill(printed(output, "password"))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{address}/")
    candidates = page.locator("table.candidates tbody tr")
    assert candidates.count() == 12
    # What simulated patients are worth is said before any number, and nowhere is their evidence graded.
    assert page.get_by_text("The models learnt from simulated patients: for demonstration, not for care.").is_visible()
    candidates.first.get_by_role("link", name="compare donors").click()
    page.wait_for_url(re.compile("/donors/"))
    donors = page.locator("section.panel h2").all_inner_texts()
    assert [name.removesuffix(" donor given") for name in donors] == [f"SIM-D0{i}" for i in range(1, 7)]
    assert sum("donor given" in name for name in donors) == 1
    # The model of toxicity is not promoted: the donors have no order, and no number stands out.
    assert page.get_by_text("No donor is put before another.").is_visible()
    assert page.locator("section.panel b").count() == 0
    assert page.get_by_text(
        re.compile(r"The largest difference in response, .* points, 95% interval .*: no two donors can be told apart\.")
    ).is_visible()
    no_barrier(page)
    page.get_by_role("link", name="the patient's page").click()
    page.wait_for_url(re.compile("/patients/"))
    assert page.locator("[data-probability]").count() >= 2
    first_line = page.locator("section.verdict p").first.inner_text()
    assert first_line == "Learnt from simulated patients: for demonstration, not for care."
    assert "use with care" not in page.locator("main").inner_text()
    # With a whole course, the page of mixed standing fits two sheets, and three with the research output unfolded.
    assert len(PdfReader(BytesIO(page.pdf(prefer_css_page_size=True))).pages) == 2
    page.locator("details.research > summary").click()
    assert len(PdfReader(BytesIO(page.pdf(prefer_css_page_size=True))).pages) == 3
    page.get_by_role("link", name="Compare donors for this patient").click()
    page.wait_for_url(re.compile("/donors/"))
    page.goto(f"{address}/upload")
    note = page.get_by_text("The models learnt from simulated patients: for demonstration, not for care.")
    assert note.bounding_box()["y"] < page.get_by_role("button", name="Check the files").bounding_box()["y"]
    assert page.goto(f"{address}/example").status == 200
    page.goto(f"{address}/models")
    # Each model links to its run, and the run to the model's card.
    page.locator("summary", has_text="For researchers").first.click()
    page.locator("a[href*='/#/experiments/']").first.click()
    card = page.get_by_role("link", name="Model card, version").get_attribute("href")
    assert re.fullmatch(f"{re.escape(address)}/models/.+/card", card)
    page.goto(card)
    assert "AUROC" in page.content()
    page.close()


def test_the_example_of_every_model_has_a_probability(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, _ = demo
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/.demo/mlflow.db")
    settings.cache_clear()
    accounts = Accounts(open_database(f"sqlite:///{tmp_path}/taxokine.db"))
    accounts.add_user("ada", "researcher", "a long enough password")
    versions = outcome_versions()
    # Two outcomes, each from taxa, immune markers, and both.
    assert len(versions) == 6
    for version in versions:
        served = load_version(version.name, version.version, "candidate")
        with TestClient(create_app({served.model.outcome: [served]}, accounts), "http://127.0.0.1") as visitor:
            visitor.post("/sign-in", data={"name": "ada", "password": "a long enough password"})
            page = visitor.get("/example", headers={"Accept": "text/html"})
        assert page.status_code == 200, page.text
        assert page.text.count("data-probability") == 1, (version.name, version.version)
    settings.cache_clear()


def as_batch(request: dict[str, Any]) -> str:
    """Return a request to the API as a file of one row."""
    taxa, immune = request["taxa"], request["immune"]
    row = {
        "patient": request["patient"]["id"],
        "profiler": taxa["profiler"],
        "taxa_unit": taxa["unit"],
        "sample_day": taxa["day"],
        "clock": taxa["clock"],
        "draw_day": "" if immune[0]["day"] is None else immune[0]["day"],
        **{f"taxa:{name}": repr(value) for name, value in taxa["values"].items()},
        **{f"immune:{item['analyte']} [{item['unit']}]": item["value"] for item in immune},
    }
    return ",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n"


def test_page_api_batch_card_and_fhir_state_one_probability_of_each_model(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, _ = demo
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/.demo/mlflow.db")
    settings.cache_clear()
    manifest = str(folder / ".demo" / "candidates" / "manifest.yaml")
    clinic, engine = read_clinic(manifest, (0.0,)), open_database(f"sqlite:///{tmp_path}/taxokine.db")
    request = simulated_candidate(manifest).request
    accounts, store = Accounts(engine), RecordStore(engine, RecordKey(b"k" * 32), "inputs")
    accounts.add_user("ada", "clinician", "a long enough password")
    key, clients = {"Authorization": f"Bearer {accounts.keys.add('ward')}"}, read_clients(write_clients(tmp_path))
    hooks = CdsHooks(clients, TokenVerifier(clients, BASE, engine), BASE, engine)
    patient, *resources = patient_resources(request)
    bundle = {"resourceType": "Bundle", "type": "collection"}
    bundle["entry"] = [{"fullUrl": f"urn:uuid:{i}", "resource": item} for i, item in enumerate([patient, *resources])]
    call = {
        "hook": "patient-view",
        "hookInstance": "00000000-0000-4000-8000-000000000000",
        "context": {"userId": "Practitioner/1", "patientId": patient["id"]},
        "prefetch": {"patient": patient, "all": searchset(resources)},
    }
    path = f"/cds-services/{SERVICE}"
    for version in outcome_versions():
        served = load_version(version.name, str(version.version), "candidate")
        app = create_app({served.model.outcome: [served]}, accounts, clinic, recorder=Recorder(store), cds_hooks=hooks)
        with TestClient(app, "http://127.0.0.1") as http:
            (answer,) = http.post("/v1/predictions", json=request, headers=key).json()["answers"]
            batch_headers = key | {"Content-Type": "text/csv"}
            batch = http.post("/v1/predictions/batch", content=as_batch(request), headers=batch_headers).text
            fhir = http.post("/fhir/R4/RiskAssessment/$predict", json=bundle, headers=key).json()
            (card,) = http.post(path, json=call, headers=bearer(path)).json()["cards"]
            http.post("/sign-in", data={"name": "ada", "password": "a long enough password"})
            page = http.get(f"/patients/{patient['id']}?visit=0", headers={"Accept": "text/html"})
        (page_text,) = re.findall(r'data-probability="([^"]+)"', page.text)
        (record_answer,) = store.open_entry(store.entries(patient["id"])[-1].number)[2].answer
        (row,) = csv.DictReader(batch.splitlines())
        risks = [item["resource"] for item in fhir["entry"] if item["resource"]["resourceType"] == "RiskAssessment"]
        (decimal,) = [float(risk["prediction"][0]["probabilityDecimal"]) for risk in risks[:1]]
        (predicted,) = card["extension"]["taxokine_predictions"]
        others = [
            float(page_text),
            record_answer.probability,
            float(row["probability"]),
            predicted["probability"],
            decimal / 100,
        ]
        assert others == pytest.approx([answer["probability"]] * 5, abs=1e-6), (version.name, version.version)
        assert {record_answer.verdict, row["verdict"], predicted["verdict"]} == {answer["trust"]["verdict"]}


def test_models_of_both_standings_are_served(demo: Any) -> None:
    _, output, _ = demo
    assert "9 of 9 gates passed; promoted: this version is now the champion" in output
    assert "refused: the alias champion does not move" in output
    # The prediction comes before the tables.
    assert output.index("objective_response: ") < output.index("gates passed")


def test_the_printed_request_is_answered_with_probabilities(demo: Any) -> None:
    folder, output, _ = demo
    (command,) = (line for line in output.splitlines() if line.startswith("curl "))
    reply = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True)
    predictions = json.loads(reply.stdout)["answers"]
    # The terminal states what a page does: "about 95%", where held-out patients could not confirm more.
    assert all(f"{answer['outcome']}: {chance(answer['probability'])} " in output for answer in predictions)
    assert [0 <= prediction["probability"] <= 1 for prediction in predictions] == [True, True]
    assert (folder / ".demo" / "key").stat().st_mode & 0o077 == 0


def test_the_mlflow_addresses_open_for_machine_learning(demo: Any, chromium: Any) -> None:
    _, output, _ = demo
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(STALLED_MILLISECONDS)
    page.goto(printed(output, "objective_response:"))
    for run in ("enet taxa+imm", "best of 3: enet taxa+imm · simulated_fmt_ici"):
        page.get_by_role("link", name=run, exact=True).wait_for()
    assert "complete or partial response" in page.content()
    assert "workflowType=machine_learning" in page.url
    assert "orderByKey=metrics.%60auroc%60" in page.url
    assert page.get_by_role("columnheader", name="auroc", exact=True).first.is_visible()
    # The table of runs has each heading twice.
    headings = dict.fromkeys(text.strip() for text in page.get_by_role("columnheader").all_inner_texts())
    assert [text for text in headings if text.startswith("auroc")] == ["auroc", "auroc_lower", "auroc_upper"]
    # A run that is opened from there is one of machine learning too.
    page.get_by_role("link", name="enet taxa+imm", exact=True).click()
    page.get_by_text("Model metrics").wait_for()
    assert page.get_by_text("Evaluation runs").count() == 0
    page.goto(printed(output, "registered versions of objective_response:"))
    page.get_by_text("@ champion").wait_for()
    context.close()


def test_a_second_demo_is_refused_and_ctrl_c_leaves_nothing_running(demo: Any) -> None:
    folder, output, process = demo
    second = run_demo(folder)
    assert second.returncode == 2
    assert f"a demo is running in this folder already, as process {process.pid}" in second.stderr
    assert responds(f"{printed(output, 'address')}/readyz")
    commands = processes_in(folder)
    assert len(commands) >= 3
    # MLflow's server waits for no jobs of generative AI, in processes that a laptop would feel.
    assert not [command for command in commands if "huey" in command or "mlflow.server.jobs" in command]
    process.send_signal(signal.SIGINT)
    assert process.wait() == 0
    assert processes_in(folder) == []
    assert {path.name for path in folder.iterdir()} == {".demo", "output.txt", "progress.txt"}


def interrupt_while_it_trains(folder: Path, number: signal.Signals) -> None:
    """Start a demo in a folder, and send it a signal, which must leave nothing of it running."""
    folder.mkdir()
    with started_demo(folder, "Training objective_response") as (process, _):
        assert any("mlflow" in command for command in processes_in(folder))
        process.send_signal(number)
        assert process.wait() == (1 if number == signal.SIGINT else 128 + number), number
        assert processes_in(folder) == [], number
        assert "Traceback" not in (folder / "progress.txt").read_text(), number


def test_interrupted_while_it_trains_it_leaves_nothing_running(tmp_path: Path) -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    # All at once, since each demo waits more than it computes.
    with ThreadPoolExecutor(len(numbers)) as pool:
        list(pool.map(lambda number: interrupt_while_it_trains(tmp_path / number.name, number), numbers))


@pytest.fixture
def one_centre(tmp_path_factory: pytest.TempPathFactory, cohorts_dir: Path) -> Path:
    """Return the manifest of one centre of lee_2022 and its common taxa, as all patients and taxa take minutes."""
    folder = tmp_path_factory.mktemp("leeds")
    sheet, profiles = (
        pd.read_csv(cohorts_dir / "lee_2022" / name, sep="\t", dtype=str, keep_default_na=False)
        for name in ("metadata.tsv", "metaphlan4_merged.tsv")
    )
    sheet = sheet[sheet["subcohort"] == "Leeds"]
    sheet.to_csv(folder / "metadata.tsv", sep="\t", index=False)
    profiles = profiles[["clade_name", *sheet["NCBI_accession"]]]
    is_common = (profiles.iloc[:, 1:].astype(float) > 0).mean(axis=1) >= 0.5
    profiles[is_common].to_csv(folder / "metaphlan4_merged.tsv", sep="\t", index=False)
    yaml = YAML(typ="safe")
    manifest = yaml.load(manifest_folder() / "lee_2022.yaml")
    # The hashes of the files are those of all centres.
    del manifest["source"]["files"]
    yaml.dump(manifest, folder / "manifest.yaml")
    return folder / "manifest.yaml"


def test_published_cohorts_instead_of_simulated_ones(tmp_path: Path, cohorts_dir: Path, one_centre: Path) -> None:
    completed = run_demo(tmp_path, "--cohorts", f"mitox {one_centre}", TAXOKINE_DATA=str(cohorts_dir))
    assert completed.returncode == 0, completed.stderr[-2000:]
    assert "(simulated)" not in completed.stdout
    assert "on held-out cohorts" in completed.stdout
    assert "could not be measured" not in completed.stdout
    assert "on whom no model was trained" in completed.stdout
    assert processes_in(tmp_path) == []


def test_cohorts_without_outcomes_are_refused(tmp_path: Path, cohorts_dir: Path) -> None:
    completed = run_demo(tmp_path, "--cohorts", "momspi", TAXOKINE_DATA=str(cohorts_dir))
    assert completed.returncode == 2
    assert "none of momspi defines objective_response" in completed.stderr
