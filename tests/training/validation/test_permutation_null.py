"""The refitted null: what it is made of, and that it is level where there is nothing to find."""

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
from training.evidence.evidence import scores
from training.validation.config import FitConfig
from training.validation.folds import outcome_vector, outer_folds
from training.validation.held_out import validate
from training.validation.permutation_null import (
    NullDistributions,
    best_model_null,
    permutation_nulls,
    permute_within_centres,
)

PLAN = FitConfig(("elastic_net",), ("clinical",), n_folds=2)
EACH = {"workers": 1, "on_step": lambda: None}


def noise(table: FeatureTable, seed: int, n: int = 100, n_columns: int = 4) -> FeatureTable:
    """Patients of two cohorts, with covariates and outcomes that have nothing to do with each other."""
    rng, place = np.random.default_rng(seed), np.arange(n)
    table, cohorts = table.take(place % len(table)), np.where(place % 2, "left", "right")
    rows = pd.DataFrame({"cohort": cohorts, "centre": cohorts, "patient": place.astype(str)})
    rows["objective_response"] = rng.permutation(place % 5 < 2)
    clinical = Block(tuple(f"column {i}" for i in range(n_columns)), rng.normal(size=(n, n_columns)))
    return replace(table, rows=rows, clinical=clinical)


def two_folds(table, y):
    return outer_folds(table, y, 2, 1, 0)[:2]


def observed(table, y, plan=PLAN):
    found = validate(table, y, plan, two_folds(table, y), workers=1)["elastic_net"].held_out
    return scores(table, y, found, "cv").aurocs[0]


def null_of(table, y, n, plans=(PLAN,), seed=0, rows=None, **options):
    everything = np.arange(len(y))
    competing = [(plan, everything if rows is None else rows) for plan in plans]
    return permutation_nulls(table, y, competing, two_folds, n=n, seed=seed, **{**EACH, **options})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=30), st.integers(0, 99))
def test_outcomes_change_places_within_cohorts_alone(rows, seed):
    cohorts = np.array([name for name, _ in rows], dtype=object)
    y = np.array([event for _, event in rows], dtype=float)
    found = permute_within_centres(y, cohorts, np.random.default_rng(seed))
    for name in set(cohorts):
        assert found[cohorts == name].sum() == y[cohorts == name].sum()


def test_every_order_is_as_likely():
    rng, y, cohorts = np.random.default_rng(0), np.array([1.0, 0, 0, 1, 0]), np.array(list("aaabb"), dtype=object)
    orders = [tuple(permute_within_centres(y, cohorts, rng)) for _ in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 3 * 2
    assert chisquare(counts).pvalue > 0.01


def test_p_is_that_of_scipys_monte_carlo_test():
    rng = np.random.default_rng(1)
    values, best, found = rng.normal(0.5, 0.05, 199), rng.normal(0.56, 0.04, 199), 0.58
    said = NullDistributions(values, best, 12).summary(found)
    for null, beside in ((values, said), (best, said["best_of"])):
        drawn = monte_carlo_test(
            [found], lambda size, null=null: null.reshape(size), np.mean, n_resamples=199, alternative="greater"
        )
        assert beside["p"] == pytest.approx(drawn.pvalue)
        assert (beside["null_mean"], beside["null_sd"]) == pytest.approx((null.mean(), null.std(ddof=1)))
        assert beside["null_95"] == pytest.approx(np.sort(null)[[188, 189]].mean(), abs=0.002)
    assert said["best_of"]["models"] == 12
    assert said["best_of"]["p"] > said["p"]


def test_a_permutation_that_could_not_be_measured_does_not_count():
    said = NullDistributions(np.array([0.4, np.nan, 0.6]), np.array([0.4, 0.5, 0.6]), 2).summary(0.5)
    assert (said["n"], said["p"], said["best_of"]["n"]) == (2, 2 / 3, 3)


def test_the_best_is_the_best_of_each_permutation():
    found = {("a", ()): np.array([0.4, 0.7, np.nan]), ("b", ()): np.array([0.5, 0.6, 0.3])}
    np.testing.assert_array_equal(best_model_null(found), [0.5, 0.7, 0.3])


def test_sets_of_blocks_meet_the_same_permutations_and_do_not_disturb_each_other(table):
    noisy = noise(table, seed=0)
    y, some = outcome_vector(noisy, "objective_response"), np.arange(4, len(noisy))
    taxa, met = replace(PLAN, blocks=("technical",)), []
    noisy = replace(noisy, technical=Block(("reads",), np.random.default_rng(1).normal(size=(len(noisy), 1))))

    def noting(mine, outcomes):
        met.append(outcomes)
        return two_folds(mine, outcomes)

    everything = np.arange(len(y))
    both = permutation_nulls(noisy, y, [(PLAN, everything), (taxa, some)], noting, n=2, seed=3, **EACH)
    for whole, part in (met[:2], met[2:]):
        np.testing.assert_array_equal(whole[some], part)
        assert (whole != y).any()
        for name in ("left", "right"):
            mine = (noisy.rows["cohort"] == name).to_numpy()
            assert whole[mine].sum() == y[mine].sum()
    assert (met[0] != met[2]).any()
    alone = null_of(noisy, y, 2, (taxa,), seed=3, rows=some) | null_of(noisy, y, 2, seed=3)
    assert set(both) == set(alone) == {("elastic_net", ("clinical",)), ("elastic_net", ("technical",))}
    for name, values in both.items():
        np.testing.assert_array_equal(values, alone[name])


def test_the_same_null_on_one_worker_and_on_two_and_the_first_of_more(table):
    noisy, told = noise(table, seed=1), []
    y = outcome_vector(noisy, "objective_response")
    name = ("elastic_net", ("clinical",))
    one = null_of(noisy, y, 3)[name]
    two = null_of(noisy, y, 4, workers=2, on_step=lambda: told.append(1))[name]
    np.testing.assert_array_equal(one, two[:3])
    assert len(told) == 4
    assert (null_of(noisy, y, 3, seed=1)[name] != one).any()
    assert null_of(noisy, y, 0) == {}


def test_the_whole_pipeline_is_refitted(table):
    """A permutation's AUROC is what anyone would find who was given the permuted outcomes in good faith."""
    noisy = noise(table, seed=2)
    y = outcome_vector(noisy, "objective_response")
    (stream,) = np.random.SeedSequence(5).spawn(1)
    outcomes = permute_within_centres(y, noisy.rows["centre"].to_numpy(dtype=object), np.random.default_rng(stream))
    (found,) = null_of(noisy, y, 1, seed=5).values()
    assert found[0] == pytest.approx(observed(noisy, outcomes))


def test_what_is_there_is_found(table):
    noisy = noise(table, seed=3)
    y = outcome_vector(noisy, "objective_response")
    told = noisy.clinical.values + 1.5 * y[:, None]
    strong = replace(noisy, clinical=Block(noisy.clinical.names, told))
    (values,) = null_of(strong, y, 9).values()
    assert NullDistributions(values, values, 1).summary(observed(strong, y))["p"] == pytest.approx(0.1)
    assert values.max() < 0.8 < observed(strong, y)


def test_where_there_is_nothing_every_p_is_as_likely_and_the_null_is_at_a_half(table, monkeypatch):
    """With four permutations p is 0.2, 0.4, 0.6, 0.8 or 1, each in one table of five."""
    # A third of the grid takes a third of the time.
    monkeypatch.setattr(ElasticNet, "_l1_ratios", (0.5,))
    monkeypatch.setattr(ElasticNet, "settings", [one for one in ElasticNet.settings if one["l1_ratio"] == 0.5])
    found, drawn = [], []
    for seed in range(20):
        noisy = noise(table, seed=100 + seed)
        y = outcome_vector(noisy, "objective_response")
        (values,) = null_of(noisy, y, 4, seed=seed).values()
        found.append(NullDistributions(values, values, 1).summary(observed(noisy, y))["p"])
        drawn += values.tolist()
    counts = [sum(np.isclose(found, p)) for p in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert sum(counts) == len(found)
    assert chisquare(counts).pvalue > 0.01, counts
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.03)
