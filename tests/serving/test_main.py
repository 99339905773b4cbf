"""How the server starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from uvicorn.supervisors.multiprocess import Process

from features.settings import settings
from serving.accounts import Accounts
from serving.database import open_database
from serving.main import _is_loopback, _notice_dead_workers, _welcome


def run(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "TAXOKINE_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    for name in ("TAXOKINE_API_KEY", "TAXOKINE_DATABASE"):
        env.pop(name, None)
    return subprocess.run([sys.executable, "-c", code], env=env, cwd=home, capture_output=True, text=True, check=False)


def test_no_worker_starts_without_a_key(tmp_path: Path) -> None:
    process = run("from serving.main import app; app()", tmp_path)
    assert "DatabaseError: there is no API key yet; start `taxokine serve` once" in process.stderr


def test_importing_the_server_imports_no_mlflow(tmp_path: Path) -> None:
    process = run("import sys, serving.main; print(*{'mlflow', 'shap', 'matplotlib'} & set(sys.modules))", tmp_path)
    assert process.returncode == 0
    assert process.stdout.strip() == ""


def test_the_welcome_prints_a_valid_key_and_how_to_add_a_user(tmp_path: Path) -> None:
    accounts = Accounts(open_database(f"sqlite:///{tmp_path}/taxokine.db"))
    text = _welcome(accounts, "127.0.0.1", 8123)
    assert accounts.keys.accept(text.split("\n")[2].strip())
    assert "http://127.0.0.1:8123/v1/predictions" in text
    assert "taxokine users add NAME" in text
    # The key is printed once, the way to add a user until there is one.
    assert _welcome(accounts, "127.0.0.1", 8123).startswith("No user can sign in yet")
    accounts.add_user("anna", "clinician", "four words of hers")
    assert _welcome(accounts, "127.0.0.1", 8123) == ""


def test_a_key_in_the_environment_needs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXOKINE_API_KEY", "from-the-environment")
    settings.cache_clear()
    try:
        assert "API key" not in _welcome(Accounts(open_database(f"sqlite:///{tmp_path}/t.db")), "127.0.0.1", 8123)
    finally:
        settings.cache_clear()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.7", False), ("box", False)],
)
def test_only_loopback_addresses_are_private(host: str, loopback: bool) -> None:
    assert _is_loopback(host) is loopback


def test_the_supervisor_notices_at_once_that_a_worker_died_before_it_responded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Process, "start", Process.start)
    _notice_dead_workers()
    worker = Process(uvicorn.Config("serving.main:app", factory=True), [])
    worker.start()
    # It cannot respond any more, and dies while the supervisor waits for its response.
    os.kill(worker.pid, signal.SIGSTOP)
    death = threading.Timer(1, os.kill, (worker.pid, signal.SIGKILL))
    death.start()
    start = time.monotonic()
    assert not worker.is_alive(timeout=120)
    assert time.monotonic() - start < 60
    death.join()
    worker.join()
