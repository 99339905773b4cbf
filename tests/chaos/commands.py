"""Taxokine's own commands, as an administrator runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(*words: str) -> str:
    """Run a command of Taxokine, and return what it prints."""
    command = [sys.executable, "-m", "taxokine", *words]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def train(manifest: Path, seed: int) -> None:
    """Train and register a version; the last one is the candidate."""
    run(
        *("train", "--cohorts", str(manifest), "--outcome", "objective_response", "--families", "elastic_net"),
        *("--blocks", "taxa", "--folds", "2", "--repeats", "1", "--seed", str(seed)),
    )
