"""The families that can be trained and served, by name."""

from __future__ import annotations

from models.families.base import Family
from models.families.linear import ElasticNet
from models.families.trees import TreeFamily

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        ElasticNet(),
        # XGBoost's forest mode: serving it needs no second library, and its SHAP values are exact.
        TreeFamily(
            "xgboost_forest",
            {"num_parallel_tree": 200, "learning_rate": 1, "subsample": 0.632},
            depths=(6,),
            rounds=(1,),
            average_setting={"max_depth": 6, "rounds": 1},
            subsample_features=True,
        ),
        TreeFamily(
            "xgboost",
            {"learning_rate": 0.1, "subsample": 0.8, "colsample_bytree": 0.5, "min_child_weight": 2},
            depths=(2, 4),
            rounds=(5, 15, 30, 60),
            # As many trees as the grid fits, of middling depth and number of rounds.
            average_setting={"max_depth": 3, "rounds": 30, "num_parallel_tree": 4},
        ),
    )
}
"""Every family by its name."""
