"""Small models, trained in this process, which has imported what trains them."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.experiment import Experiment, train

from ..undrawn import draw_no_figures


def train_model(manifest: Path, seed: int) -> None:
    """Train and register a version; the last one is the candidate."""
    with pytest.MonkeyPatch.context() as patch:
        draw_no_figures(patch)
        train(
            Experiment(
                (str(manifest),), "objective_response", families=("elastic_net",), blocks=("taxa",),
                representation=("clr", "presence"), n_folds=2, repeats=1, seed=seed,
            )
        )  # fmt: skip
