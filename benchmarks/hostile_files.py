"""Hostile files through the upload page of a server and through `taxokine cohorts init` and `check`, as Markdown.

    python -m benchmarks.hostile_files ../shared/cases/hostile

The folder holds `make.py`, which writes the files into a folder beside itself; it runs in a temporary one. Memory is
what a process took beyond the same work on a small, valid table: of the upload, the most of server and reader.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import psutil
import requests
from tqdm import tqdm

from benchmarks.markdown import print_table
from benchmarks.pages_speed import PASSWORD, _prepare, _server

HEADER = "file|upload|seconds|MB|`/healthz`, ms|`cohorts init`|seconds|MB|`cohorts check`|seconds|MB"
VALID = "ok.qza"
SAMPLE_SECONDS, PROBE_SECONDS = 0.004, 0.02
_PROBLEM = re.compile(r"Found: (.*?)\. Expected: ", re.DOTALL)


@dataclass(frozen=True)
class FileTrial:
    """One file through one door: the answer, seconds, peak memory in MB, and the slowest health check in seconds."""

    answer: str
    seconds: float
    peak: float
    slowest_check: float = 0.0


def hostile_rows(cases: Path) -> list[str]:
    """Return the table's rows, one a file.

    Parameters
    ----------
    cases : Path
        Folder of `make.py`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copy(cases / "make.py", folder)
        subprocess.run([sys.executable, "-W", "ignore", folder / "make.py"], check=True, stdout=subprocess.DEVNULL)
        paths = sorted((folder / "files").iterdir())
        valid = folder / "files" / VALID
        uploads = _uploads(folder, [valid, valid, *paths])[1:]
        commands = [
            (_command("init", path), _command("check", _manifest(path)))
            for path in tqdm([valid, *paths], desc="reading", leave=False)
        ]
    rows = []
    for path, upload, (draft, check) in zip(paths, uploads[1:], commands[1:], strict=True):
        trials = (upload, draft, check)
        bases = (uploads[0].peak, commands[0][0].peak, commands[0][1].peak)
        cells = [
            f"{trial.answer} | {trial.seconds:.1f} | {max(trial.peak - base, 0):.0f}"
            for trial, base in zip(trials, bases, strict=True)
        ]
        cells[0] += f" | {upload.slowest_check * 1e3:.0f}"
        rows.append(f"| `{path.name}` | {' | '.join(cells)} |")
    return rows


def _uploads(folder: Path, paths: Sequence[Path]) -> list[FileTrial]:
    environment = {**os.environ, "TAXOKINE_HOME": str(folder), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    prepared = _prepare(folder, environment)
    with _server(prepared, environment) as address, requests.Session() as visitor:
        visitor.post(f"{address}/sign-in", {"name": "anna", "password": PASSWORD}, allow_redirects=False)
        page = visitor.get(f"{address}/upload").text
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
        assert token is not None
        server = next(process.pid for process in psutil.Process().children() if "serve" in process.cmdline())
        return [
            _upload(visitor, address, token[1], server, path) for path in tqdm(paths, desc="uploading", leave=False)
        ]


def _upload(visitor: requests.Session, address: str, token: str, server: int, path: Path) -> FileTrial:
    field = next((name for name in ("immune", "clinical") if path.name.startswith(name)), "taxa")
    files = {field: (path.name, path.read_bytes())}
    # Prepared first: this process must not be busy while it times the health checks.
    request = visitor.prepare_request(requests.Request("POST", f"{address}/upload", data={"csrf": token}, files=files))
    with _peak_memory(server) as peak, _slowest_check(address) as slowest:
        started = time.perf_counter()
        response = visitor.send(request)
        seconds = time.perf_counter() - started
    assert response.status_code < 500, (path.name, response.status_code)
    problem = _PROBLEM.search(response.text)
    text = unescape(re.sub(r"<[^>]+>|\s+", " ", problem[1])).strip() if problem else "read"
    answer = text if response.status_code == 200 else f"status {response.status_code}"
    return FileTrial(_shortened(answer), seconds, peak[0], slowest[0])


@contextmanager
def _peak_memory(pid: int) -> Iterator[list[float]]:
    """Yield the peak of what a process and those below it hold for themselves, in MB."""
    peak, ended = [0.0], threading.Event()

    def sample() -> None:
        process = psutil.Process(pid)
        while not ended.wait(SAMPLE_SECONDS):
            memory = 0.0
            for member in _family(process):
                try:
                    memory += (member.memory_info().rss - member.memory_info().shared) / 2**20
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], memory)

    with _in_thread(sample, ended):
        yield peak


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@contextmanager
def _slowest_check(address: str) -> Iterator[list[float]]:
    """Yield the longest time of a health check, in seconds."""
    slowest, ended = [0.0], threading.Event()

    def check() -> None:
        with requests.Session() as session:
            session.get(f"{address}/healthz").raise_for_status()
            while not ended.wait(PROBE_SECONDS):
                started = time.perf_counter()
                session.get(f"{address}/healthz").raise_for_status()
                slowest[0] = max(slowest[0], time.perf_counter() - started)

    with _in_thread(check, ended):
        yield slowest


@contextmanager
def _in_thread(work: object, ended: threading.Event) -> Iterator[None]:
    assert callable(work)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _manifest(path: Path) -> Path:
    """Write a manifest that names a file as the taxa table of a cohort."""
    kind = {".biom": "biom", ".qza": "qza"}.get(path.suffix, "table")
    path.with_name("samples.csv").write_text("sample,patient,response\ns1,p1,yes\n")
    (manifest := path.with_name(f"{path.name}.yaml")).write_text(f"""\
name: hostile
title: A hostile file
source: {{licence: none, citation: none}}
taxa: {{file: '{path.name}', format: {kind}, rank: species, unit: counts}}
samples: {{file: samples.csv, sample: sample, patient: patient, baseline: before treatment}}
clock: {{name: day_ici, index: first dose}}
patients: {{file: samples.csv, patient: patient}}
outcomes:
  published_response: {{column: response, yes: ["yes"], no: ["no"]}}
""")
    return manifest


def _command(name: str, path: Path) -> FileTrial:
    """Run a command on a file; its seconds are of computing, since other work on the machine slows it."""
    command = [sys.executable, "-m", "taxokine", "cohorts", name, str(path)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        with _peak_memory(process.pid) as peak:
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        message = errors.read().replace(f"{path.parent}/", "")
    answer = message.removeprefix("Error: ").strip() or "read"
    if process.returncode < 0:
        answer = f"signal {-process.returncode}"
    return FileTrial(_shortened(answer), usage.ru_utime + usage.ru_stime, peak[0])


def _shortened(text: str) -> str:
    printable = "".join(character if character.isprintable() else "�" for character in text).replace("|", "\\|")
    return f"{printable[:77]}…" if len(printable) > 78 else printable


if __name__ == "__main__":
    print_table(HEADER, hostile_rows(Path(sys.argv[1])))
