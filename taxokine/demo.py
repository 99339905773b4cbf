"""The main job from end to end: cohorts, two experiments, the server, the MLflow UI, one explained answer."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import click

from features.cohort import Cohort, read_cohort
from features.errors import OutcomeError, TaxokineError
from features.landmark import LandmarkSpec, landmark_table
from features.settings import settings
from models.batch import table_candidates
from taxokine.reports.experiments import result_report
from taxokine.reports.predictions import prediction_report
from taxokine.simulation import simulate_trial
from taxokine.terminal import bars, show
from taxokine.ui import ui_addresses, ui_command
from training.experiment import Experiment, train

HOME = Path(".demo")
"""Everything that the demo makes lies here; it is emptied at each start."""
_LATER = 30.0
_START_SECONDS = 90


def run_demo(cohorts: Sequence[str], *, once: bool) -> None:
    """Run the demo.

    Parameters
    ----------
    cohorts : sequence of str
        Real cohorts by name or path; a simulated trial when empty.
    once : bool
        End after printing the answer, instead of keeping the servers up.
    """
    # Ended by a supervisor, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _own_home()
    simulated = not cohorts
    if simulated:
        click.secho("Simulating an FMT + ICI trial with known causes. No real patient is in it.", bold=True)
        cohorts = [str(simulate_trial(HOME / "simulated_trial"))]
    trained: set[tuple[str, str]] = set()
    for experiment in _experiments(cohorts):
        click.secho(f"\nTraining {experiment.outcome} {experiment.grade or ''}", bold=True)
        result = train(experiment, bars())
        show(result_report(result))
        trained |= result.patients
    candidate, cohort = _candidate(cohorts, trained, simulated)
    with _server() as (address, key), _ui() as ui_port:
        reply = _asked(f"{address}/v1/predictions", key, candidate)
        click.secho("\nOne candidate, whom no model was trained on:" if cohort is None else f"\n{cohort}", bold=True)
        show(prediction_report(reply))
        click.secho("\nThe server", bold=True)
        click.echo(f"  API       {address}   documentation {address}/docs")
        click.echo(f"  API key   {key}   (of this demo only; send it as 'Authorization: Bearer …')")
        click.echo(f"\n{ui_addresses(ui_port)}")
        if not once:
            click.echo("\nCtrl-C ends both.")
            _wait()


def _own_home() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    os.environ["TAXOKINE_HOME"] = str(HOME.absolute())
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{HOME.absolute()}/mlflow.db"
    os.environ.pop("TAXOKINE_DATABASE", None)
    settings.cache_clear()


def _experiments(cohorts: Sequence[str]) -> Iterator[Experiment]:
    """Yield one experiment of response and one of toxicity, each on the cohorts that define it."""
    found = [(name, read_cohort(name, settings().data)) for name in cohorts]
    for outcome, grade, key in (
        ("objective_response", None, "objective_response"),
        ("toxicity", "any", "toxicity_any"),
    ):
        having = [name for name, cohort in found if key in cohort.labels.reported_outcomes]
        if not having:
            raise OutcomeError(f"none of {', '.join(cohorts)} defines {key}")
        if lacking := [name for name in cohorts if name not in having]:
            click.echo(f"{key}: not defined by {', '.join(lacking)}, left out")
        # Two families: the demo is to show the way, not to search.
        yield Experiment(tuple(having), outcome, grade, families=("elastic_net", "xgboost"), repeats=1)


def _candidate(
    cohorts: Sequence[str], trained: set[tuple[str, str]], simulated: bool
) -> tuple[dict[str, Any], str | None]:
    """Return a request for a patient whom no model saw, or else for a trained one, with words that say so."""
    if simulated:
        fresh = simulate_trial(HOME / "simulated_candidate", n_patients=8, seed=1)
        return _request(read_cohort(fresh, HOME), 0), None
    for name in cohorts:
        cohort = read_cohort(name, settings().data)
        later = landmark_table(cohort, LandmarkSpec(landmark=_LATER)).rows
        unseen = [i for i, row in enumerate(later.itertuples()) if (row.cohort, row.patient) not in trained]
        if unseen:
            return _request(cohort, unseen[0], _LATER), None
    return _request(read_cohort(cohorts[0], settings().data), 0), (
        "One patient who is among those trained on: the form of an answer, not a test of it"
    )


def _request(cohort: Cohort, position: int, landmark: float = 0) -> dict[str, Any]:
    """Return the API's request for one row of a cohort."""
    table = landmark_table(cohort, LandmarkSpec(landmark=landmark))
    candidate = list(table_candidates(table))[position]
    assert candidate.taxa is not None
    stool = candidate.taxa
    return {
        "patient": {"id": "candidate", **candidate.clinical},
        "taxa": {"profiler": stool.profiler, "unit": stool.unit, "day": stool.day, "clock": stool.clock,
                 "values": dict(stool.values)},
        "immune": [
            {"analyte": one.analyte, "unit": one.unit, "day": one.day, "value": _reported(one.reading)}
            for one in candidate.immune
        ],
    }  # fmt: skip


def _reported(reading: Any) -> float | str:
    return str(reading.text) if reading.censored else float(reading.value)


@contextmanager
def _server() -> Iterator[tuple[str, str]]:
    port, key = _free_port(8000), secrets.token_urlsafe(24)
    command = [sys.executable, "-m", "taxokine", "serve", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with _running("server", command, f"{address}/readyz", {"TAXOKINE_API_KEY": key}):
        yield address, key


@contextmanager
def _ui() -> Iterator[int]:
    port = _free_port(5000)
    with _running("mlflow", ui_command(port), f"http://127.0.0.1:{port}/health", {}):
        yield port


@contextmanager
def _running(name: str, command: Sequence[str], ready: str, env: dict[str, str]) -> Iterator[None]:
    """Run a command beside this process, wait until it answers, and end it afterwards."""
    log = HOME / f"{name}.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **env}, start_new_session=True)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise TaxokineError(f"the {name} did not start; its last words, of {log}:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        # The whole session: both servers have workers of their own.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


def _asked(url: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urlopen(Request(url, json.dumps(body, allow_nan=False).encode(), headers), timeout=30) as reply:
        content: dict[str, Any] = json.load(reply)
    return content


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise TaxokineError("no free port on 127.0.0.1")


def _wait() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        click.echo("ended")
