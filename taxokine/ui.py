"""The MLflow UI on the store that the settings name."""

from __future__ import annotations

import sys
from pathlib import Path

from features.errors import InputError
from features.settings import settings
from models.registry import registered_names
from training.tracking import MODE, comparison_paths


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
        # An application of our own (`training.tracking_app`), found by its entry point.
        *("--app-name", "taxokine"),
    ]


def comparison_addresses(ui: str) -> dict[str, str]:
    """Return the address of each experiment's comparison in the UI at an address, by experiment."""
    return {name: f"{ui}{path}" for name, path in comparison_paths().items()}


def registry_addresses(ui: str) -> dict[str, str]:
    """Return the address of each registered model's versions in the UI at an address, by outcome."""
    return {name: f"{ui}/#/models/{name}?{MODE}" for name in registered_names()}
