"""Time and peak memory of batches over HTTP: 1,000, 10,000 and 100,000 rows of 300 taxa, as CSV and as Parquet.

The memory is that of the server's process and, apart, of the process that reads the file, beyond a batch of ten rows.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import httpx
import numpy as np
import psutil

from benchmarks.servers import KEY, free_port, is_ready
from benchmarks.serving_models import model_frame, simulated_table
from benchmarks.tables import Table, run_alone

HEADER = "rows|format|file|answer|time|rows/s|server, peak|reader, peak"
SIZES, TAXA = (1_000, 10_000, 100_000), 300
MEDIA = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


def batch_tables() -> list[Table]:
    """Return the table of batches over HTTP."""
    return [Table.from_lines("Batches over HTTP", HEADER, _rows())]


def _rows() -> Iterator[str]:
    """Yield the table's rows."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        from models.bundle import save_bundle

        save_bundle(model_frame(*simulated_table(folder)), folder / "bundle")
        port = free_port()
        server = subprocess.Popen([sys.executable, "-m", "benchmarks.batch_memory", str(folder / "bundle"), str(port)])
        try:
            while not is_ready(port, "/readyz"):
                time.sleep(0.2)
            process = psutil.Process(server.pid)
            for kind in MEDIA:
                base = _measure(process, port, _file(folder, 10, kind), kind)
                for rows in SIZES:
                    file = _file(folder, rows, kind)
                    seconds, size, memory, reader = _measure(process, port, file, kind)
                    yield (
                        f"| {rows:,} | {kind} | {file.stat().st_size / 2**20:.1f} MB | {size / 2**20:.1f} MB | "
                        f"{seconds:.1f} s | {rows / seconds:.0f} | +{(memory - base[2]) / 2**20:.0f} MB | "
                        f"+{(reader - base[3]) / 2**20:.0f} MB |"
                    )
        finally:
            server.terminate()
            server.wait(20)


def _measure(server: psutil.Process, port: int, file: Path, kind: str) -> tuple[float, int, int, int]:
    """Return seconds, bytes of the answer, and the largest resident memory of server and reader."""
    peaks, ended_event = [0, 0], Event()

    def watch() -> None:
        while not ended_event.wait(0.05):
            peaks[0] = max(peaks[0], server.memory_info().rss)
            for child in server.children(recursive=True):
                try:
                    peaks[1] = max(peaks[1], child.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    watcher = Thread(target=watch)
    watcher.start()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": MEDIA[kind]}
    start, size = time.perf_counter(), 0
    with file.open("rb") as content, httpx.Client(timeout=None) as client:
        url = f"http://127.0.0.1:{port}/v1/predictions/batch"
        with client.stream("POST", url, content=content, headers=headers) as response:
            response.raise_for_status()
            size = sum(len(part) for part in response.iter_raw())
    ended_event.set()
    watcher.join()
    return time.perf_counter() - start, size, *peaks


def _file(folder: Path, rows: int, kind: str) -> Path:
    path, rng = folder / f"{rows}.csv", np.random.default_rng(1)
    if not path.exists():
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["patient", "profiler", *(f"taxa:Genus{i % 9}_species{i}" for i in range(TAXA))])
            for start in range(0, rows, 1000):
                values = rng.lognormal(0, 2, (min(1000, rows), TAXA)) * (rng.random((min(1000, rows), TAXA)) < 0.5)
                values /= values.sum(axis=1, keepdims=True)
                writer.writerows([f"p{start + i}", "simulated", *row] for i, row in enumerate(values.round(8).tolist()))
    if kind == "csv":
        return path
    import pandas as pd

    pd.read_csv(path).to_parquet(path.with_suffix(".parquet"), index=False)
    return path.with_suffix(".parquet")


def _serve(bundle: Path, port: int) -> None:
    import uvicorn

    from models.bundle import load_bundle
    from models.predict import ServedModel
    from serving.accounts import Accounts
    from serving.app import create_app
    from serving.database import open_database
    from serving.record.keys import RecordKey
    from serving.record.recorder import Recorder
    from serving.record.store import RecordStore

    model = load_bundle(bundle)
    served = ServedModel(model, model.outcome, "1", "0" * 32, "candidate")
    engine = open_database(f"sqlite:///{bundle}.db")
    recorder = Recorder(RecordStore(engine, RecordKey(os.urandom(32))))
    app = create_app({model.outcome: [served]}, Accounts(engine, KEY), recorder=recorder)
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [bundle, port]:
            _serve(Path(bundle), int(port))
        case _:
            run_alone(batch_tables)
