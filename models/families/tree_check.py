"""Checks the trees of an ensemble from a file: XGBoost follows their numbers without a check, and ends the process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xgboost

_NO_CHILD = -1


def require_sound_trees(booster: xgboost.Booster) -> None:
    """Raise ValueError unless each row of features ends in one leaf of each tree.

    XGBoost's model is documented as JSON: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html.
    """
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    if learner["gradient_booster"]["name"] != "gbtree":
        raise ValueError(f"expected an ensemble of trees, got {learner['gradient_booster']['name']}")
    model = learner["gradient_booster"]["model"]
    trees = model["trees"]
    bounds = model.get("iteration_indptr", [0, len(trees)])
    if any(model["tree_info"]) or len(model["tree_info"]) != len(trees):
        raise ValueError("the trees predict more than one outcome")
    if bounds != sorted(bounds) or bounds[:1] != [0] or bounds[-1] != len(trees):
        raise ValueError(f"the rounds end at trees {bounds}, of {len(trees)}")
    n_features = int(learner["learner_model_param"]["num_feature"])
    for i, tree in enumerate(trees):
        if int(tree["tree_param"]["size_leaf_vector"]) > 1 or not _is_sound(tree, n_features):
            raise ValueError(f"tree {i} is damaged: its nodes or features are not those of a tree")


def _is_sound(tree: Mapping[str, Sequence[int]], n_features: int) -> bool:
    pairs = list(zip(tree["left_children"], tree["right_children"], strict=False))
    n_nodes = len(tree["left_children"])
    columns = (tree["right_children"], tree["split_indices"], tree["split_conditions"], tree["default_left"])
    if n_nodes == 0 or any(len(column) != n_nodes for column in columns) or tree["categories_nodes"]:
        return False
    inner = [i for i, pair in enumerate(pairs) if pair != (_NO_CHILD, _NO_CHILD)]
    children = [child for i in inner for child in pairs[i]]
    # Where the root is nobody's child, and no node is the child of two, no way down comes back.
    return (
        all(0 < child < n_nodes for child in children)
        and len(set(children)) == len(children)
        and all(0 <= tree["split_indices"][i] < n_features for i in inner)
    )
