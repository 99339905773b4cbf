"""The MLflow UI on the store that the settings name."""

from __future__ import annotations

import sys
from pathlib import Path

from features.errors import InputError
from features.settings import settings
from training.tracking import comparisons


def ui_command(port: int) -> list[str]:
    """Return the command of the MLflow UI on the settings' store.

    Raises
    ------
    InputError
        The store is a server, which has a UI of its own.
    """
    uri = settings().tracking_uri
    if uri.startswith("http"):
        raise InputError("MLFLOW_TRACKING_URI names a server; open its address in a browser")
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", uri, "--default-artifact-root", str(Path("mlartifacts").absolute())),
    ]


def ui_addresses(port: int) -> str:
    """Return the addresses of the UI and of each experiment's comparison in it."""
    address = f"http://127.0.0.1:{port}"
    return "\n".join(
        [f"MLflow UI {address}", *(f"  compare {name}: {address}{path}" for name, path in comparisons().items())]
    )
