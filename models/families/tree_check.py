"""Checks the trees of an ensemble from a file: XGBoost follows their numbers without a check, and ends the process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import xgboost

_NO_CHILD = -1


class _Tree(TypedDict):
    left_children: Sequence[int]
    right_children: Sequence[int]
    split_indices: Sequence[int]
    split_conditions: Sequence[float]
    default_left: Sequence[int]
    categories_nodes: Sequence[int]
    tree_param: Mapping[str, str]


def require_sound_trees(booster: xgboost.Booster) -> None:
    """Raise ValueError unless each row of features ends in one leaf of each tree.

    XGBoost's model is documented as JSON: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html.
    """
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    if learner["gradient_booster"]["name"] != "gbtree":
        raise ValueError(f"expected an ensemble of trees, got {learner['gradient_booster']['name']}")
    model = learner["gradient_booster"]["model"]
    trees: Sequence[_Tree] = model["trees"]
    bounds = model.get("iteration_indptr", [0, len(trees)])
    if any(model["tree_info"]) or len(model["tree_info"]) != len(trees):
        raise ValueError("the trees predict more than one outcome")
    if bounds != sorted(bounds) or bounds[:1] != [0] or bounds[-1] != len(trees):
        raise ValueError(f"the rounds end at trees {bounds}, of {len(trees)}")
    n_features = int(learner["learner_model_param"]["num_feature"])
    for i, tree in enumerate(trees):
        if not _is_sound(tree, n_features):
            raise ValueError(f"tree {i} is damaged: its nodes or features are not those of a tree")


def _is_sound(tree: _Tree, n_features: int) -> bool:
    left, right = tree["left_children"], tree["right_children"]
    n_nodes = len(left)
    columns = (right, tree["split_indices"], tree["split_conditions"], tree["default_left"])
    if n_nodes == 0 or any(len(column) != n_nodes for column in columns):
        return False
    if tree["categories_nodes"] or int(tree["tree_param"]["size_leaf_vector"]) > 1:
        return False
    inner = [i for i in range(n_nodes) if left[i] != _NO_CHILD or right[i] != _NO_CHILD]
    children = [child for i in inner for child in (left[i], right[i])]
    # Where the root is nobody's child, and no node is the child of two, no way down comes back.
    return (
        all(0 < child < n_nodes for child in children)
        and len(set(children)) == len(children)
        and all(0 <= tree["split_indices"][i] < n_features for i in inner)
    )
