"""What every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cohorts_dir() -> Path:
    """Return the folder of the real published cohorts, or skip where it is absent (an error under CI)."""
    folder = Path(os.environ.get("TAXOKINE_DATA", Path(__file__).parents[1].parent / "shared" / "cohorts"))
    if not folder.is_dir():
        message = f"the published cohorts are not at {folder}; set TAXOKINE_DATA to their folder"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
