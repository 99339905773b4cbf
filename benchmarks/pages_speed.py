"""The clinic's pages over HTTP, beside the same answers from the API: a patient's page, and a list of candidates."""

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

PATIENTS = 200
PASSWORD, KEY = "a benchmark's password", "benchmark"
PAGE_TARGET, LIST_TARGET = 0.150, 1.0


def page_rows() -> list[str]:
    """Return the table's rows: a patient's page, the list when first asked for, and the list again."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        environment = {**os.environ, "TAXOKINE_HOME": scratch, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
                       "TAXOKINE_API_KEY": KEY}  # fmt: skip
        trial = _prepared(folder, environment)
        with _server(trial, environment) as address, requests.Session() as visitor:
            # Followed, the redirect would ask for the list a first time unseen.
            visitor.post(f"{address}/sign-in", {"name": "anna", "password": PASSWORD}, allow_redirects=False)
            first, listed = _seconds(visitor, f"{address}/")
            again = statistics.median(_seconds(visitor, f"{address}/")[0] for _ in range(10))
            assert listed.count("<tr>") > PATIENTS
            pages, answers = [], []
            for i in tqdm(range(1, PATIENTS + 1), desc="asking for pages", leave=False):
                pages.append(_seconds(visitor, f"{address}/patients/SIM-{i:03d}")[0])
                answers.append(_asked(visitor, address))
    page, answer = statistics.median(pages), statistics.median(answers)
    return [
        _row("a patient's page, median", page, PAGE_TARGET, f"{page / answer:.1f} × the API's answer"),
        _row(
            f"a list of {PATIENTS}, first", first, LIST_TARGET, f"{first / PATIENTS / answer:.2f} × the API a patient"
        ),
        _row(f"list of {PATIENTS}, again", again, LIST_TARGET, f"{again / first:.2f} × the first"),
    ]


def _row(what: str, seconds: float, target: float, ratio: str) -> str:
    met = "met" if seconds <= target else "not met"
    return f"| {what} | {seconds * 1e3:.0f} ms | {ratio} | ≤ {target * 1e3:.0f} ms | {met} |"


def _prepared(folder: Path, environment: dict[str, str]) -> Path:
    """Simulate a clinic, train a response and a toxicity, and let someone sign in."""
    from taxokine.simulation import simulate_trial

    trial = simulate_trial(folder / "trial", n_patients=PATIENTS, n_taxa=300, visits=(-7,))
    train = ["train", "--cohorts", str(trial), "--families", "elastic_net", "--blocks", "taxa", "--repeats", "1"]
    for words in (["--outcome", "objective_response"], ["--outcome", "toxicity", "--grade", "any"]):
        _run([*train, *words], environment)
    _run(["users", "add", "anna", "--password-stdin"], environment, PASSWORD)
    return trial


def _run(words: list[str], environment: dict[str, str], said: str = "") -> None:
    command = [sys.executable, "-m", "taxokine", *words]
    subprocess.run(command, env=environment, input=said, text=True, check=True, capture_output=True)


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
    said = visitor.get(url)
    took = time.perf_counter() - start
    said.raise_for_status()
    return took, said.text


def _asked(visitor: requests.Session, address: str) -> float:
    body: dict[str, Any] = {
        "patient": {"id": "candidate"},
        "taxa": {"unit": "proportions", "values": {f"Taxon{j}": 1 / 300 for j in range(300)}},
    }
    start = time.perf_counter()
    said = visitor.post(f"{address}/v1/predictions", json.dumps(body),
                        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})  # fmt: skip
    took = time.perf_counter() - start
    said.raise_for_status()
    return took
