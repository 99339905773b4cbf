"""Several trainers at once, on one MLflow server with PostgreSQL and artefacts that pass through the server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from features.settings import settings
from models.registry import client, served_models
from taxokine.processes import background_process, reserved_port
from taxokine.simulation import Trial, simulate_trial

TRAINERS = 2


@pytest.fixture
def mlflow_server(tmp_path: Path, new_postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start an MLflow server as the documents say, and yield its address, which the settings name."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    store = new_postgresql().replace("postgresql://", "postgresql+psycopg://")
    with reserved_port(0) as (port, release):
        address = f"http://127.0.0.1:{port}"
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", "1", "--allowed-hosts", f"127.0.0.1:{port}", "--backend-store-uri", store),
            *("--serve-artifacts", "--artifacts-destination", str(tmp_path / "artefacts")),
        ]
        release()
        with background_process("MLflow server", command, tmp_path / "mlflow.log") as wait_until_ready:
            wait_until_ready(f"{address}/health")
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
            monkeypatch.chdir(tmp_path)
            settings.cache_clear()
            yield address
    settings.cache_clear()


def test_trainers_at_once_register_whole_versions(
    mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = simulate_trial(tmp_path / "trial", Trial(n_patients=40, n_taxa=30, visits=(-7, 28)))
    train = ["--cohorts", str(manifest), "--outcome", "objective_response", "--families", "elastic_net"]
    train += ["--blocks", "taxa", "--folds", "3", "--repeats", "1"]
    trainers = []
    for number in range(TRAINERS):
        # Each trainer is a machine of its own, with its own home.
        monkeypatch.setenv("TAXOKINE_HOME", str(tmp_path / f"home{number}"))
        command = [sys.executable, "-m", "taxokine", "train", *train, "--seed", str(number)]
        trainers.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for trainer in trainers:
        output, _ = trainer.communicate()
        assert trainer.returncode == 0, output
    store = client()
    versions = store.search_model_versions("name = 'objective_response'")
    assert {version.version for version in versions} == {"1", "2"}
    assert {version.status for version in versions} == {"READY"}
    assert len({version.run_id for version in versions}) == TRAINERS
    statuses = [run.info.status for run in store.search_runs(["1"], "")]
    assert statuses == ["FINISHED"] * 2 * TRAINERS
    (served,) = served_models()["objective_response"]
    aliases = store.get_registered_model("objective_response").aliases
    assert served.version == aliases["candidate"] == aliases["candidate-taxa"]
