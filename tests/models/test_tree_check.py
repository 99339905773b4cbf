"""An ensemble that would end the process is refused before it predicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from models.families import TreePredictor

GOLDEN = Path(__file__).with_name("golden")


def ensemble(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> bytes:
    """Return an ensemble whose model, or first tree, a forger has changed."""
    rng = np.random.default_rng(0)
    X = rng.random((60, 5))
    data = xgboost.DMatrix(X, X[:, 0] > 0.5)
    booster = xgboost.train({"max_depth": 3, "objective": "binary:logistic", "nthread": 1}, data, 3)
    document = json.loads(bytes(booster.save_raw("json")))
    model = document["learner"]["gradient_booster"]["model"]
    change(model, model["trees"][0])
    forgery = xgboost.Booster()
    forgery.load_model(bytearray(json.dumps(document).encode()))
    return bytes(forgery.save_raw("ubj"))


@pytest.mark.parametrize(
    "change",
    [
        lambda model, tree: tree["left_children"].__setitem__(0, 10**6),
        lambda model, tree: tree["right_children"].__setitem__(0, -7),
        lambda model, tree: tree["right_children"].__setitem__(0, -1),
        lambda model, tree: tree["left_children"].__setitem__(0, 0),
        lambda model, tree: tree["left_children"].__setitem__(0, tree["right_children"][0]),
        lambda model, tree: tree["split_indices"].__setitem__(0, 10**6),
        lambda model, tree: model["tree_info"].__setitem__(0, 10**6),
    ],
    ids=["beyond", "negative", "one child", "cycle", "shared", "feature", "outcome"],
)
def test_a_tree_that_is_none_is_refused(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    with pytest.raises(ValueError, match=r"damaged|more than one outcome"):
        TreePredictor.from_ubj(ensemble(change))


def test_ensembles_of_all_kinds_load() -> None:
    assert TreePredictor.from_ubj(ensemble(lambda model, tree: None)).n_features == 5
    files = sorted(GOLDEN.rglob("trees.ubj"))
    assert len(files) > 3
    for file in files:
        TreePredictor.from_ubj(file.read_bytes())
