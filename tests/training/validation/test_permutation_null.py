"""The permutation null: its permutations, its p-value, and its level without signal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, monte_carlo_test

from features.feature_table import Block, FeatureTable
from models.families import ElasticNet
from training.evidence.performance import permutation_test
from training.evidence.scores import gather_scores
from training.validation.config import FitConfig
from training.validation.folds import outcome_vector, outer_folds
from training.validation.held_out import validate
from training.validation.permutation_null import (
    ModelNull,
    NullDistributions,
    Permutations,
    best_model_null,
    order_within_centres,
    permutation_nulls,
)
from training.workers import Threads

CONFIG = FitConfig(("elastic_net",), ("clinical",), n_folds=2)
SERIAL = {"workers": Threads(1), "on_step": lambda: None}


def noise(table: FeatureTable, seed: int, n: int = 100, n_columns: int = 4) -> FeatureTable:
    """Return patients of two cohorts with independent covariates and outcomes."""
    rng, index = np.random.default_rng(seed), np.arange(n)
    table, cohorts = table.take(index % len(table)), np.where(index % 2, "left", "right")
    rows = pd.DataFrame({"cohort": cohorts, "centre": cohorts, "patient": index.astype(str)})
    rows["objective_response"] = rng.permutation(index % 5 < 2)
    clinical = Block(tuple(f"column {i}" for i in range(n_columns)), rng.normal(size=(n, n_columns)))
    return replace(table, rows=rows, clinical=clinical)


def two_folds(table, y):
    return outer_folds(table, y, 2, 1, 0)[:2]


def observed(table, y, config=CONFIG):
    held_out = validate(table, y, config, two_folds(table, y), workers=Threads(1))["elastic_net"].held_out
    scores = gather_scores(table, y, held_out, "cv")
    return scores.mean_auroc(scores.probability)


def nulls_of(table, y, n, configs=(CONFIG,), seed=0, rows=None, **options):
    every_row = np.arange(len(y))
    competing = [(config, every_row if rows is None else rows) for config in configs]
    return permutation_nulls(table, y, competing, two_folds, Permutations(n, seed, **{**SERIAL, **options}))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=30), st.integers(0, 99))
def test_outcomes_permute_within_cohorts(rows, seed):
    cohorts = np.array([name for name, _ in rows], dtype=object)
    y = np.array([event for _, event in rows], dtype=float)
    permuted = y[order_within_centres(cohorts, np.random.default_rng(seed))]
    for name in set(cohorts):
        assert permuted[cohorts == name].sum() == y[cohorts == name].sum()


def test_every_order_is_equally_likely():
    rng, y, cohorts = np.random.default_rng(0), np.array([1.0, 0, 0, 1, 0]), np.array(list("aaabb"), dtype=object)
    orders = [tuple(y[order_within_centres(cohorts, rng)]) for _ in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 3 * 2
    assert chisquare(counts).pvalue > 0.01


def test_p_is_that_of_scipys_monte_carlo_test():
    rng = np.random.default_rng(1)
    values, best, observed_auroc = rng.normal(0.5, 0.05, 199), rng.normal(0.56, 0.04, 199), 0.58
    test = permutation_test(NullDistributions(ModelNull(values), best, 12), observed_auroc)
    for null, comparison in ((values, test.model), (best, test.best_of_all)):
        scipy_test = monte_carlo_test(
            [observed_auroc],
            lambda size, null=null: null.reshape(size),
            np.mean,
            n_resamples=199,
            alternative="greater",
        )
        assert comparison.p == pytest.approx(scipy_test.pvalue)
        assert (comparison.mean, comparison.sd) == pytest.approx((null.mean(), null.std(ddof=1)))
        assert comparison.percentile_95 == pytest.approx(np.sort(null)[[188, 189]].mean(), abs=0.002)
    assert test.models == 12
    assert test.best_of_all.p > test.model.p


def test_permutations_with_an_undefined_auroc_are_dropped():
    null = NullDistributions(ModelNull(np.array([0.4, np.nan, 0.6])), np.array([0.4, 0.5, 0.6]), 2)
    test = permutation_test(null, 0.5)
    assert (test.model.n, test.model.p, test.best_of_all.n) == (2, 2 / 3, 3)


def test_the_best_model_is_selected_in_each_permutation():
    nulls = {("a", ()): ModelNull(np.array([0.4, 0.7, np.nan])), ("b", ()): ModelNull(np.array([0.5, 0.6, 0.3]))}
    np.testing.assert_array_equal(best_model_null(nulls), [0.5, 0.7, 0.3])


def test_models_of_different_blocks_share_the_permutations(table):
    noisy = noise(table, seed=0)
    y, subset = outcome_vector(noisy, "objective_response"), np.arange(4, len(noisy))
    technical, permuted_outcomes = replace(CONFIG, blocks=("technical",)), []
    noisy = replace(noisy, technical=Block(("reads",), np.random.default_rng(1).normal(size=(len(noisy), 1))))

    def recording_folds(mask, outcomes):
        permuted_outcomes.append(outcomes)
        return two_folds(mask, outcomes)

    every_row = np.arange(len(y))
    competing = [(CONFIG, every_row), (technical, subset)]
    together = permutation_nulls(noisy, y, competing, recording_folds, Permutations(2, 3, **SERIAL))
    for all_rows, subset_rows in (permuted_outcomes[:2], permuted_outcomes[2:]):
        np.testing.assert_array_equal(all_rows[subset], subset_rows)
        assert (all_rows != y).any()
        for name in ("left", "right"):
            mask = (noisy.rows["cohort"] == name).to_numpy()
            assert all_rows[mask].sum() == y[mask].sum()
    assert (permuted_outcomes[0] != permuted_outcomes[2]).any()
    separate = nulls_of(noisy, y, 2, (technical,), seed=3, rows=subset) | nulls_of(noisy, y, 2, seed=3)
    assert set(together) == set(separate) == {("elastic_net", ("clinical",)), ("elastic_net", ("technical",))}
    for name, values in together.items():
        np.testing.assert_array_equal(values.values, separate[name].values)


def test_the_null_does_not_depend_on_the_workers_or_on_the_number_of_permutations(table):
    noisy, steps = noise(table, seed=1), []
    y = outcome_vector(noisy, "objective_response")
    name = ("elastic_net", ("clinical",))
    single = nulls_of(noisy, y, 3)[name].values
    double = nulls_of(noisy, y, 4, workers=Threads(2), on_step=lambda: steps.append(1))[name].values
    np.testing.assert_array_equal(single, double[:3])
    assert len(steps) == 4
    assert (nulls_of(noisy, y, 3, seed=1)[name].values != single).any()
    assert nulls_of(noisy, y, 0) == {}


def test_the_whole_pipeline_is_refitted(table):
    """A permutation's AUROC equals that of a validation with the permuted outcomes."""
    noisy = noise(table, seed=2)
    y = outcome_vector(noisy, "objective_response")
    (stream,) = np.random.SeedSequence(5).spawn(1)
    outcomes = y[order_within_centres(noisy.rows["centre"].to_numpy(dtype=object), np.random.default_rng(stream))]
    (aurocs,) = nulls_of(noisy, y, 1, seed=5).values()
    assert aurocs.values[0] == pytest.approx(observed(noisy, outcomes))


def test_a_strong_signal_exceeds_the_null(table):
    noisy = noise(table, seed=3)
    y = outcome_vector(noisy, "objective_response")
    informative = noisy.clinical.values + 1.5 * y[:, None]
    strong = replace(noisy, clinical=Block(noisy.clinical.names, informative))
    (null,) = nulls_of(strong, y, 9).values()
    assert permutation_test(NullDistributions(null, null.values, 1), observed(strong, y)).model.p == pytest.approx(0.1)
    assert null.values.max() < 0.8 < observed(strong, y)


def test_without_signal_p_is_uniform_and_the_null_is_centred_at_a_half(table, monkeypatch):
    """With four permutations p is 0.2, 0.4, 0.6, 0.8 or 1 with equal probability."""
    # A third of the grid takes a third of the time.
    monkeypatch.setattr(ElasticNet, "_l1_ratios", (0.5,))
    monkeypatch.setattr(
        ElasticNet, "settings", [setting for setting in ElasticNet.settings if setting["l1_ratio"] == 0.5]
    )
    p_values, null_aurocs = [], []
    for seed in range(20):
        noisy = noise(table, seed=100 + seed)
        y = outcome_vector(noisy, "objective_response")
        (null,) = nulls_of(noisy, y, 4, seed=seed).values()
        p_values.append(permutation_test(NullDistributions(null, null.values, 1), observed(noisy, y)).model.p)
        null_aurocs += null.values.tolist()
    counts = [sum(np.isclose(p_values, p)) for p in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert sum(counts) == len(p_values)
    assert chisquare(counts).pvalue > 0.01, counts
    assert np.mean(null_aurocs) == pytest.approx(0.5, abs=0.03)
