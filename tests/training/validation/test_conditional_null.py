"""The conditional permutation null: what it permutes, its level with informative covariates, and its power."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

from features.feature_table import Block, CensoredLimits, FeatureTable
from training.evidence.performance import permutation_test
from training.evidence.scores import gather_scores
from training.validation.conditional_null import conditional_nulls, has_conditional_null, permute_profiles
from training.validation.config import FitConfig
from training.validation.folds import outcome_vector, outer_folds
from training.validation.held_out import validate
from training.validation.permutation_null import (
    NullDistributions,
    Permutations,
    order_within_centres,
    permutation_nulls,
)
from training.workers import Threads

CONFIG = FitConfig(("elastic_net",), ("taxa", "clinical"), representations=("clr",), n_folds=2)
SERIAL = {"workers": Threads(1), "on_step": lambda: None}


def patients(table: FeatureTable, seed: int, *, taxa: float, covariates: float, n: int = 80) -> FeatureTable:
    """Return patients of two centres whose taxa and covariates differ by so much between the outcomes."""
    rng, index = np.random.default_rng(seed), np.arange(n)
    centres, y = np.where(index % 2, "left", "right"), rng.permutation(index % 5 < 2)
    rows = pd.DataFrame({"cohort": "both", "centre": centres, "patient": index.astype(str)})
    rows["objective_response"] = y
    abundances = np.exp(rng.normal(size=(n, 6)) + taxa * np.outer(y, [1, 0, 0, 0, 0, -1]))
    return replace(
        table.take(index % len(table)),
        rows=rows,
        taxa=Block(tuple("abcdef"), abundances / abundances.sum(axis=1, keepdims=True)),
        clinical=Block(("age", "bmi"), rng.normal(size=(n, 2)) + covariates * y[:, None]),
    )


def two_folds(table, y):
    return outer_folds(table, y, 2, 1, 0)[:2]


def comparison(table, n=9, seed=0, nulls_of=conditional_nulls):
    """Return the observed AUROC against a null."""
    y = outcome_vector(table, "objective_response")
    every_row = np.arange(len(y))
    (null,) = nulls_of(table, y, [(CONFIG, every_row)], two_folds, Permutations(n, seed, **SERIAL)).values()
    held_out = validate(table, y, CONFIG, two_folds(table, y), workers=Threads(1))["elastic_net"].held_out
    scores = gather_scores(table, y, held_out, "cv")
    nulls = NullDistributions(null, null.values, 1, conditional=null.values)
    return permutation_test(nulls, scores.mean_auroc(scores.probability)).conditional


def test_profiles_move_together_within_centres_and_covariates_and_outcomes_stay(table):
    original = patients(table, 0, taxa=0, covariates=0)
    numbers = np.arange(len(original), dtype=float)[:, None]
    original = replace(
        original,
        immune=Block(("IL-6",), numbers),
        limits=CensoredLimits(numbers, -numbers),
        donor=Block(("distance",), numbers),
    )
    names = original.rows["centre"].to_numpy(dtype=object)
    permuted = permute_profiles(original, order_within_centres(names, np.random.default_rng(1)))
    order = permuted.immune.values[:, 0].astype(int)
    assert (order != np.arange(len(order))).sum() > 60
    assert sorted(order) == list(range(len(order)))
    np.testing.assert_array_equal(names[order], names)
    np.testing.assert_array_equal(permuted.taxa.values, original.taxa.values[order])
    np.testing.assert_array_equal(permuted.limits.upper[:, 0], -numbers[order, 0])
    np.testing.assert_array_equal(permuted.donor.values, numbers[order])
    assert permuted.clinical is original.clinical
    assert permuted.rows is original.rows


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (("taxa", "clinical"), True),
        (("immune", "clinical"), True),
        (("taxa", "immune", "clinical"), True),
        (("clinical", "donor"), True),
        (("taxa",), False),
        (("taxa", "immune"), False),
        (("clinical",), False),
    ],
)
def test_a_model_of_profiles_and_covariates_has_a_conditional_null(blocks, expected):
    assert has_conditional_null(blocks) is expected


def test_covariates_alone_exceed_the_null_of_outcomes_and_not_the_conditional_one(table):
    informative_covariates = patients(table, 3, taxa=0, covariates=1.2)
    outcomes = comparison(informative_covariates, nulls_of=permutation_nulls)
    conditional = comparison(informative_covariates)
    assert outcomes.p == pytest.approx(0.1)
    assert conditional.p > 0.3
    # What covariates tell is in the null.
    assert conditional.mean > 0.7 > 0.6 > outcomes.mean


def test_informative_taxa_exceed_the_conditional_null_beside_informative_covariates(table):
    assert comparison(patients(table, 4, taxa=1.5, covariates=0.7)).p == pytest.approx(0.1)


def test_with_informative_covariates_and_uninformative_taxa_p_is_uniform(table):
    """With four permutations p is 0.2, 0.4, 0.6, 0.8 or 1 with equal probability."""
    p_values = [comparison(patients(table, 100 + seed, taxa=0, covariates=0.7), n=4, seed=seed).p for seed in range(40)]
    counts = [sum(np.isclose(p_values, p)) for p in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert sum(counts) == len(p_values)
    assert chisquare(counts).pvalue > 0.01, counts


def test_the_null_does_not_depend_on_the_workers_or_on_the_other_models(table):
    patients_of_both, steps = patients(table, 5, taxa=0, covariates=0.5), []
    y, every_row = outcome_vector(patients_of_both, "objective_response"), np.arange(len(patients_of_both))
    competing = [(replace(CONFIG, blocks=("immune", "clinical")), every_row), (CONFIG, every_row[10:])]
    alone = conditional_nulls(patients_of_both, y, competing[1:], two_folds, Permutations(2, 1, **SERIAL))
    permutations = Permutations(3, 1, Threads(2), on_step=lambda: steps.append(1))
    together = conditional_nulls(patients_of_both, y, competing, two_folds, permutations)
    key = ("elastic_net", CONFIG.blocks)
    assert set(together) == {key, ("elastic_net", ("immune", "clinical"))}
    np.testing.assert_array_equal(alone[key].values, together[key].values[:2])
    assert len(steps) == 3
    assert conditional_nulls(patients_of_both, y, [], two_folds, Permutations(0, 1, **SERIAL)) == {}
