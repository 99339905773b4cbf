"""Seconds of `taxokine --help`, beside an interpreter that does nothing."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.tables import Rounds, Table, run_alone

HELP_TARGET = 0.5
ROUNDS = 7


def start_tables() -> list[Table]:
    """Return the table of the command line's start."""
    commands = {"help": ["-m", "taxokine", "--help"], "bare": ["-c", "pass"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    rounds = {name: Rounds.from_values(times) for name, times in seconds.items()}
    met = "met" if rounds["help"].median < HELP_TARGET else "not met"
    row = ("`taxokine --help`", rounds["help"].text(2), rounds["bare"].text(2), f"< {HELP_TARGET:g} s: {met}")
    return [Table("Start of the command line", ("command", "time, s", "bare interpreter, s", "target"), (row,))]


if __name__ == "__main__":
    run_alone(start_tables)
