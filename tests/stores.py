"""MLflow stores of the tests: copies of one, whose tables MLflow's migrations take two seconds to make."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

# The settings turn MLflow's telemetry off before it is imported.
import features.settings  # noqa: F401


def new_store(folder: Path) -> str:
    """Make a store with its tables and nothing else in a folder, and return its URI."""
    file = folder / "mlflow.db"
    file.write_bytes(_empty_store())
    return f"sqlite:///{file}"


@cache
def _empty_store() -> bytes:
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "mlflow.db")
        MlflowClient(f"sqlite:///{file}").search_experiments()
        return file.read_bytes()
