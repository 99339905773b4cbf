"""Seconds of a prediction with SHAP over HTTP, in process (the floor), and by MLflow's own server.

The floor is the work that no server can omit: from the encoded row to SHAP values and a probability. Requests and
floors run in turns in short blocks, so that other work on the machine slows both. A floor finds warm caches within its
block and a request, which waits for its client, does not; the ratio is therefore against the lowest possible floor.
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
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from benchmarks.markdown import print_table

if TYPE_CHECKING:
    from features.arrays import Vector
    from features.feature_table import FeatureTable
    from models.bundle import Model

KEY, OUTCOME = "benchmark", "objective_response"
HEADER = (
    "predict + SHAP, one row, one worker|floor, p50|HTTP, p50|HTTP, p99|predictions/s|HTTP ÷ floor|target|"
    "|`mlflow models serve`, predictions/s"
)
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
    """One family's model, saved and logged, with the requests sent to it.

    Attributes
    ----------
    family : str
    features : int
    bundle : Path
    uri : str
        Of the model in MLflow.
    requests, mlflow_requests : list of bytes
        One HTTP request for each patient, to our server and to MLflow's.
    floor : callable
        Computes SHAP values and the probability of the encoded row at a position.
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
        subjects = _fit_subjects(Path(scratch))
        times = _interleaved(subjects)
        mlflow = _mlflow_rates(subjects)
    rows = []
    for subject in subjects:
        http, floor = (np.array(seconds) for seconds in times[subject.family])
        target, met = TARGETS[subject.family]
        http_p50, http_p99, floor_p50 = np.median(http), np.quantile(http, 0.99), np.median(floor)
        extra = f"+{(http_p50 - floor_p50) * 1e3:.2f} ms"
        rows.append(
            f"| {subject.family}, {subject.features} features | {floor_p50 * 1e3:.2f} ms | {http_p50 * 1e3:.2f} ms | "
            f"{http_p99 * 1e3:.2f} ms | {len(http) / http.sum():.0f} | **{http_p50 / floor_p50:.2f} ×** ({extra}) | "
            f"{target} | {'met' if met(http_p50, floor_p50) else 'not met'} | {mlflow[subject.family]:.1f} |"
        )
    return rows


def _fit_subjects(folder: Path) -> list[Subject]:
    """Fit each family's largest setting to a simulated trial, save it, and log it to an MLflow store of its own."""
    from features.settings import settings
    from models.batch import table_candidates
    from models.bundle import load_bundle, save_bundle
    from models.families import FAMILIES
    from models.registry import log_bundle
    from training.tracking import child_run, experiment_run

    os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "TAXOKINE_HOME": str(folder)}
    settings.cache_clear()
    table, y = _simulated_table(folder)
    shared = _model(table, y)
    X = shared.encoder.transform(table)
    rows = [X[i : i + 1] for i in range(len(X))]
    profiles = [dict(candidate.taxa.values) for candidate in table_candidates(table) if candidate.taxa]
    requests = [
        _request(
            "/v1/predictions",
            {
                "patient": {"id": "candidate"},
                "taxa": {"unit": "proportions", "profiler": "simulated", "values": profile},
            },
        )
        for profile in profiles
    ]
    mlflow_requests = [_request("/invocations", {"dataframe_records": [{"taxa": profile}]}) for profile in profiles]
    subjects = []
    with experiment_run(OUTCOME, "benchmark", {}, {}):
        for name, family in tqdm(FAMILIES.items(), desc="fitting and logging models", leave=False):
            predictor = family.fit(X, y, np.zeros(len(y), dtype=np.intp), family.settings[-1], 0)
            model, bundle = replace(shared, family=name, predictor=predictor), folder / name
            save_bundle(model, bundle)
            with child_run(name, {}, {}):
                uri = log_bundle(model)
            floor = partial(_floor, load_bundle(bundle).predictor, model.calibration, rows)
            subjects.append(Subject(name, X.shape[1], bundle, uri, requests, mlflow_requests, floor))
    return subjects


def _simulated_table(folder: Path) -> tuple[FeatureTable, Vector]:
    from features.cohort import read_cohort
    from features.landmark import landmark_table
    from taxokine.simulation import Trial, simulate_trial
    from training.validation.folds import outcome_vector

    trial = simulate_trial(folder / "trial", Trial(n_patients=PATIENTS, n_taxa=TAXA, visits=(-7,)))
    table = landmark_table(read_cohort(trial, folder))
    return table, outcome_vector(table, OUTCOME)


def _model(table: FeatureTable, y: Vector) -> Model:
    """Return an elastic net with the evidence, calibration and reference set that all families share here.

    They have the size of those of a real model.
    """
    from models.bundle import Model
    from models.calibration import Calibration, fit_venn_abers
    from models.evidence import PriorExperiments
    from models.reference import fit_reference_set
    from training.evidence.assemble import ExperimentContext, summarise
    from training.evidence.joint_counts import known_outcomes
    from training.validation.config import FitConfig
    from training.validation.folds import outer_folds
    from training.validation.held_out import validate
    from training.validation.validated_blocks import ValidatedBlocks

    outcomes, centres = known_outcomes(table, OUTCOME), table.rows["centre"].to_numpy()
    reference = fit_reference_set(table.taxa.values, table.taxa.names, centres, outcomes)
    outer = [fold for fold in outer_folds(table, y, 5, 1, 0) if fold.scheme == "loco"]
    config = FitConfig(("elastic_net",), ("taxa",))
    validated = validate(table, y, config, outer, refit=True)["elastic_net"]
    fit = validated.fit
    assert fit is not None
    context = ExperimentContext(OUTCOME, 3, False, table.notes, (), PriorExperiments(0, 0), 0)
    validated_blocks = ValidatedBlocks(config, np.arange(len(y)), table, y, {"elastic_net": validated}, {})
    evidence = summarise(validated_blocks, "elastic_net", None, context).evidence
    calibration = replace(Calibration(0.8, -0.1), venn_abers=fit_venn_abers(fit.margin, fit.y))
    return Model(
        OUTCOME,
        "elastic_net",
        fit.encoder,
        fit.predictor,
        calibration,
        {},
        ("simulated",),
        evidence,
        "benchmark",
        reference,
    )


def _floor(predictor: Any, calibration: Any, rows: Sequence[np.ndarray[Any, Any]], i: int) -> float:
    shap, base = predictor.contributions(rows[i])
    return float(calibration.probability(base + shap.sum()))


def _interleaved(subjects: Sequence[Subject]) -> dict[str, tuple[list[float], list[float]]]:
    """Return the seconds of each request over HTTP, and of each floor, by family."""
    times: dict[str, tuple[list[float], list[float]]] = {subject.family: ([], []) for subject in subjects}
    commands = [["benchmarks.serving_speed", str(subject.bundle)] for subject in subjects]
    with _servers(commands, "/readyz") as connections:
        for subject, connection in zip(subjects, connections, strict=True):
            reply = json.loads(_ask(connection, subject.requests, 0))
            assert abs(reply["answers"][0]["probability"] - subject.floor(0)) < 1e-6
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
    """Return how many predictions a second `mlflow models serve` returns, by family."""
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
    """Return a reply's body, read from the socket, since http.client would add a tenth of a millisecond."""
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
            arguments = [sys.executable, "-m", *command, "--port", str(port)]
            process = subprocess.Popen(
                arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, start_new_session=True
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
    # The whole session, since MLflow's server starts workers.
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
    match sys.argv[1:]:
        case [bundle, "--port", port]:
            _serve(Path(bundle), int(port))
        case _:
            print_table(HEADER, serving_rows())
