"""Seconds and peak memory of reading and joining a large cohort, and of pandas reading the same table."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.tables import Table, run_alone

HEADER = "features|time|peak memory|ratio"
SAMPLES, TAXA = 5_000, 2_000
MANY_SAMPLES, MANY_TAXA = 20_000, 3_000
_MANIFEST = """\
manifest_version: 2
name: large
title: Simulated counts, for the benchmark
simulated: true
source: {licence: "none needed, simulated", citation: "simulated for the benchmark"}
clock: {name: day_ici, index: first dose}
taxa: {file: counts.tsv, format: table, rank: species, unit: counts, sample_axis: columns, profiler: simulated}
samples: {file: sheet.csv, sample: sample, patient: patient, day: {column: day}}
patients: {file: sheet.csv, patient: patient, covariates: {age: {column: age, unit: years}}}
outcomes:
  recist: {column: recist, CR: [CR], PR: [PR], SD: [SD], PD: [PD]}
"""


def feature_tables() -> list[Table]:
    """Return the table of reading large cohorts."""
    return [Table.from_lines("Reading a large cohort", HEADER, _rows())]


def _rows() -> list[str]:
    """Return the table's rows: each reader's seconds, peak memory, and seconds as a multiple of pandas'."""
    with tempfile.TemporaryDirectory() as scratch:
        _run("write", scratch)
        plain, ours, wide = (json.loads(_run(side, scratch)) for side in ("plain", "ours", "wide"))
    size, ratio = f"{SAMPLES:,} samples × {TAXA:,} taxa", ours[0] / plain[0]
    return [
        f"| {size}: `read_cohort` + `landmark_table` | {ours[0]:.1f} s | {ours[1]:.0f} MB | {ratio:.1f} × |",
        f"| the same table: `pandas.read_csv` alone | {plain[0]:.1f} s | {plain[1]:.0f} MB | 1 × |",
        f"| {MANY_SAMPLES:,} samples × {MANY_TAXA:,} taxa, {4 * MANY_SAMPLES * MANY_TAXA / 1e6:.0f} MB of numbers: "
        f"`read_taxa` | {wide[0]:.1f} s | {wide[1]:.0f} MB | |",
    ]


def _run(side: str, folder: str) -> bytes:
    # On Linux a child's peak memory includes its parent's: this process must stay small until these runs are over.
    command = [sys.executable, "-m", "benchmarks.feature_scale", side, folder]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def _write_cohort(folder: Path) -> None:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    counts = rng.negative_binomial(0.2, 0.002, (TAXA, SAMPLES))
    samples = [f"sample{i}" for i in range(SAMPLES)]
    with (folder / "counts.tsv").open("w") as file:
        print("taxon", *samples, sep="\t", file=file)
        for i, row in enumerate(counts.tolist()):
            print(f"s__Genus{i % 300}_species{i}", *row, sep="\t", file=file)
    sheet = {
        "sample": samples,
        "patient": [f"patient{i // 2}" for i in range(SAMPLES)],
        "day": np.tile([-30, -2], SAMPLES // 2),
        "age": np.repeat(rng.integers(30, 90, SAMPLES // 2), 2),
        "recist": np.repeat(rng.choice(["CR", "PR", "SD", "PD"], SAMPLES // 2), 2),
    }
    with (folder / "many.tsv").open("w") as file:
        print("sample", *(f"s__Genus{i % 300}_species{i}" for i in range(MANY_TAXA)), sep="\t", file=file)
        for i in range(MANY_SAMPLES):
            print(f"sample{i}", *rng.negative_binomial(0.2, 0.002, MANY_TAXA).tolist(), sep="\t", file=file)
    pd.DataFrame(sheet).to_csv(folder / "sheet.csv", index=False)
    (folder / "manifest.yaml").write_text(_MANIFEST)


def _measure(side: str, folder: Path) -> tuple[float, float]:
    """Return seconds, and the peak memory of this process in MB."""
    import pandas as pd

    from features.cohort import read_cohort
    from features.landmark import landmark_table
    from features.taxa import read_taxa

    start = time.perf_counter()
    if side == "ours":
        table = landmark_table(read_cohort(folder / "manifest.yaml", folder))
        assert table.taxa.values.shape == (SAMPLES // 2, TAXA)
    elif side == "wide":
        assert read_taxa(folder / "many.tsv", format="table").values.shape == (MANY_SAMPLES, MANY_TAXA)
    else:
        assert pd.read_csv(folder / "counts.tsv", sep="\t", index_col=0).shape == (TAXA, SAMPLES)
    seconds = time.perf_counter() - start
    # Kilobytes on Linux, bytes on macOS.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", folder]:
            _write_cohort(Path(folder))
        case [("plain" | "ours" | "wide") as side, folder]:
            print(json.dumps(_measure(side, Path(folder))))
        case _:
            run_alone(feature_tables)
