"""Seconds of the study report of 50 patients, and of its slowest statistics here and in other libraries."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from benchmarks.tables import Table, run_alone

HEADER = "a trial's own analysis|ours|other library|ratio|target"
PATIENTS, TAXA, VISITS = 50, 1000, (-7, 7, 14, 28, 42, 56, 90, 150, 240, 365)
TARGET = 120.0


def study_tables() -> list[Table]:
    """Return the table of the report, of PERMANOVA against scikit-bio, and of the mixed model against statsmodels."""
    with tempfile.TemporaryDirectory() as scratch:
        rows = [_report_row(Path(scratch)), _permanova_row(), _mixed_model_row()]
    return [Table.from_lines("A study", HEADER, rows)]


def _report_row(folder: Path) -> str:
    from taxokine.simulation import Trial, simulate_trial

    trial = simulate_trial(folder / "trial", Trial(n_patients=PATIENTS, n_taxa=TAXA, n_donors=8, visits=VISITS))
    samples = len((folder / "trial" / "samples.csv").read_text().splitlines()) - 1
    environment = {**os.environ, "TAXOKINE_HOME": str(folder), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    command = [sys.executable, "-m", "taxokine", "study", str(trial), "--out", str(folder / "report")]
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    analysis = f"a report: {PATIENTS} patients, {samples} stool samples, {TAXA:,} taxa"
    met = "met" if seconds <= TARGET else "not met"
    return f"| {analysis} | {seconds:.0f} s | – | {seconds / TARGET:.2f} × the aim | ≤ {TARGET:.0f} s, {met} |"


def _permanova_row() -> str:
    import numpy as np
    from skbio.stats.distance import DistanceMatrix
    from skbio.stats.distance import permanova as skbio_permanova

    from training.statistics.distances import bray_curtis
    from training.statistics.permanova import permanova

    rng = np.random.default_rng(0)
    distances = bray_curtis(rng.dirichlet(np.full(200, 0.2), 400))
    groups = np.array(["a", "b"] * 200, dtype=object)
    matrix = DistanceMatrix(distances)
    ours, theirs = _side_by_side(
        lambda: permanova(distances, groups), lambda: skbio_permanova(matrix, groups, permutations=9999), times=3
    )
    return _row("PERMANOVA, 400 samples, 9,999 permutations", ours, theirs, "scikit-bio")


def _mixed_model_row() -> str:
    import numpy as np
    import statsmodels.api as sm

    from training.statistics.mixed_model import mixed_slope

    rng = np.random.default_rng(0)
    patient, x = np.repeat(np.arange(PATIENTS), 6), np.tile(np.arange(6.0), PATIENTS)
    y = rng.normal(0, 1, PATIENTS)[patient] + rng.normal(0.2, 0.2, PATIENTS)[patient] * x + rng.normal(0, 0.5, len(x))
    design = sm.add_constant(x)
    ours, theirs = _side_by_side(
        lambda: mixed_slope(y, x, patient), lambda: sm.MixedLM(y, design, patient, exog_re=design).fit(), times=9
    )
    return _row("mixed model with random slopes, 300 draws", ours, theirs, "statsmodels")


def _side_by_side(ours: Callable[[], object], theirs: Callable[[], object], times: int) -> tuple[float, float]:
    """Return the median seconds of each of two functions, which run in turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(times):
            for times_of_side, run in zip(seconds, (ours, theirs), strict=True):
                start = time.perf_counter()
                run()
                times_of_side.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def _row(analysis: str, ours: float, theirs: float, library: str) -> str:
    return f"| {analysis} | {1e3 * ours:.0f} ms | {1e3 * theirs:.0f} ms, {library} | {theirs / ours:.1f} × | – |"


if __name__ == "__main__":
    run_alone(study_tables)
