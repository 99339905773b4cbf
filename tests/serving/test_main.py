"""How the server starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serving.keys import Keys
from serving.main import _first_words, _is_loopback


def run(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "TAXOKINE_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    env.pop("TAXOKINE_API_KEY", None)
    return subprocess.run([sys.executable, "-c", code], env=env, cwd=home, capture_output=True, text=True, check=False)


def test_no_worker_starts_without_a_key(tmp_path: Path) -> None:
    done = run("from serving.main import app; app()", tmp_path)
    assert "NotAuthorised: there is no API key yet; start `taxokine serve` once" in done.stderr


def test_importing_the_server_imports_no_mlflow(tmp_path: Path) -> None:
    done = run("import sys, serving.main; print(*{'mlflow', 'shap', 'matplotlib'} & set(sys.modules))", tmp_path)
    assert done.returncode == 0
    assert done.stdout.strip() == ""


def test_the_first_words_show_a_key_that_opens(tmp_path: Path) -> None:
    key, keys = Keys.make(tmp_path)
    words = _first_words(key, "127.0.0.1", 8123)
    assert keys.accept(words.split("\n")[2].strip())
    assert "http://127.0.0.1:8123/v1/predictions" in words


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.7", False), ("box", False)],
)
def test_only_loopback_is_private(host: str, loopback: bool) -> None:
    assert _is_loopback(host) is loopback
