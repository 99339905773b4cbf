"""Training without figures, which are half of the time of a small experiment, for tests that look at none."""

from __future__ import annotations

from typing import Any

import pytest

from training.experiment import model_run


def draw_no_figures(patch: pytest.MonkeyPatch) -> None:
    """Let the models that this process trains have no figures: their runs and their cards are complete without."""
    for writer in ("write_figures", "write_shap_figures"):
        patch.setattr(model_run, writer, _no_figures)


def _no_figures(*_: Any) -> dict[str, str]:
    return {}
