"""Measure ratios, each of two things timed side by side in one run, and print them as Markdown.

Milliseconds belong to a machine; the ratios are what to compare.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

from benchmarks.feature_scale import feature_rows

LIBRARIES = ("numpy", "pandas", "scikit-learn", "xgboost-cpu", "fastapi", "uvicorn", "mlflow")
HELP_TARGET = 0.5


def main() -> None:
    """Print the tables; how far it is goes to standard error."""
    os.environ.setdefault("TAXOKINE_DATA", str(Path(__file__).parents[2] / "shared" / "cohorts"))
    # Workers and servers would repeat each warning many times.
    os.environ["PYTHONWARNINGS"] = "ignore"
    warnings.simplefilter("ignore")
    _say("the command line")
    help_row = _help_row()
    _say("reading and joining a large cohort")
    large = feature_rows()
    # Imported only now: reading's peak memory is that of a process started from a small one.
    from benchmarks.pages_speed import page_rows
    from benchmarks.serving_speed import serving_rows
    from benchmarks.study_speed import study_rows
    from benchmarks.training_speed import training_rows

    _say("predictions")
    serving = serving_rows()
    _say("pages")
    pages = page_rows()
    _say("a study")
    study = study_rows()
    _say("training")
    training = training_rows()
    print(_machine(), end="\n\n")
    _table(
        "predict + SHAP, one row, one worker|floor, p50|HTTP, p50|HTTP, p99|answers/s|HTTP ÷ floor|target|"
        "|`mlflow models serve`, answers/s",
        serving,
    )
    _table("pages, one worker|time|ratio|target|", pages)
    _table("a trial's own analysis|ours|beside|ratio|target", study)
    _table("training|ours|plain scikit-learn|plain ÷ ours|left-out log loss, ours / plain|target|", training)
    _table("features|time|peak memory|ratio", large)
    _table("command line|time|bare interpreter|target|", [help_row])


def _help_row() -> str:
    """Return the row of `taxokine --help`, median of 5 beside an interpreter that does nothing."""
    commands = {"help": ["-m", "taxokine", "--help"], "bare": ["-c", "pass"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(5):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    met = "met" if median["help"] < HELP_TARGET else "not met"
    return f"| `taxokine --help` | {median['help']:.2f} s | {median['bare']:.2f} s | < {HELP_TARGET:g} s | {met} |"


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {libraries}."


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _table(heads: str, rows: list[str]) -> None:
    columns = heads.count("|") + 1
    print(f"| {heads.replace('|', ' | ')} |", "|---" * columns + "|", *rows, sep="\n", end="\n\n")


def _say(step: str) -> None:
    print(f"measuring {step}", file=sys.stderr)


if __name__ == "__main__":
    main()
