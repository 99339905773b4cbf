"""What every room's tests share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import settings

from .postgresql import PostgresServer, find_initdb

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Programs that are Chromium; the first, without a user interface, takes a fifth less of the processor."""

# With a thread for each core, the workers of pytest would wait for one another. NumPy reads it at its import, which no
# import above needs; the processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The garbage collector would go through all tests and libraries again and again: not while they are loaded, and never
# once they are (`pytest_collection_finish`).
gc.disable()

# A busy machine is no failure: by default httpx waits for five seconds only.
for _phase in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, _phase, 60.0)

# HYPOTHESIS_PROFILE=thorough tries many more examples.
settings.register_profile("quick", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

LONG_FILES = (
    "taxokine/test_demo.py",
    "taxokine/test_visit.py",
    "chaos/test_chaos.py",
    "docs/test_docs.py",
    "features/test_audit.py",
    "training/test_honesty.py",
    "training/test_experiment.py",
    "training/test_unfinished.py",
    "training/study/test_study.py",
    "taxokine/test_cli.py",
    "taxokine/test_many_writers.py",
    "training/validation/test_held_out_times.py",
    "models/test_registry.py",
    "serving/test_record_stress.py",
    "serving/test_metrics.py",
)
"""Begun first, the longest first: a file is tested by one worker, whom the others would wait for at the end."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return a worker more than there are cores, as tests wait for servers, browsers and databases."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort long files to the front."""
    order = {Path(__file__).parent / file: position for position, file in enumerate(LONG_FILES)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_collection_finish() -> None:
    """Leave what all tests share to no round of the garbage collector, and let rounds be seldom."""
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


@pytest.fixture(scope="session")
def cohorts_dir() -> Path:
    """Return the folder of the real published cohorts, or skip where it is absent (an error under CI)."""
    folder = Path(os.environ.get("TAXOKINE_DATA", Path(__file__).parents[1].parent / "shared" / "cohorts"))
    if not folder.is_dir():
        message = f"the published cohorts are not at {folder}; set TAXOKINE_DATA to their folder"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def cases_dir(cohorts_dir: Path) -> Path:
    """Return the folder of the small cases of users' files, beside the published cohorts; absent, it skips likewise."""
    folder = cohorts_dir.parent / "cases"
    if not folder.is_dir():
        message = f"the small cases are not at {folder}, beside the published cohorts"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server of these tests alone; without its programs, skip (an error under CI)."""
    initdb = find_initdb()
    if initdb is None:
        message = "PostgreSQL's initdb is neither in PATH nor in /usr/lib/postgresql; apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with PostgresServer(initdb) as server:
        yield server


@pytest.fixture(scope="session")
def new_postgresql(postgres_server: PostgresServer) -> Callable[[], str]:
    """Return what makes a database of the tests' PostgreSQL server, and returns its URL."""
    return postgres_server.new_database


@pytest.fixture(scope="session")
def chromium_program() -> str:
    """Return the path of Chromium, which prints pages and opens them; without it, skip (an error under CI)."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        message = "Chromium is not installed (Debian: apt-get install chromium-headless-shell); no page was opened"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return program


@pytest.fixture(scope="session")
def chromium(chromium_program: str) -> Iterator[Any]:
    """Start Chromium, in which tests open pages as a user does."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium_program,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()
