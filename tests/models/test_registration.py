"""A trainer that is killed while it registers: readers see a whole registration, and the next sweep leaves one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest
from mlflow import MlflowClient

from models.processes import has_ended, this_process
from models.registry import register, served_versions, sweep_registrations

OUTCOME = "toxicity_any"
BLOCK_SETS = ("taxa+clinical", "taxa", "clinical")
KILLS = int(os.environ.get("TAXOKINE_TEST_KILLS", "5"))
_TRAINERS = """
import os, sys
import mlflow.store.model_registry.sqlalchemy_store
from models.registry import register

for line in sys.stdin:
    trainer = os.fork()
    if trainer == 0:
        for run in range(1000):
            register("toxicity_any", [(sys.argv[1], "", {"blocks": blocks}) for blocks in sys.argv[2:]])
    print(trainer, flush=True)
    os.waitpid(trainer, 0)
"""
"""Starts a trainer a line, as the libraries take seconds to import."""


@pytest.fixture
def uri(store: MlflowClient) -> str:
    """Return the URI of a logged model, which every version here is of."""
    experiment = store.get_experiment_by_name("models").experiment_id
    return f"models:/{store.create_logged_model(experiment).model_id}"


def test_a_trainer_killed_anywhere_leaves_a_whole_registration_or_none(store: MlflowClient, uri: str) -> None:
    chance = random.Random(16)
    seconds = _seconds_of_a_registration(uri)
    with _trainers(uri) as start:
        for _ in range(KILLS):
            trainer = psutil.Process(start())
            # Within the second registration at the latest, at a point that differs each time.
            deadline = time.monotonic() + chance.uniform(0, 2 * seconds)
            while time.monotonic() < deadline:
                _require_one_registration()
            trainer.kill()
            # On a busy machine a killed process lives on for a moment, and what it registers is not swept.
            trainer.wait(60)
            _require_one_registration()
            sweep_registrations()
            _require_nothing_left(store)


def test_what_a_living_trainer_registers_is_not_swept(store: MlflowClient, uri: str) -> None:
    register(OUTCOME, [(uri, "", {"blocks": "taxa"})])
    staged = {"taxokine.staged": this_process(), "blocks": "taxa"}
    of_another_machine = {"taxokine.staged": "elsewhere/1:1", "blocks": "taxa"}
    for tags in (staged, of_another_machine):
        store.create_model_version(OUTCOME, uri, tags=tags)
    sweep_registrations()
    assert {int(version.version) for version in store.search_model_versions(f"name = '{OUTCOME}'")} == {1, 2, 3}


def test_a_registration_that_has_taken_effect_is_read_before_its_aliases_are_moved(
    store: MlflowClient, uri: str
) -> None:
    for _ in range(2):
        register(OUTCOME, [(uri, "", {"blocks": blocks}) for blocks in BLOCK_SETS])
    # As a trainer of another machine leaves it, killed after the tag and the first alias.
    aliases = {"candidate": "1", "candidate-taxa": "2"}
    registration = {"process": "elsewhere/1:1", "seconds": 0.0, "aliases": aliases}
    store.set_registered_model_tag(OUTCOME, "taxokine.registration.a", json.dumps(registration))
    store.set_registered_model_alias(OUTCOME, "candidate", "1")
    assert {version.alias: version.version for version in served_versions()} == {
        "candidate": "1",
        "candidate-taxa": "2",
    }
    # A later one replaces it.
    register(OUTCOME, [(uri, "", {"blocks": "taxa"})])
    assert [(version.alias, version.version) for version in served_versions()] == [("candidate", "7")]
    assert set(store.get_registered_model(OUTCOME).tags) == {"taxokine.outcome"}


def test_trainers_at_once_leave_the_aliases_of_one(store: MlflowClient, uri: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = [[(uri, "", {"blocks": blocks}) for blocks in BLOCK_SETS[: 1 + i % 3]] for i in range(9)]
        results = list(pool.map(lambda versions: register(OUTCOME, versions), runs))
    registered = store.get_registered_model(OUTCOME)
    assert {alias: str(version) for alias, version in registered.aliases.items()} in results
    assert set(registered.tags) == {"taxokine.outcome"}


def test_ended_processes_of_this_machine_are_known() -> None:
    child = subprocess.Popen([sys.executable, "-c", "from models.processes import *; print(this_process())"],
                             stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert child.stdout is not None
    name = child.stdout.read().strip()
    # Ended, whether or not its parent has asked how.
    deadline = time.monotonic() + 10
    while not has_ended(name) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert has_ended(name)
    assert child.wait() == 0
    assert has_ended(name)
    assert not has_ended(this_process())
    assert not has_ended(name.replace("/", "-of-another-machine/"))
    assert not has_ended("")


@contextmanager
def _trainers(uri: str) -> Iterator[Callable[[], int]]:
    """Yield what starts a trainer that registers again and again, and returns its process."""
    command = [sys.executable, "-c", _TRAINERS, uri, *BLOCK_SETS]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def start() -> int:
            stdin.write("\n")
            stdin.flush()
            return int(stdout.readline())

        yield start


def _seconds_of_a_registration(uri: str) -> float:
    register(OUTCOME, [(uri, "", {"blocks": blocks}) for blocks in BLOCK_SETS])
    start = time.monotonic()
    register(OUTCOME, [(uri, "", {"blocks": blocks}) for blocks in BLOCK_SETS])
    return time.monotonic() - start


def _require_one_registration() -> None:
    """Fail unless the served versions are three in succession, as one registration has made them."""
    versions = {version.alias: int(version.version) for version in served_versions()}
    first = versions["candidate"]
    assert versions == {"candidate": first, "candidate-taxa": first + 1, "candidate-clinical": first + 2}


def _require_nothing_left(store: MlflowClient) -> None:
    """Fail where a version is half registered, or MLflow's aliases are not those of one registration."""
    registered = store.get_registered_model(OUTCOME)
    assert set(registered.tags) == {"taxokine.outcome"}
    candidate = int(registered.aliases["candidate"])
    blocks = ("taxa-clinical", "taxa", "clinical")
    assert {alias: int(version) for alias, version in registered.aliases.items()} == {
        "candidate": candidate, **{f"candidate-{name}": candidate + i for i, name in enumerate(blocks)}
    }  # fmt: skip
    versions = store.search_model_versions(f"name = '{OUTCOME}'")
    assert all("taxokine.staged" not in version.tags for version in versions)
    assert max(int(version.version) for version in versions) == candidate + len(blocks) - 1
