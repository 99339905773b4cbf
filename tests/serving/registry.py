"""A registry on the disk with small models, for servers that are processes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from features.settings import settings
from models.predict import ServedModel
from models.registry import client, log_bundle, register

from ..stores import new_store


@contextmanager
def registered(models: Mapping[str, list[ServedModel]], home: Path, **environment: str) -> Iterator[None]:
    """Register the best model of each outcome in a new store, which the settings name with this environment."""
    with pytest.MonkeyPatch.context() as patch:
        store = {"TAXOKINE_HOME": str(home), "MLFLOW_TRACKING_URI": new_store(home)}
        for name, value in (store | environment).items():
            patch.setenv(name, value)
        settings.cache_clear()
        experiment = client().create_experiment("models", artifact_location=(home / "artefacts").as_uri())
        for outcome, ranked in models.items():
            with mlflow.start_run(experiment_id=experiment) as run:
                register(outcome, [(log_bundle(ranked[0].model), run.info.run_id, {"blocks": "taxa"})])
        yield
    settings.cache_clear()
