"""Metrics: what is counted under which label, who may read it, and what several workers report together."""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.patient_input import Candidate
from models.predict import ServedModel
from serving.accounts import Accounts
from serving.app import create_app
from serving.database import open_database
from serving.outcomes.live import LiveOutcomes
from serving.outcomes.store import OutcomeStore
from serving.record.answer import RecordedProbability
from serving.record.keys import RecordKey
from serving.record.question import Inputs, Question
from serving.record.recorder import Recorder
from serving.record.store import RecordStore
from taxokine.processes import background_process, reserved_port

from .conftest import running
from .registry import registered

Json = dict[str, Any]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(text: str) -> Samples:
    """Return the value of each sample, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value_of(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def scrape(http: httpx.Client) -> Samples:
    response = http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples_of(response.text)


def test_requests_and_predictions_are_counted(client: httpx.Client, candidate: Json) -> None:
    before = scrape(client)
    answers = client.post("/v1/predictions", json=candidate).json()["answers"]
    client.post("/v1/predictions", json={})
    client.get("/static/style.css")
    after = scrape(client)

    def growth(name: str, **labels: str) -> float:
        return value_of(after, name, **labels) - value_of(before, name, **labels)

    route = {"method": "POST", "route": "/v1/predictions"}
    assert growth("taxokine_requests_total", **route, status="200") == 1
    assert growth("taxokine_requests_total", **route, status="422") == 1
    assert growth("taxokine_requests_total", method="GET", route="/static", status="200") == 1
    assert growth("taxokine_request_seconds_count", **route) == 2
    assert 0 < growth("taxokine_request_seconds_sum", **route) < 10
    assert growth("taxokine_request_seconds_bucket", **route, le="+Inf") == 2
    for answer in answers:
        model, verdict = answer["model"], answer["trust"]["verdict"]
        labels = {"outcome": answer["outcome"], "model": model["name"], "version": model["version"]}
        assert growth("taxokine_predictions_total", **labels, verdict=verdict) == 1
        assert value_of(after, "taxokine_served_model", **labels, alias="candidate") == 1


def test_no_client_adds_a_label_and_none_is_of_a_patient(client: httpx.Client, candidate: Json) -> None:
    names = [secrets.token_hex(8) for _ in range(20)]
    for name in names:
        client.get(f"/{name}")
        client.get(f"/patients/{name}")
        client.get(f"/static/{name}")
        client.get(f"/v1/models/{name}/1/card", headers={"X-Request-ID": name})
        client.request("PROPFIND", "/v1/predictions")
        client.post("/v1/predictions", json=candidate | {"patient": {"id": name, name: 1}})
    text = client.get("/metrics").text
    assert not [name for name in names if name in text.lower()]
    labels = {label for _, labels in samples_of(text) for label, _ in labels}
    assert labels <= {"method", "route", "status", "le", "outcome", "model", "version", "alias", "verdict", "reader"}
    assert value_of(samples_of(text), "taxokine_requests_total", method="other", route="/v1/predictions", status="405")


@pytest.mark.parametrize(
    ("address", "has_key", "status"),
    [
        ("127.0.0.1", False, 200), ("::1", False, 200), ("10.0.0.7", False, 401), ("fe80::1", False, 401),
        ("10.0.0.7", True, 200),
    ],
)  # fmt: skip
def test_another_machine_needs_a_key(
    models: Mapping[str, list[ServedModel]],
    key_and_accounts: tuple[str, Accounts],
    address: str,
    has_key: bool,
    status: int,
) -> None:
    key, accounts = key_and_accounts
    transport = httpx.ASGITransport(create_app(models, accounts), client=(address, 1))
    headers = {"Authorization": f"Bearer {key}"} if has_key else {}

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get("/metrics", headers=headers)

    # In a thread of its own: that of the tests may run the loop of a browser.
    with ThreadPoolExecutor(1) as pool:
        response = pool.submit(anyio.run, get).result()
    assert response.status_code == status
    assert ("taxokine_requests" in response.text) is (status == 200)


def test_the_performance_in_use_is_that_of_the_reports(
    models: Mapping[str, list[ServedModel]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    record = RecordStore(engine, RecordKey(b"k" * 32))
    for i in range(40):
        recorded = RecordedProbability("toxicity_any", "as measured", "tox", "7", (i + 1) / 42, "ok")
        few = RecordedProbability("disease_control", "as measured", "dc", "1", 0.5, "ok")
        record.append(
            [Question("key ward", "r", "POST /v1/predictions", f"p{i}", Inputs(Candidate()), (recorded, few))]
        )
    store = OutcomeStore(record)
    for i in range(40):
        outcomes = {"toxicity_any": i % 3 == 0} | ({"disease_control": True} if i < 5 else {})
        store.append("key ward", "r", datetime.now(UTC).date(), outcomes, number=i + 1)
    tox, dc = {"outcome": "toxicity_any", "model": "tox", "version": "7"}, {"outcome": "disease_control"}
    with (
        running(create_app(models, Accounts(engine), recorder=Recorder(record))) as address,
        httpx.Client(base_url=address) as http,
    ):
        samples = scrape(http)
        expected = next(item for item in LiveOutcomes(store).performance() if item.model == "tox")
        for bound in ("value", "low", "high"):
            assert value_of(samples, "taxokine_live_auroc", **tox, bound=bound) == getattr(expected.auroc, bound)
            ratio = value_of(samples, "taxokine_live_observed_to_expected", **tox, bound=bound)
            assert ratio == getattr(expected.observed_to_expected, bound)
        assert value_of(samples, "taxokine_live_brier", **tox) == expected.brier
        assert value_of(samples, "taxokine_live_patients", **tox) == 40
        assert value_of(samples, "taxokine_live_events", **tox) == 14
        assert value_of(samples, "taxokine_live_patients", **dc, model="dc", version="1") == 5
        assert not [labels for name, labels in samples if name == "taxokine_live_auroc" and ("model", "dc") in labels]
        assert value_of(samples, "taxokine_outcomes_readable") == 1
        # A database that is lost takes with it what is read from it, and no other metric.
        monkeypatch.setattr("serving.outcomes.live.MAX_AGE", 0.0)
        with sqlite3.connect(tmp_path / "a.db") as connection:
            connection.execute("ALTER TABLE outcome_reports RENAME TO gone")
        samples = scrape(http)
        assert value_of(samples, "taxokine_outcomes_readable") == 0
        assert not [name for name, _ in samples if name.startswith("taxokine_live")]
        assert value_of(samples, "taxokine_requests_total", method="GET", route="/metrics", status="200")


def test_workers_count_together_and_a_killed_one_leaves_its_counts_alone(
    models: Mapping[str, list[ServedModel]], tmp_path: Path, candidate: Json
) -> None:
    headers = {"Authorization": "Bearer the-key"}
    with registered(models, tmp_path, TAXOKINE_API_KEY="the-key"), reserved_port(0) as (port, release):
        release()
        command = [sys.executable, "-m", "taxokine", "serve", "--port", str(port), "--workers", "2"]
        paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
        with background_process("server", command, tmp_path / "server.log", paths) as wait_until_ready:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(f"{address}/readyz")
            supervisor = next(child for child in psutil.Process().children() if str(port) in child.cmdline())
            for _ in range(40):
                # A new connection each: either worker may take it.
                assert httpx.post(f"{address}/v1/predictions", json=candidate, headers=headers).status_code == 200
            counts = scrape_of(address)
            route = {"method": "POST", "route": "/v1/predictions", "status": "200"}
            assert value_of(counts, "taxokine_requests_total", **route) == 40
            assert value_of(counts, "taxokine_record_queue") == 0
            assert time.time() - 60 < value_of(counts, "taxokine_models_checked_timestamp_seconds") <= time.time()
            worker = next(child for child in supervisor.children() if "spawn_main" in " ".join(child.cmdline()))
            worker.kill()
            deadline = time.monotonic() + 60
            while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            wait_until_ready(f"{address}/readyz")
            assert value_of(scrape_of(address), "taxokine_requests_total", **route) == 40


def scrape_of(address: str) -> Samples:
    with httpx.Client(base_url=address) as http:
        return scrape(http)
