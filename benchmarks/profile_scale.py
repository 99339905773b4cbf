"""Seconds and peak memory of 50,000 sparse stool profiles, step by step, beside biom-format and scikit-bio.

Each side runs in a process of its own, in turns. Distances hold a number for each pair of samples, so that they, and
PERMANOVA, are of a part of the samples that either library holds in memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.tables import Rounds, Table, run_alone

SAMPLES, TAXA, TAXA_OF_A_SAMPLE = 50_000, 2_000, 200
SAMPLES_OF_DISTANCES, PERMUTATIONS = 1_000, 9_999
MIN_PREVALENCE = 0.1
ROUNDS = 5
SIDES = ("ours", "scikit-bio")
COLUMNS = ("step", "ours, s", "biom-format and scikit-bio, s", "theirs ÷ ours", "target")

Step = tuple[str, Callable[[], object]]


def profile_tables() -> list[Table]:
    """Return the table of the steps, and of each side's peak memory."""
    seconds: dict[str, dict[str, list[float]]] = {side: {} for side in SIDES}
    peaks: dict[str, list[float]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as scratch:
        path = str(Path(scratch) / "profiles.biom")
        _run("write", path)
        for _ in range(ROUNDS):
            for side in SIDES:
                steps, peak = json.loads(_run(side, path))
                peaks[side].append(peak)
                for name, value in steps:
                    seconds[side].setdefault(name, []).append(value)
    rows = [_row(name, *(seconds[side][name] for side in SIDES)) for name in seconds["ours"]]
    ours, theirs = (Rounds.from_values(peaks[side]) for side in SIDES)
    dense = SAMPLES * TAXA * 8 / 2**20
    memory = f"peak memory, MB (the table in float64 is {dense:,.0f})"
    rows.append((memory, ours.text(0), theirs.text(0), f"{theirs.median / ours.median:.1f}", None))
    title = f"{SAMPLES:,} sparse profiles of {TAXA:,} taxa, {TAXA_OF_A_SAMPLE} in each"
    return [Table(title, COLUMNS, tuple(rows))]


def _row(name: str, ours: list[float], theirs: list[float]) -> tuple[str, str, str, str, str]:
    ratio = Rounds.from_values([b / a for a, b in zip(ours, theirs, strict=True)])
    verdict = f"≥ 1: {'met' if ratio.median >= 1 else 'not met'}"
    return name, Rounds.from_values(ours).text(2), Rounds.from_values(theirs).text(2), ratio.text(1), verdict


def _run(side: str, path: str) -> bytes:
    # On Linux a child's peak memory includes its parent's: this process must stay small until these runs are over.
    command = [sys.executable, "-m", "benchmarks.profile_scale", side, path]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def _write(path: Path) -> None:
    import biom
    import h5py
    import numpy as np
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    # Some taxa are common and most are rare, as in stool.
    weight = rng.pareto(1.0, TAXA) + 0.05
    taxa = np.argpartition(rng.exponential(1 / weight, (SAMPLES, TAXA)), TAXA_OF_A_SAMPLE)[:, :TAXA_OF_A_SAMPLE]
    counts = rng.geometric(0.002, taxa.shape).astype(np.float64)
    starts = np.arange(SAMPLES + 1) * TAXA_OF_A_SAMPLE
    matrix = csr_matrix((counts.ravel(), taxa.ravel(), starts), (SAMPLES, TAXA)).T
    names = [f"s__Genus{i % 300}_species{i}" for i in range(TAXA)]
    table = biom.Table(matrix, names, [f"sample{i}" for i in range(SAMPLES)])
    with h5py.File(path, "w") as file:
        table.to_hdf5(file, "benchmark")


def _our_steps(path: Path) -> Iterator[Step]:
    """Yield each step of this project, by the functions that training and studies call."""
    import numpy as np

    from features.taxa import read_taxa
    from features.transforms import CLR, AlphaDiversity, PrevalenceFilter, ZeroReplacement
    from training.statistics.distances import bray_curtis
    from training.statistics.permanova import permanova

    state: dict[str, Any] = {}
    yield "read", lambda: state.update(table=read_taxa(path, format="biom").proportions())
    values = state["table"].values
    assert values.shape == (SAMPLES, TAXA)
    yield "prevalence filter", lambda: state.update(kept=PrevalenceFilter(MIN_PREVALENCE).fit_transform(values))
    yield "zeros replaced, CLR", lambda: CLR().fit_transform(ZeroReplacement().fit_transform(state["kept"]))
    yield "richness, Shannon, Simpson", lambda: AlphaDiversity().fit_transform(values)
    few = values[:SAMPLES_OF_DISTANCES].astype(np.float64)
    groups = np.array(["a", "b"] * (len(few) // 2), dtype=object)
    yield _distances(), lambda: state.update(distances=bray_curtis(few))
    yield _permanova(), lambda: permanova(state["distances"], groups)


def _their_steps(path: Path) -> Iterator[Step]:
    """Yield the same steps as the manuals of biom-format and scikit-bio write them."""
    import biom
    import numpy as np
    from skbio.diversity import alpha_diversity, beta_diversity
    from skbio.stats.composition import clr, multi_replace
    from skbio.stats.distance import permanova

    state: dict[str, Any] = {}

    def read() -> None:
        table = biom.load_table(str(path)).norm(axis="sample")
        state.update(table=table, values=table.matrix_data.T.toarray())

    def keep() -> None:
        is_prevalent = (state["values"] > 0).mean(axis=0) >= MIN_PREVALENCE
        state.update(kept=state["values"][:, is_prevalent])

    yield "read", read
    values, ids = state["values"], state["table"].ids()
    assert values.shape == (SAMPLES, TAXA)
    yield "prevalence filter", keep
    yield "zeros replaced, CLR", lambda: clr(multi_replace(state["kept"]))
    indices = ("observed_features", "shannon", "simpson")
    yield "richness, Shannon, Simpson", lambda: [alpha_diversity(index, values, ids) for index in indices]
    few, few_ids = values[:SAMPLES_OF_DISTANCES], ids[:SAMPLES_OF_DISTANCES]
    groups = np.array(["a", "b"] * (len(few) // 2))
    yield _distances(), lambda: state.update(distances=beta_diversity("braycurtis", few, few_ids))
    yield _permanova(), lambda: permanova(state["distances"], groups, permutations=PERMUTATIONS)


def _distances() -> str:
    return f"Bray-Curtis of {SAMPLES_OF_DISTANCES:,} samples"


def _permanova() -> str:
    return f"PERMANOVA of {SAMPLES_OF_DISTANCES:,} samples, {PERMUTATIONS:,} permutations"


def _measure(steps: Iterator[Step]) -> tuple[list[tuple[str, float]], float]:
    """Return each step's seconds, and the peak memory of this process in MB."""
    seconds = []
    for name, work in steps:
        start = time.perf_counter()
        work()
        seconds.append((name, time.perf_counter() - start))
        print(f"{name}: {seconds[-1][1]:.2f} s", file=sys.stderr)
    # Kilobytes on Linux, bytes on macOS.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    match sys.argv[1:]:
        case ["write", path]:
            _write(Path(path))
        case ["ours", path]:
            print(json.dumps(_measure(_our_steps(Path(path)))))
        case ["scikit-bio", path]:
            print(json.dumps(_measure(_their_steps(Path(path)))))
        case _:
            run_alone(profile_tables)
