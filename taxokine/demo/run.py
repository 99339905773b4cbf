"""The demo from end to end: simulate or read, train, promote, serve, and print one prediction. Reads top to bottom."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType

import click

from features.settings import settings
from models.registry import client
from taxokine.demo.access import open_access, request_prediction
from taxokine.demo.candidates import (
    ShownCandidate,
    cohort_candidate,
    cohort_experiments,
    simulate_cohorts,
    simulated_candidate,
    simulated_experiments,
)
from taxokine.demo.folder import demo_folder
from taxokine.demo.report import demo_report
from taxokine.processes import background_call, background_process, reserved_port
from taxokine.terminal import bars, show
from taxokine.ui import ui_command
from training.engraftment import train_engraftment
from training.evidence.promotion import Promotion, promote
from training.experiment import Experiment, ExperimentResult, train

SERVER_PORT, MLFLOW_PORT = 8000, 5000


def run_demo(cohorts: Sequence[str], *, ends_after_printing: bool) -> None:
    """Run the demo.

    Parameters
    ----------
    cohorts : sequence of str
        Published cohorts by name or path; simulated ones when empty.
    ends_after_printing : bool
        End after printing, instead of serving until interrupted.

    Raises
    ------
    InputError
        Another demo runs in this folder.
    OutcomeError, AuditError, TaxokineError
        As training raises them, or a server that does not start.
    """
    # Ended by a supervisor or with its terminal, it still ends what it started.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _exit)
    # A shell starts a script's background jobs with interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with ExitStack() as stack:
        folder = stack.enter_context(demo_folder())
        # Cohorts that cannot be trained on are refused before anything is started.
        experiments, notes = cohort_experiments(cohorts) if cohorts else ([], [])
        server_port, release_server = stack.enter_context(reserved_port(SERVER_PORT))
        mlflow_port, release_mlflow = stack.enter_context(reserved_port(MLFLOW_PORT))
        access = open_access(_address(server_port, SERVER_PORT), _address(mlflow_port, MLFLOW_PORT), folder)
        os.environ.update(TAXOKINE_SERVER_URL=access.server, TAXOKINE_MLFLOW_URL=access.mlflow)
        settings.cache_clear()
        # The first client creates the store; the UI starts on it while the models train.
        client().search_experiments()
        release_mlflow()
        mlflow_ready = stack.enter_context(
            background_process("MLflow UI", ui_command(mlflow_port), folder / "mlflow.log")
        )
        candidate, trained = _train_published(cohorts, experiments, notes) if cohorts else _train_simulated(folder)
        release_server()
        command = [sys.executable, "-m", "taxokine", "serve", "--port", str(server_port), "--clinic", candidate.cohort]
        server_ready = stack.enter_context(background_process("server", command, folder / "server.log"))
        server_ready(f"{access.server}/readyz")
        response = request_prediction(access, candidate.request)
        mlflow_ready(f"{access.mlflow}/health")
        show(demo_report(access, candidate, response, trained))
        if not ends_after_printing:
            click.secho(f"\nOpen {access.server}; Ctrl-C ends the demo.", bold=True)
            _wait()


def _train_simulated(folder: Path) -> tuple[ShownCandidate, list[tuple[ExperimentResult, Promotion]]]:
    click.secho("Simulating an FMT + ICI trial with known causes. No real patient is in it.", bold=True)
    cohorts = simulate_cohorts(folder)
    with background_call(partial(train_engraftment, (cohorts.transplants,))) as wait_for_engraftment:
        trained = _train_and_promote(simulated_experiments(cohorts.trial))
        wait_for_engraftment()
    return simulated_candidate(cohorts.clinic), trained


def _train_published(
    cohorts: Sequence[str], experiments: Sequence[Experiment], notes: Sequence[str]
) -> tuple[ShownCandidate, list[tuple[ExperimentResult, Promotion]]]:
    for note in notes:
        click.echo(note)
    trained = _train_and_promote(experiments)
    patients = {patient for result, _ in trained for patient in result.patients}
    return cohort_candidate(cohorts, patients), trained


def _train_and_promote(experiments: Sequence[Experiment]) -> list[tuple[ExperimentResult, Promotion]]:
    """Train the first experiment in this process and each other one in a process of its own; promote the models."""
    names = [" ".join(filter(None, (experiment.outcome, experiment.grade))) for experiment in experiments]
    click.secho(f"Training {' and, beside it, '.join(names)}", bold=True)
    with ExitStack() as stack:
        results = [stack.enter_context(background_call(partial(train, experiment))) for experiment in experiments[1:]]
        trained = [train(experiments[0], bars()), *(wait_for_result() for wait_for_result in results)]
    return [(result, promote(result.outcome)) for result in trained]


def _address(port: int, preferred: int) -> str:
    if port != preferred:
        click.echo(f"another program has port {preferred}; the demo takes {port}")
    return f"http://127.0.0.1:{port}"


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _wait() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        click.echo("ended")
