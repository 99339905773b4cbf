"""A disk that is full: no prediction without its record, and all comes back when there is room again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.cohort import read_cohort
from features.settings import settings
from taxokine.demo.candidates import prediction_request
from taxokine.processes import background_process, reserved_port
from taxokine.simulation import Trial, simulate_trial

from .commands import run
from .models import train_model

KEY = "the-key"
DISK_BYTES = 96_000_000


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system, which is how a full disk is made")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def server(small_disk: Path, tmp_path: Path) -> Iterator[tuple[httpx.Client, dict[str, Any]]]:
    """A server whose home, with database and models, is on the small disk; and a question for it."""
    with pytest.MonkeyPatch.context() as patch, reserved_port(0) as (port, release):
        for name, value in {"TAXOKINE_HOME": str(small_disk / "home"), "TAXOKINE_API_KEY": KEY}.items():
            patch.setenv(name, value)
        for name in ("TAXOKINE_DATABASE", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
            patch.delenv(name, raising=False)
        settings.cache_clear()
        manifest = simulate_trial(tmp_path / "training", Trial(n_patients=80, n_taxa=40, visits=(-7, 28), seed=3))
        train_model(manifest, 0)
        release()
        command = [sys.executable, "-m", "taxokine", "serve", "--port", str(port)]
        with background_process("server", command, tmp_path / "server.log") as wait_until_ready:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(f"{address}/readyz")
            headers = {"Authorization": f"Bearer {KEY}"}
            with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
                yield client, prediction_request(read_cohort(str(manifest), tmp_path), 0)
    settings.cache_clear()


def test_a_full_disk_gives_503_until_there_is_room(
    server: tuple[httpx.Client, dict[str, Any]], small_disk: Path
) -> None:
    client, question = server
    before = client.post("/v1/predictions", json=question)
    filler = small_disk / "filler"
    fill(filler)
    statuses = [client.post("/v1/predictions", json=question).status_code for _ in range(300)]
    refused = client.post("/v1/predictions", json=question)
    assert set(statuses) <= {200, 503}
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert "the record of questions cannot be written" in refused.json()["error"]["message"]
    assert client.get("/healthz").status_code == 200
    filler.unlink()
    after = client.post("/v1/predictions", json=question)
    assert after.status_code == 200
    assert after.json()["answers"] == before.json()["answers"]
    assert int(after.headers["Taxokine-Record"]) == int(before.headers["Taxokine-Record"]) + statuses.count(200) + 1
    run("audit", "verify")


def fill(file: Path) -> None:
    """Write a file until the disk has no room for another byte."""
    with file.open("wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while stream.write(os.urandom(size)):
                    pass
            except OSError:
                continue
