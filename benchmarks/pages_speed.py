"""Seconds of the clinic's pages over HTTP, a patient's page and the patient list, and of the API's predictions."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from tqdm import tqdm

from benchmarks.markdown import print_table

HEADER = "pages, one worker|time|ratio|target|"
PATIENTS = 200
PASSWORD, KEY = "a benchmark's password", "benchmark"
PAGE_TARGET, LIST_TARGET = 0.150, 1.0


def page_rows() -> list[str]:
    """Return the table's rows: a patient's page, the patient list when first requested, and the list again."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        environment = {**os.environ, "TAXOKINE_HOME": scratch, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
                       "TAXOKINE_API_KEY": KEY}  # fmt: skip
        trial = _prepare(folder, environment)
        with _server(trial, environment) as address, requests.Session() as visitor:
            # Following the redirect would request the list once before it is timed.
            visitor.post(f"{address}/sign-in", {"name": "anna", "password": PASSWORD}, allow_redirects=False)
            first_seconds, list_page = _seconds(visitor, f"{address}/")
            repeat_seconds = statistics.median(_seconds(visitor, f"{address}/")[0] for _ in range(10))
            assert list_page.count("<tr>") > PATIENTS
            page_seconds, prediction_seconds = [], []
            for i in tqdm(range(1, PATIENTS + 1), desc="requesting pages", leave=False):
                page_seconds.append(_seconds(visitor, f"{address}/patients/SIM-{i:03d}")[0])
                prediction_seconds.append(_prediction_seconds(visitor, address))
    page_median, prediction_median = statistics.median(page_seconds), statistics.median(prediction_seconds)
    return [
        _row(
            "a patient's page, median",
            page_median,
            PAGE_TARGET,
            f"{page_median / prediction_median:.1f} × the API's prediction",
        ),
        _row(
            f"a list of {PATIENTS}, first",
            first_seconds,
            LIST_TARGET,
            f"{first_seconds / PATIENTS / prediction_median:.2f} × the API a patient",
        ),
        _row(
            f"list of {PATIENTS}, again",
            repeat_seconds,
            LIST_TARGET,
            f"{repeat_seconds / first_seconds:.2f} × the first",
        ),
    ]


def _row(measurement: str, seconds: float, target: float, ratio: str) -> str:
    met = "met" if seconds <= target else "not met"
    return f"| {measurement} | {seconds * 1e3:.0f} ms | {ratio} | ≤ {target * 1e3:.0f} ms | {met} |"


def _prepare(folder: Path, environment: dict[str, str]) -> Path:
    """Simulate a clinic, train a model of response and one of toxicity, and add a user."""
    from taxokine.simulation import Trial, simulate_trial

    trial = simulate_trial(folder / "trial", Trial(n_patients=PATIENTS, n_taxa=300, visits=(-7,)))
    train = ["train", "--cohorts", str(trial), "--families", "elastic_net", "--blocks", "taxa", "--repeats", "1"]
    for outcome_options in (["--outcome", "objective_response"], ["--outcome", "toxicity", "--grade", "any"]):
        _run([*train, *outcome_options], environment)
    _run(["users", "add", "anna", "--password-stdin"], environment, PASSWORD)
    return trial


def _run(arguments: list[str], environment: dict[str, str], stdin: str = "") -> None:
    command = [sys.executable, "-m", "taxokine", *arguments]
    subprocess.run(command, env=environment, input=stdin, text=True, check=True, capture_output=True)


@contextmanager
def _server(trial: Path, environment: dict[str, str]) -> Iterator[str]:
    from benchmarks.serving_speed import _free_port

    address = f"http://127.0.0.1:{(port := _free_port())}"
    command = [sys.executable, "-m", "taxokine", "serve", "--port", str(port), "--clinic", str(trial)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                requests.get(f"{address}/readyz", timeout=2).raise_for_status()
                break
            except requests.RequestException:
                assert process.poll() is None
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _seconds(visitor: requests.Session, url: str) -> tuple[float, str]:
    start = time.perf_counter()
    response = visitor.get(url)
    seconds = time.perf_counter() - start
    response.raise_for_status()
    return seconds, response.text


def _prediction_seconds(visitor: requests.Session, address: str) -> float:
    body: dict[str, Any] = {
        "patient": {"id": "candidate"},
        "taxa": {"unit": "proportions", "values": {f"Taxon{j}": 1 / 300 for j in range(300)}},
    }
    start = time.perf_counter()
    response = visitor.post(f"{address}/v1/predictions", json.dumps(body),
                        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})  # fmt: skip
    seconds = time.perf_counter() - start
    response.raise_for_status()
    return seconds


if __name__ == "__main__":
    print_table(HEADER, page_rows())
