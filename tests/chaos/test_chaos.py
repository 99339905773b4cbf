"""A deployment under load, while parts of it fail: no answer is wrong or unrecorded, and all comes back by itself.

``make chaos`` repeats each event many times and prints what was lost; among the other tests each happens once.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from features.cohort import read_cohort
from features.settings import settings
from models.registration import take_effect
from models.registry import client
from serving.model_set.live_app import CHECK_SECONDS
from taxokine.demo.candidates import prediction_request
from taxokine.processes import background_process, reserved_port, responds
from taxokine.simulation import Trial, simulate_trial

from ..postgresql import PostgresServer
from .bursts import burst, health_checks
from .commands import run
from .load import NO_ANSWER, Load, load
from .models import train_model

ROUNDS = int(os.environ.get("TAXOKINE_CHAOS_ROUNDS", "1"))
"""How often each event happens."""
SECONDS_AT_80_PERCENT = 180 * ROUNDS if ROUNDS > 1 else 5
FLAT_BYTES = 20_000_000
"""By which the workers' memory may grow; 100 bytes lost an answer would be 36 MB in half an hour of 200 answers/s."""
KEY = "the-key"
WORKERS = 2


class Deployment(NamedTuple):
    """Two workers of the server, with registry and database as servers of their own."""

    address: str
    home: Path
    question: dict[str, Any]
    registry: Registry
    database: PostgresServer

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer."""
        port = int(self.address.rpartition(":")[2])
        processes = [
            process
            for process in psutil.process_iter(["cmdline"])
            if {"serve", str(port)} <= set(process.info["cmdline"] or ())
        ]
        # Until it executes its own program, a new worker has the command of the supervisor that forked it.
        supervisor = min(processes, key=psutil.Process.create_time)
        running = (child for child in supervisor.children() if child.status() != psutil.STATUS_ZOMBIE)
        return [child for child in running if "spawn_main" in " ".join(child.cmdline())]

    def load(self, clients: int = 4, **pace: float) -> Any:
        """Ask one question after another until the context is left."""
        return load(self.address, KEY, self.question, clients, **pace)

    def wait_until_ready(self) -> None:
        """Wait until the server answers a question."""
        deadline = time.monotonic() + 120
        while httpx.post(
            f"{self.address}/v1/predictions", json=self.question, headers={"Authorization": f"Bearer {KEY}"}, timeout=60
        ).is_error:
            assert time.monotonic() < deadline
            time.sleep(0.2)


class Registry:
    """An MLflow server that can be stopped and started."""

    def __init__(self, port: int, store: str, folder: Path) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", store, "--serve-artifacts", "--artifacts-destination", str(folder / "artefacts")),
        ]
        self._log = folder / "mlflow.log"
        self._running = ExitStack()

    def start(self) -> None:
        self._running.enter_context(background_process("MLflow server", self._command, self._log))(
            f"{self.address}/health"
        )

    def stop(self) -> None:
        self._running.close()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("deployment")
    with pytest.MonkeyPatch.context() as patch, reserved_port(0) as (registry_port, release_registry):
        release_registry()
        store = postgres_server.new_database().replace("postgresql://", "postgresql+psycopg://")
        registry = Registry(registry_port, store, home)
        for name, value in {
            "TAXOKINE_HOME": str(home),
            "TAXOKINE_DATABASE": postgres_server.new_database(),
            "TAXOKINE_API_KEY": KEY,
            "MLFLOW_TRACKING_URI": registry.address,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        }.items():
            patch.setenv(name, value)
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.chdir(home)
        settings.cache_clear()
        registry.start()
        try:
            species: dict[str, Any] = {"n_taxa": 40, "visits": (-7, 28)}
            manifest = simulate_trial(home / "training", Trial(n_patients=80, seed=3, **species))
            # Two versions, of which the first is served at the start.
            for seed in (0, 1):
                train_model(manifest, seed)
            serve_version("1")
            clinic = simulate_trial(home / "clinic", Trial(name="clinic", n_patients=10, seed=5, **species))
            question = prediction_request(read_cohort(str(clinic), home), 0)
            with reserved_port(0) as (port, release):
                release()
                command = [sys.executable, "-m", "taxokine", "serve", "--port", str(port), "--workers", str(WORKERS)]
                with background_process("server", command, home / "server.log") as wait_until_ready:
                    address = f"http://127.0.0.1:{port}"
                    wait_until_ready(f"{address}/readyz")
                    yield Deployment(address, home, question, registry, postgres_server)
        finally:
            registry.stop()
    settings.cache_clear()


def test_a_killed_worker_costs_its_questions_and_no_record(deployment: Deployment) -> None:
    with deployment.load() as answers:
        for _ in range(3 * ROUNDS):
            answers.wait_for(20)
            os.kill(random.choice(deployment.workers()).pid, signal.SIGKILL)
        answers.wait_for(50)
    report("a worker killed", 3 * ROUNDS, answers)
    assert set(answers.statuses()) <= {200, NO_ANSWER}
    # What each client had on its way to a killed worker, and while a new connection found none.
    assert answers.statuses()[200] >= 50
    assert_recorded(answers)


def test_a_lost_database_gives_503_and_comes_back(deployment: Deployment) -> None:
    for _ in range(ROUNDS):
        with deployment.load() as answers:
            answers.wait_for(20)
            deployment.database.stop()
            answers.wait_for(4)
            # The server is up, and ready for what needs no database.
            assert responds(f"{deployment.address}/healthz")
            deployment.database.start()
            deployment.wait_until_ready()
            answers.wait_for(20)
        report("the database stopped", 1, answers)
        assert set(answers.statuses()) <= {200, 503}
        assert_recorded(answers)


def test_a_lost_registry_stops_no_answer(deployment: Deployment) -> None:
    for _ in range(ROUNDS):
        with deployment.load() as answers:
            answers.wait_for(20)
            deployment.registry.stop()
            answers.wait_for(100)
            deployment.registry.start()
            answers.wait_for(20)
        report("the registry stopped", 1, answers)
        assert set(answers.statuses()) == {200}
        assert_recorded(answers)


def test_a_moved_alias_is_taken_up_without_a_failed_answer(deployment: Deployment) -> None:
    for _ in range(ROUNDS):
        with deployment.load() as answers:
            answers.wait_for(20)
            before = answers.versions()[-1]
            after = {"1": "2", "2": "1"}[before]
            serve_version(after)
            n_until_moved = len(answers.answers)
            deadline = time.monotonic() + 2 * CHECK_SECONDS + 5
            while set(answers.versions()[-100:]) != {after} and time.monotonic() < deadline:
                time.sleep(0.1)
            n_until_settled = len(answers.answers)
            answers.wait_for(50)
        report("a version rolled out", 1, answers)
        assert set(answers.statuses()) == {200}
        assert {version for _, _, version, _ in answers.answers[n_until_settled + 4 :]} == {after}
        assert {version for _, _, version, _ in answers.answers[:n_until_moved]} <= {before, after}
        assert_recorded(answers)


def test_slow_clients_hold_nobody(deployment: Deployment) -> None:
    host, _, port = deployment.address.removeprefix("http://").partition(":")
    with deployment.load() as alone:
        alone.wait_for(100)
    with ExitStack() as stack:
        # A header that never ends, and a body of which one byte has come.
        for start in (b"POST /v1/predictions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ", b"") * 100:
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(start)
        with deployment.load() as loaded:
            loaded.wait_for(100)
    report("200 slow clients", 1, loaded)
    assert set(loaded.statuses()) == {200}
    assert median_seconds(loaded) < 5 * median_seconds(alone)


def test_memory_is_flat_at_80_percent_of_what_the_workers_can_answer(deployment: Deployment) -> None:
    clients = 4
    with deployment.load(clients, pause=0) as fastest:
        fastest.wait_for(200)
        started, n_before = time.monotonic(), len(fastest.answers)
        fastest.wait_for(400)
        per_second = (len(fastest.answers) - n_before) / (time.monotonic() - started)
    before = resident_bytes(deployment)
    with deployment.load(clients, pause=0, period=clients / (0.8 * per_second)) as answers:
        time.sleep(SECONDS_AT_80_PERCENT)
    grown = resident_bytes(deployment) - before
    report(f"{SECONDS_AT_80_PERCENT} s at 80% of {per_second:.0f} answers/s, {grown / 1e6:+.1f} MB", 1, answers)
    assert set(answers.statuses()) == {200}
    assert grown < FLAT_BYTES
    assert_recorded(answers)


def serve_version(version: str) -> None:
    """Move the aliases to a version, as a registration does."""
    take_effect(client(), "objective_response", {"candidate": version, "candidate-taxa": version})


def resident_bytes(deployment: Deployment) -> int:
    """Return the memory that the workers hold together."""
    workers = deployment.workers()
    assert len(workers) == WORKERS
    return sum(worker.memory_info().rss for worker in workers)


def test_more_clients_than_can_be_answered_are_refused_at_once(deployment: Deployment) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        for _ in range(ROUNDS):
            with health_checks(deployment.address) as seconds:
                answers = burst(deployment.address, KEY, "/v1/predictions", deployment.question, clients=1200)
            statuses = [answer.status for answer in answers]
            print(
                f"| 1200 clients at once | 1 | 1200 | {statuses.count(200)} | {statuses.count(503)} | 0 "
                f"| health: median {1000 * seconds[len(seconds) // 2]:.0f}, worst {1000 * seconds[-1]:.0f} ms | 0 |"
            )
            assert set(statuses) == {200, 503}
            assert all("retry-after: 5" in answer.header.lower() for answer in answers if answer.status == 503)
            assert seconds[len(seconds) // 2] < 0.1
            # What was refused took nothing from what comes next.
            with deployment.load() as afterwards:
                afterwards.wait_for(20)
            assert set(afterwards.statuses()) == {200}
            assert_recorded(afterwards)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def median_seconds(answers: Load) -> float:
    """Return the median time of an answer."""
    seconds = sorted(seconds for _, seconds, *_ in answers.answers)
    return seconds[len(seconds) // 2]


def assert_recorded(answers: Load) -> None:
    """Every answer names an entry of its own, and the chain of entries is whole."""
    records = answers.records()
    assert len(records) == len(set(records)) == answers.statuses()[200]
    run("audit", "verify")


def report(event: str, times: int, answers: Load) -> None:
    """Print a line of the table that `make chaos` shows."""
    statuses = answers.statuses()
    print(
        f"| {event} | {times} | {len(answers.answers)} | {statuses[200]} | {statuses[503]} | {statuses[NO_ANSWER]} "
        f"| {1000 * median_seconds(answers):.0f} ms | {len(answers.records()) - len(set(answers.records()))} |"
    )
