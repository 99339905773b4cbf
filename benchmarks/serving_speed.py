"""Predictions with SHAP over HTTP, beside the floor of the same model in process and MLflow's own server.

The floor is what cannot be left out: from the encoded row to contributions and a probability. Requests and floors take
turns in short blocks, so that whatever else the machine does slows both. Within its block a floor finds warm caches, as
a request, which waits for its client in between, does not: the ratio is against the lowest floor there is.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

KEY = "benchmark"
PATIENTS, TAXA = 180, 660
BLOCK, WARM, ROUNDS = 50, 2, 20
MLFLOW_SECONDS = 3.0
TARGETS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "elastic_net": ("≤ floor + 3 ms", lambda http, floor: http <= floor + 3e-3),
    "xgboost_forest": ("≤ 1.5 ×", lambda http, floor: http <= 1.5 * floor),
    "xgboost": ("≤ 4 ×", lambda http, floor: http <= 4 * floor),
}


@dataclass(frozen=True)
class Subject:
    """One family's model, saved and logged, with what is asked of it.

    Attributes
    ----------
    family : str
    features : int
    bundle : Path
    uri : str
        Under which MLflow knows it.
    requests, mlflow_requests : list of bytes
        A whole request for each patient, to our server and to MLflow's.
    floor : callable
        From a patient's position to the probability of the encoded row.
    """

    family: str
    features: int
    bundle: Path
    uri: str
    requests: list[bytes]
    mlflow_requests: list[bytes]
    floor: Callable[[int], float]


def serving_rows() -> list[str]:
    """Return the table's rows, one a family."""
    with tempfile.TemporaryDirectory() as scratch:
        subjects = _subjects(Path(scratch))
        times = _interleaved(subjects)
        mlflow = _mlflow_rates(subjects)
    rows = []
    for subject in subjects:
        http, floor = (np.array(one) for one in times[subject.family])
        target, met = TARGETS[subject.family]
        p50, p99, least = np.median(http), np.quantile(http, 0.99), np.median(floor)
        extra = f"+{(p50 - least) * 1e3:.2f} ms"
        rows.append(
            f"| {subject.family}, {subject.features} features | {least * 1e3:.2f} ms | {p50 * 1e3:.2f} ms | "
            f"{p99 * 1e3:.2f} ms | {len(http) / http.sum():.0f} | **{p50 / least:.2f} ×** ({extra}) | "
            f"{target} | {'met' if met(p50, least) else 'not met'} | {mlflow[subject.family]:.1f} |"
        )
    return rows


def _subjects(folder: Path) -> list[Subject]:
    """Fit each family's largest setting to a simulated trial, save it, and log it to an MLflow store of its own."""
    from features.cohort import read_cohort
    from features.landmark import landmark_table
    from features.settings import settings
    from models.batch import table_candidates
    from models.bundle import Model, load_bundle, save_bundle
    from models.calibration import Calibration, fit_venn_abers
    from models.encoder import BlockEncoder
    from models.evidence_upgrade import upgrade_evidence
    from models.families import FAMILIES
    from models.reference import fit_reference_set
    from models.registry import log_bundle
    from taxokine.simulation import simulate_trial
    from training.evidence.aggregates import known_outcomes
    from training.evidence.evidence import Circumstances, evidence_of
    from training.tracking import child_run, experiment_run
    from training.validation.config import FitConfig
    from training.validation.folds import outcome_vector, outer_folds
    from training.validation.held_out import validate

    os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "TAXOKINE_HOME": str(folder)}
    settings.cache_clear()
    outcome = "objective_response"
    trial = simulate_trial(folder / "trial", n_patients=PATIENTS, n_taxa=TAXA, visits=(-7,))
    table = landmark_table(read_cohort(trial, folder))
    y = outcome_vector(table, outcome)
    encoder, plan = BlockEncoder(("taxa",)), FitConfig(("elastic_net",), ("taxa",))
    X = encoder.fit_transform(table)
    known_of = known_outcomes(table, outcome)
    cloud = fit_reference_set(table.taxa.values, table.taxa.names, table.rows["centre"].to_numpy(), known_of)
    # One family's evidence, of the size that a real answer carries, stands for all.
    outer = [fold for fold in outer_folds(table, y, 5, 1, 0) if fold.scheme == "loco"]
    known = validate(table, y, plan, outer, refit=True)["elastic_net"]
    around = Circumstances(outcome, 3, False, table.notes, (), {"experiments": 0, "models": 0}, 0)
    assert known.fit is not None
    evidence = evidence_of(table, y, plan, "elastic_net", known.held_out, known.fit, {}, None, around)
    summary = upgrade_evidence(evidence.content, outcome)
    calibration = replace(Calibration(0.8, -0.1), venn_abers=fit_venn_abers(known.fit.margin, known.fit.y))
    profiles = [dict(candidate.taxa.values) for candidate in table_candidates(table) if candidate.taxa]
    asked = [
        {"patient": {"id": "candidate"}, "taxa": {"unit": "proportions", "profiler": "simulated", "values": profile}}
        for profile in profiles
    ]
    subjects = []
    with experiment_run(outcome, "benchmark", {}, {}):
        for name, family in tqdm(FAMILIES.items(), desc="fitting and logging models", leave=False):
            predictor = family.fit(X, y, np.zeros(len(y), dtype=np.intp), family.settings[-1], 0)
            model = Model(
                outcome, name, encoder, predictor, calibration, {}, ("simulated",), summary, "benchmark", cloud
            )
            bundle = folder / name
            save_bundle(model, bundle)
            with child_run(name, {}, {}):
                uri = log_bundle(model)
            floor = partial(_floor, load_bundle(bundle).predictor, calibration, [X[i : i + 1] for i in range(len(X))])
            subjects.append(
                Subject(
                    name,
                    X.shape[1],
                    bundle,
                    uri,
                    [_request("/v1/predictions", body) for body in asked],
                    [_request("/invocations", {"dataframe_records": [{"taxa": one}]}) for one in profiles],
                    floor,
                )
            )
    return subjects


def _floor(predictor: Any, calibration: Any, rows: Sequence[np.ndarray[Any, Any]], i: int) -> float:
    shap, base = predictor.contributions(rows[i])
    return float(calibration.probability(base + shap.sum()))


def _interleaved(subjects: Sequence[Subject]) -> dict[str, tuple[list[float], list[float]]]:
    """Return by family the seconds of each request over HTTP, and of each floor."""
    times: dict[str, tuple[list[float], list[float]]] = {subject.family: ([], []) for subject in subjects}
    commands = [["benchmarks.serving_speed", str(subject.bundle)] for subject in subjects]
    with _servers(commands, "/readyz") as connections:
        for subject, connection in zip(subjects, connections, strict=True):
            said = json.loads(_ask(connection, subject.requests, 0))
            assert abs(said["answers"][0]["probability"] - subject.floor(0)) < 1e-6
        for turn in tqdm(range(WARM + ROUNDS), desc="predicting", leave=False, mininterval=1):
            patients = [(turn * BLOCK + i) % PATIENTS for i in range(BLOCK)]
            for subject, connection in zip(subjects, connections, strict=True):
                http = [_seconds(partial(_ask, connection, subject.requests), i) for i in patients]
                floor = [_seconds(subject.floor, i) for i in patients]
                if turn >= WARM:
                    times[subject.family][0].extend(http)
                    times[subject.family][1].extend(floor)
    return times


def _mlflow_rates(subjects: Sequence[Subject]) -> dict[str, float]:
    """Return by family how many answers a second `mlflow models serve` gives."""
    rates = {}
    serve = ["mlflow", "models", "serve", "--env-manager", "local", "--workers", "1"]
    commands = [[*serve, "--model-uri", subject.uri] for subject in subjects]
    with _servers(commands, "/ping") as connections:
        for subject, connection in zip(subjects, connections, strict=True):
            ask = partial(_ask, connection, subject.mlflow_requests)
            ask(0)
            times: list[float] = []
            while sum(times) < MLFLOW_SECONDS:
                times.append(_seconds(ask, len(times) % PATIENTS))
            rates[subject.family] = len(times) / sum(times)
    return rates


def _seconds(call: Callable[[int], object], patient: int) -> float:
    start = time.perf_counter()
    call(patient)
    return time.perf_counter() - start


def _request(path: str, content: dict[str, Any]) -> bytes:
    body = json.dumps(content).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _ask(connection: socket.socket, requests: Sequence[bytes], i: int) -> bytes:
    """Return a reply's body; by hand, since http.client would add a tenth of a millisecond of its own."""
    connection.sendall(requests[i])
    reply, start, end = bytearray(), 0, 0
    while not end or len(reply) < end:
        if not (chunk := connection.recv(2**18)):
            raise ConnectionError("the server closed the connection")
        reply += chunk
        if not end and (head := reply.find(b"\r\n\r\n")) >= 0:
            length = reply[:head].lower().partition(b"content-length:")[2].partition(b"\r")[0]
            start, end = head + 4, head + 4 + int(length)
    assert reply.startswith(b"HTTP/1.1 200 "), bytes(reply)
    return bytes(reply[start:])


@contextmanager
def _servers(commands: Sequence[Sequence[str]], ready: str) -> Iterator[list[socket.socket]]:
    """Run `python -m <command> --port <port>` for each, beside this process, and return connections to them."""
    # MLflow calls uvicorn by name.
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with ExitStack() as stack:
        ports = [_free_port() for _ in commands]
        for command, port in zip(commands, ports, strict=True):
            whole = [sys.executable, "-m", *command, "--port", str(port)]
            process = subprocess.Popen(
                whole, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, start_new_session=True
            )
            stack.callback(_end, process)
        deadline = time.monotonic() + 120
        for command, port in tqdm(zip(commands, ports, strict=True), desc=f"starting {commands[0][0]}", leave=False):
            while not _answers(port, ready):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"'python -m {' '.join(command)} --port {port}' did not start")
                time.sleep(0.1)
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), 30)) for port in ports]


def _end(process: subprocess.Popen[bytes]) -> None:
    # The whole session: MLflow's server has workers of its own.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(20)


def _answers(port: int, path: str) -> bool:
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(bundle: Path, port: int) -> None:
    """Serve one bundle as `serving.main.serve` serves the registry's."""
    import uvicorn

    from models.bundle import load_bundle
    from models.predict import ServedModel
    from serving.accounts import Accounts
    from serving.app import create_app
    from serving.database import open_database

    model = load_bundle(bundle)
    served = ServedModel(model, model.outcome, "1", "0" * 32, "candidate")
    app = create_app({model.outcome: [served]}, Accounts(open_database(f"sqlite:///{bundle}.db"), KEY))
    uvicorn.run(app, host="127.0.0.1", port=port, server_header=False, access_log=False)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[3]))
