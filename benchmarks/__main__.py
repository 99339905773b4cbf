"""Run every speed benchmark, and print the tables as Markdown.

Each compares two programs that are timed in turns in one run. Compare the ratios: milliseconds depend on the machine.
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

from benchmarks import feature_scale
from benchmarks.markdown import print_table

LIBRARIES = ("numpy", "pandas", "scikit-learn", "xgboost-cpu", "fastapi", "uvicorn", "mlflow")
HELP_TARGET = 0.5


def main() -> None:
    """Print the tables; progress goes to standard error."""
    os.environ.setdefault("TAXOKINE_DATA", str(Path(__file__).parents[2] / "shared" / "cohorts"))
    # Workers and servers would repeat each warning many times.
    os.environ["PYTHONWARNINGS"] = "ignore"
    warnings.simplefilter("ignore")
    _report_progress("the command line")
    help_row = _help_row()
    _report_progress("reading and joining a large cohort")
    large = feature_scale.feature_rows()
    # Imported after the large cohort, whose peak memory is measured in children of a small process.
    from benchmarks import pages_speed, serving_speed, study_speed, training_speed

    _report_progress("predictions")
    serving = serving_speed.serving_rows()
    _report_progress("pages")
    pages = pages_speed.page_rows()
    _report_progress("a study")
    study = study_speed.study_rows()
    _report_progress("training")
    training = training_speed.training_rows()
    print(_machine(), end="\n\n")
    print_table(serving_speed.HEADER, serving)
    print_table(pages_speed.HEADER, pages)
    print_table(study_speed.HEADER, study)
    print_table(training_speed.HEADER, training)
    print_table(feature_scale.HEADER, large)
    print_table("command line|time|bare interpreter|target|", [help_row])


def _help_row() -> str:
    """Return the row of `taxokine --help` and of an interpreter that does nothing, the medians of five runs."""
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


def _report_progress(step: str) -> None:
    print(f"measuring {step}", file=sys.stderr)


if __name__ == "__main__":
    main()
