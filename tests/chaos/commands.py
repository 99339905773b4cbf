"""Taxokine's own commands, as an administrator runs them."""

from __future__ import annotations

import subprocess
import sys


def run(*words: str) -> str:
    """Run a command of Taxokine, and return what it prints."""
    command = [sys.executable, "-m", "taxokine", *words]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
