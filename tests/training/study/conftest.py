"""The store in which the tests log studies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from features.settings import settings
from training import drawing

from ...stores import new_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make one store for all tests of a file, which takes seconds; figures as PNG are small."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXOKINE_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(folder))
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.setattr(drawing, "DPI", 30)
        settings.cache_clear()
        yield
    settings.cache_clear()
