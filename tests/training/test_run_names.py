"""Names of runs where the MLflow UI cuts them."""

from __future__ import annotations

from itertools import combinations

from features.columns import BLOCKS
from models.families.catalogue import FAMILIES
from training.run_names import model_run_name, parent_run_name
from training.statistics.survival_families import SURVIVAL_FAMILIES

SHOWN = 21
"""Characters of a run's name that the table of runs shows in its default width."""


def test_names_differ_in_the_characters_that_the_ui_shows():
    blocks = [name for name in BLOCKS if name != "over_time"]
    sets = [subset for size in range(1, 5) for subset in combinations(blocks, size)]
    for families in (FAMILIES, SURVIVAL_FAMILIES):
        names = [model_run_name(family, subset) for family in families for subset in sets]
        assert len({name[:SHOWN] for name in names}) == len(names)


def test_a_parent_is_named_by_its_best_model_then_its_cohorts():
    name = parent_run_name(model_run_name("xgboost_forest", ("taxa", "immune")), 6, ["lee_2022", "mitox"])
    assert name == "best of 6: xgbf taxa+imm · lee_2022 + mitox"
