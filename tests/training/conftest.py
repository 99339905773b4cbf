"""A small simulated cohort, and a store of its own for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.cohort import read_cohort
from features.feature_table import FeatureTable
from features.landmark import landmark_table
from features.settings import settings
from taxokine.simulation import Trial, simulate_trial

from ..stores import new_store


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_trial(tmp_path_factory.mktemp("trial") / "trial", Trial(n_patients=60, n_taxa=60, seed=3))


@pytest.fixture(scope="session")
def table(trial: Path) -> FeatureTable:
    return landmark_table(read_cohort(trial, trial.parent))


@pytest.fixture
def store(absent_store: str, tmp_path: Path) -> str:
    """Return the URI of a store, which the settings name."""
    return new_store(tmp_path)


@pytest.fixture
def absent_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URI that the settings name, of a store that is not made yet."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("TAXOKINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield uri
    settings.cache_clear()
