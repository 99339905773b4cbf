"""Seconds and bytes of every page over HTTP, beside the API's predictions."""

from __future__ import annotations

import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from tqdm import tqdm

from benchmarks.servers import free_port
from benchmarks.tables import Table, run_alone

HEADER = "pages, one worker|time|× the API's prediction|size|size, compressed|target|"
PATIENTS = 200
PASSWORD, KEY = "a benchmark's password", "benchmark"
PAGE_TARGET, LIST_TARGET = 0.150, 1.0
REPEATS = 10
PATHS = {
    "the list": "/",
    "the example": "/example",
    "the form of an upload": "/upload",
    "the models": "/models",
    "the reference of the API": "/docs",
    "the style sheet": "/static/style.css",
    "the script": "/static/taxokine.js",
}
"""Pages besides those of patients, and what every page loads."""


@dataclass(frozen=True)
class PageLoad:
    """One request of a page: seconds until its last byte, and its text."""

    seconds: float
    text: str


def page_tables() -> list[Table]:
    """Return the table of every page."""
    return [Table.from_lines("Pages", HEADER, _rows())]


def _rows() -> list[str]:
    """Return the table's rows: the list when first requested and again, a patient's page, and each other page."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        environment = {**os.environ, "TAXOKINE_HOME": scratch, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
                       "TAXOKINE_API_KEY": KEY}  # fmt: skip
        clinic = _prepare(folder, environment)
        with _server(clinic, environment) as address, requests.Session() as visitor:
            # Following the redirect would request the list once before it is timed.
            visitor.post(f"{address}/sign-in", {"name": "anna", "password": PASSWORD}, allow_redirects=False)
            first = _load(visitor, f"{address}/")
            assert first.text.count("<tr>") > PATIENTS
            patients, prediction_seconds = [], []
            for i in tqdm(range(1, PATIENTS + 1), desc="requesting pages", leave=False):
                patients.append(_load(visitor, f"{address}/patients/SIM-{i:03d}"))
                prediction_seconds.append(_prediction_seconds(visitor, address))
            card = re.findall(r'href="(/models/[^"]+/card)"', _load(visitor, f"{address}/models").text)[0]
            pages = {
                name: [_load(visitor, address + path) for _ in range(REPEATS)]
                for name, path in {**PATHS, "a model's card": card}.items()
            }
    prediction = statistics.median(prediction_seconds)
    return [
        _row(f"a list of {PATIENTS}, first", [first], prediction, LIST_TARGET),
        _row(f"the list of {PATIENTS}, again", pages.pop("the list"), prediction, LIST_TARGET),
        _row("a patient's page", patients, prediction, PAGE_TARGET),
        *(_row(name, loads, prediction, PAGE_TARGET) for name, loads in pages.items()),
    ]


def _row(name: str, loads: Sequence[PageLoad], prediction: float, target: float) -> str:
    """Return the row of a page, the medians of several loads."""
    seconds = statistics.median(load.seconds for load in loads)
    sizes = [statistics.median(sizes) / 1e3 for sizes in zip(*(_sizes(load.text) for load in loads), strict=True)]
    met = "met" if seconds <= target else "not met"
    return (
        f"| {name} | {seconds * 1e3:.0f} ms | {seconds / prediction:.1f} × | {sizes[0]:.0f} kB | {sizes[1]:.0f} kB "
        f"| ≤ {target * 1e3:.0f} ms | {met} |"
    )


def _sizes(text: str) -> tuple[int, int]:
    """Return the bytes of a page, as they are and compressed, as a proxy sends them."""
    content = text.encode()
    return len(content), len(gzip.compress(content))


def _prepare(folder: Path, environment: dict[str, str]) -> Path:
    """Simulate a trial and a clinic, train a model of response and one of toxicity, add a user; return the clinic."""
    from taxokine.simulation import Trial, simulate_trial

    trial = simulate_trial(folder / "trial", Trial(n_patients=PATIENTS, n_taxa=300, visits=(-7,)))
    # Of a training patient the pages show less.
    clinic = simulate_trial(folder / "clinic", Trial(n_patients=PATIENTS, n_taxa=300, seed=1, visits=(-7, 28)))
    train = ["train", "--cohorts", str(trial), "--families", "elastic_net", "--blocks", "taxa", "--repeats", "1"]
    for outcome_options in (["--outcome", "objective_response"], ["--outcome", "toxicity", "--grade", "any"]):
        _run([*train, *outcome_options], environment)
    _run(["users", "add", "anna", "--role", "researcher", "--password-stdin"], environment, PASSWORD)
    return clinic


def _run(arguments: list[str], environment: dict[str, str], stdin: str = "") -> None:
    command = [sys.executable, "-m", "taxokine", *arguments]
    subprocess.run(command, env=environment, input=stdin, text=True, check=True, capture_output=True)


@contextmanager
def _server(clinic: Path, environment: dict[str, str]) -> Iterator[str]:
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "taxokine", "serve", "--port", str(port), "--clinic", str(clinic)]
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


def _load(visitor: requests.Session, url: str) -> PageLoad:
    start = time.perf_counter()
    response = visitor.get(url)
    seconds = time.perf_counter() - start
    response.raise_for_status()
    return PageLoad(seconds, response.text)


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
    run_alone(page_tables)
