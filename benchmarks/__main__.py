"""Run every speed benchmark; write `docs/benchmarks.json`, `docs/benchmarks.md` and `docs/images/benchmarks.svg`.

Each compares programs that are timed in turns in one run. Compare the ratios: milliseconds depend on the machine, and
on what else it does. Every benchmark runs in a process of its own, and alone as well: `python -m benchmarks.NAME`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.chart import draw_serving
from benchmarks.tables import Table

MODULES = (
    "serving_speed",
    "start_speed",
    "pages_speed",
    "study_speed",
    "training_speed",
    "experiment_speed",
    "feature_scale",
    "profile_scale",
    "batch_speed",
    "batch_memory",
)
LIBRARIES = ("numpy", "pandas", "scikit-learn", "xgboost-cpu", "fastapi", "uvicorn", "mlflow")
DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Machine:
    """Where and when the benchmarks ran.

    Attributes
    ----------
    date, processor, python : str
    cores : int
    load : float
        Processes that wanted a core in the minute before the start.
    libraries : dict of str to str
        Versions.
    """

    date: str
    processor: str
    cores: int
    load: float
    python: str
    libraries: dict[str, str]

    def sentence(self) -> str:
        """Return the description as one sentence."""
        libraries = ", ".join(f"{name} {number}" for name, number in self.libraries.items())
        return (
            f"{self.date}; {self.processor}, {self.cores} cores, load {self.load:.1f} at the start; "
            f"Python {self.python}, {libraries}."
        )


def main() -> None:
    """Run every benchmark; progress goes to standard error."""
    os.environ.setdefault("TAXOKINE_DATA", str(Path(__file__).parents[2] / "shared" / "cohorts"))
    # Workers and servers would repeat each warning many times.
    os.environ["PYTHONWARNINGS"] = "ignore"
    machine, tables, start = _machine(), list[Table](), time.monotonic()
    for number, module in enumerate(MODULES, 1):
        minutes = (time.monotonic() - start) / 60
        print(f"{number} of {len(MODULES)}, after {minutes:.1f} minutes: {module}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"benchmarks.{module}", "--json"]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        tables += [Table(item["title"], tuple(item["columns"]), tuple(item["rows"])) for item in json.loads(output)]
        # What is measured stays, whatever happens to the next.
        _write(machine, tables)
    print(f"written to {DOCS}/benchmarks.md after {(time.monotonic() - start) / 60:.1f} minutes", file=sys.stderr)


def _write(machine: Machine, tables: list[Table]) -> None:
    content = {"machine": asdict(machine), "tables": [asdict(table) for table in tables]}
    (DOCS / "benchmarks.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    head = (
        "# Benchmarks\n\nWritten by `make bench`; [speed](speed.md) says what the figures mean. Where a range stands "
        f"in parentheses, the figure before it is the median of the rounds.\n\n{machine.sentence()}\n\n"
        "![Answers a second to eight clients, by family and server](images/benchmarks.svg)\n"
    )
    (DOCS / "benchmarks.md").write_text("\n".join([head, *(table.markdown() for table in tables)]))
    draw_serving(tables, DOCS / "images" / "benchmarks.svg")


def _machine() -> Machine:
    return Machine(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        processor=_processor(),
        cores=os.cpu_count() or 1,
        load=os.getloadavg()[0],
        python=platform.python_version(),
        libraries={name: version(name) for name in LIBRARIES},
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
