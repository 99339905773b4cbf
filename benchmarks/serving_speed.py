"""Seconds and answers a second of a prediction with SHAP over HTTP, beside other servers with the same model.

Taxokine is `taxokine serve` itself: keys, checks, evidence, applicability and the record of questions are on. The floor
is the work that no server can omit, from the encoded row to SHAP values and a probability: in this process, and behind
FastAPI (`benchmarks.comparison_apps`). All are measured in turns within each round, so that other work on the machine
slows all alike; stated are the median of the rounds and their range.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.servers import KEY, Server, answers_per_second, http_request, latencies, running
from benchmarks.serving_models import ServedFamily, fit_families, own_store
from benchmarks.tables import Cell, Rounds, Table, run_alone

ROUNDS, REQUESTS, CLIENTS, LOAD_SECONDS = 7, 100, 8, 1.0
TAXOKINE, TWO_WORKERS, BARE, TUTORIAL, MLFLOW = (
    "Taxokine", "Taxokine, 2 workers", "bare FastAPI", "tutorial: FastAPI, pandas, shap",
    "`mlflow models serve`, no SHAP",
)  # fmt: skip
TITLE = "A prediction with SHAP over HTTP"
COLUMNS = (
    "model and server", "p50, ms", "p99, ms", "÷ floor in process", "÷ bare FastAPI", "processor, ms an answer",
    "answers/s, 1 client", f"answers/s, {CLIENTS} clients", "target",
)  # fmt: skip


def serving_tables() -> list[Table]:
    """Return the table of every family and server."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with own_store(folder):
            rows = [row for family in fit_families(folder) for row in _family_rows(family, folder)]
    return [Table(TITLE, COLUMNS, tuple(rows))]


def _family_rows(family: ServedFamily, folder: Path) -> list[tuple[Cell, ...]]:
    """Return the rows of one family: the floor in process, then each server."""
    servers = _servers(family, folder)
    floor: list[float] = []
    p50: dict[str, list[float]] = {name: [] for name in servers}
    p99: dict[str, list[float]] = {name: [] for name in servers}
    processor: dict[str, list[float]] = {name: [] for name in servers}
    rates: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in servers}
    with running(servers) as processes:
        for name, server in servers.items():
            latencies(processes[name].port, server.requests, REQUESTS)
        for _ in tqdm(range(ROUNDS), desc=f"predicting by {family.family}", leave=False):
            floor.append(statistics.median(_seconds(family, i) for i in range(REQUESTS)))
            for name, server in servers.items():
                port, before = processes[name].port, processes[name].processor_seconds()
                seconds = sorted(latencies(port, server.requests, REQUESTS))
                processor[name].append((processes[name].processor_seconds() - before) / REQUESTS)
                p50[name].append(statistics.median(seconds))
                p99[name].append(seconds[int(0.99 * len(seconds))])
                for rate, clients in zip(rates[name], (1, CLIENTS), strict=True):
                    rate.append(answers_per_second(port, server.requests, clients, LOAD_SECONDS))
    size = f"{family.family}, {family.encoded.shape[1]} columns"
    rows: list[tuple[Cell, ...]] = [(f"{size}: floor in process", Rounds.from_values(floor).text(2, 1e3), *(None,) * 7)]
    for name in servers:
        met = _target(family.family, p50[name], floor, p50[BARE]) if name == TAXOKINE else None
        rates_text = [Rounds.from_values(rate).text(0) for rate in rates[name]]
        ratios = [_ratio(p50[name], floor), _ratio(p50[name], p50[BARE])]
        times = [Rounds.from_values(times).text(2, 1e3) for times in (p50[name], p99[name], processor[name])]
        rows.append((f"{family.family}: {name}", *times[:2], *ratios, times[2], *rates_text, met))
    return rows


def _servers(family: ServedFamily, folder: Path) -> dict[str, Server]:
    profiles = family.profiles
    requests = [_prediction_request("/v1/predictions", profile) for profile in profiles]
    bare_requests = [_prediction_request("/", profile) for profile in profiles]
    mlflow_requests = [http_request("/invocations", {"dataframe_records": [{"taxa": profile}]}) for profile in profiles]
    apps = {
        app: ("benchmarks.comparison_apps", app, str(family.bundle), str(family.rows)) for app in ("bare", "tutorial")
    }
    mlflow = ("mlflow", "models", "serve", "--env-manager", "local", "--workers", "1", "--model-uri", family.uri)
    servers = {}
    for workers, name in ((1, TAXOKINE), (2, TWO_WORKERS)):
        home = folder / f"home-{family.family}-{workers}"
        environment = {"TAXOKINE_HOME": str(home), "TAXOKINE_API_KEY": KEY}
        command = ("taxokine", "serve", "--alias", family.alias, "--workers", str(workers))
        servers[name] = Server(command, "/readyz", requests, environment)
    return {
        **servers,
        BARE: Server(apps["bare"], "/ready", bare_requests),
        TUTORIAL: Server(apps["tutorial"], "/ready", bare_requests),
        MLFLOW: Server(mlflow, "/ping", mlflow_requests),
    }


def _prediction_request(path: str, profile: dict[str, float]) -> bytes:
    taxa = {"unit": "proportions", "profiler": "simulated", "values": profile}
    return http_request(path, {"patient": {"id": "candidate"}, "taxa": taxa})


def _seconds(family: ServedFamily, patient: int) -> float:
    start = time.perf_counter()
    family.floor(patient)
    return time.perf_counter() - start


def _ratio(seconds: Sequence[float], floor: Sequence[float]) -> str:
    """Return the ratio within each round, as median and range."""
    return Rounds.from_values([a / b for a, b in zip(seconds, floor, strict=True)]).text(1)


def _target(family: str, p50: Sequence[float], floor: Sequence[float], bare: Sequence[float]) -> str:
    """Return the family's target, and whether the median of the rounds meets it."""
    if family == "elastic_net":
        extra = Rounds.from_values([a - b for a, b in zip(p50, floor, strict=True)])
        return f"≤ floor + 3 ms: +{extra.text(1, 1e3)} ms, {'met' if extra.median <= 3e-3 else 'not met'}"
    ratios = {
        "floor": Rounds.from_values([a / b for a, b in zip(p50, floor, strict=True)]).median,
        "bare FastAPI": Rounds.from_values([a / b for a, b in zip(p50, bare, strict=True)]).median,
    }
    verdicts = (f"≤ 4 × {name}: {'met' if ratio <= 4 else 'not met'}" for name, ratio in ratios.items())
    return "; ".join(verdicts)


if __name__ == "__main__":
    os.environ["PYTHONWARNINGS"] = "ignore"
    run_alone(serving_tables)
