"""What must never cross a fold, and what inner validation may see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.landmark import Block, FeatureTable
from models.encoder import BlockEncoder
from models.families import FAMILIES
from training.metrics import auroc
from training.splits import inner_splits, left_out_cohorts, patient_folds, patient_groups
from training.validation import cohort_names, fit, folds, outcome_vector, validate


def by_visit(table: FeatureTable) -> FeatureTable:
    """Every patient three times, as rows by visit would have it."""
    return table.take(np.repeat(np.arange(len(table)), 3))


def two_cohorts(table: FeatureTable) -> FeatureTable:
    rows = table.rows.copy()
    rows["cohort"] = np.where(np.arange(len(rows)) % 3 == 0, "left", "right")
    about = next(iter(table.cohorts.values()))
    return replace(table, rows=rows, cohorts={"left": about, "right": about})


def test_a_patient_never_crosses_a_fold_outer_or_inner(table):
    visits = by_visit(table)
    y, groups = outcome_vector(visits, "objective_response"), patient_groups(visits.rows)
    for fold in folds(visits, y, n_folds=5, repeats=2, seed=0):
        assert not set(groups[fold.train]) & set(groups[fold.test])
        inner = visits.take(fold.train)
        inner_groups, inner_y = patient_groups(inner.rows), y[fold.train]
        splits = inner_splits(inner_y, inner_groups, cohort_names(inner), 5, 0)
        assert splits
        for train, test in splits:
            assert not set(inner_groups[train]) & set(inner_groups[test])


def test_patients_of_the_same_name_in_two_cohorts_are_two_patients(table):
    rows = two_cohorts(table).rows
    rows["patient"] = "P1"
    assert len(np.unique(patient_groups(rows))) == 2


def test_each_cohort_is_left_out_once_and_whole(table):
    both = two_cohorts(table)
    y = outcome_vector(both, "objective_response")
    found = dict(left_out_cohorts(cohort_names(both), y))
    assert set(found) == {"left", "right"}
    for name, (train, test) in found.items():
        assert (both.rows["cohort"].iloc[test] == name).all()
        assert (both.rows["cohort"].iloc[train] != name).all()
    assert {fold.name for fold in folds(both, y, 5, 1, 0) if fold.scheme == "loco"} == {"left", "right"}


def test_settings_are_chosen_by_cohort_where_there_are_three():
    y = np.tile([0.0, 1.0], 15)
    cohorts = np.repeat(np.array(["a", "b", "c"], dtype=object), 10)
    splits = inner_splits(y, np.arange(30), cohorts, 5, 0)
    assert [set(cohorts[test]) for _, test in splits] == [{"a"}, {"b"}, {"c"}]


def test_too_few_events_yield_no_fold():
    assert list(patient_folds(np.array([1.0, 0, 0, 0]), np.arange(4), 5, 0)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_left_out_labels_change_nothing_in_what_is_said_of_their_rows(table, family):
    """Whatever the left-out outcomes were, the fold's predictions are the same to the last digit."""
    y = outcome_vector(table, "objective_response")
    encoder, outer = BlockEncoder(("taxa", "clinical")), folds(table, y, 3, 1, 0)[:1]
    told = validate(table, y, encoder, [family], outer, n_folds=3, seed=0, done=lambda: None)[family][0]
    lied = y.copy()
    lied[outer[0].test] = 1 - lied[outer[0].test]
    other = validate(table, lied, encoder, [family], outer, n_folds=3, seed=0, done=lambda: None)[family][0]
    np.testing.assert_array_equal(told.margin, other.margin)
    np.testing.assert_array_equal(told.probability, other.probability)
    assert told.setting == other.setting


def test_a_left_out_row_changes_nothing_for_the_other_rows(table):
    y = outcome_vector(table, "objective_response")
    encoder, outer = BlockEncoder(("taxa",)), folds(table, y, 3, 1, 0)[:1]
    values = table.taxa.values.copy()
    values[outer[0].test[0]] = np.roll(values[outer[0].test[0]], 7)
    changed = replace(table, taxa=Block(table.taxa.names, values))
    one, two = (
        validate(t, y, encoder, ["elastic_net"], outer, n_folds=3, seed=0, done=lambda: None)["elastic_net"][0]
        for t in (table, changed)
    )
    np.testing.assert_array_equal(one.margin[1:], two.margin[1:])
    assert one.margin[0] != two.margin[0]


def test_the_same_seed_gives_the_same_numbers_and_a_planted_effect_is_found(table):
    y = outcome_vector(table, "objective_response")
    encoder, outer = BlockEncoder(("taxa",)), folds(table, y, 5, 1, 0)
    runs = [
        validate(table, y, encoder, ["elastic_net"], outer, n_folds=5, seed=0, done=lambda: None)["elastic_net"]
        for _ in range(2)
    ]
    for one, two in zip(*runs, strict=True):
        np.testing.assert_array_equal(one.margin, two.margin)
    margin = np.empty(len(y))
    for one in runs[0]:
        margin[one.fold.test] = one.margin
    assert auroc(y, margin)[0] > 0.6


def test_permuted_labels_have_no_skill(table):
    """The whole procedure, tuning and calibration included, on labels that mean nothing."""
    found = []
    for seed in range(8):
        y = np.random.default_rng(seed).permutation(outcome_vector(table, "objective_response"))
        margin = np.empty(len(y))
        outer = folds(table, y, 5, 1, seed)
        for one in validate(table, y, BlockEncoder(("taxa",)), ["elastic_net"], outer, n_folds=5, seed=seed,
                            done=lambda: None)["elastic_net"]:  # fmt: skip
            margin[one.fold.test] = one.margin
        found.append(auroc(y, margin)[0])
    # One AUROC of 60 patients has a standard error of about 0.075.
    assert 0.38 < np.mean(found) < 0.62


def test_too_few_events_to_tune_says_the_prevalence(table):
    few = table.take(np.arange(20))
    y = np.zeros(20)
    y[0] = 1
    fitted = fit(few, y, BlockEncoder(("taxa",)), ["elastic_net"], n_folds=5, seed=0)["elastic_net"]
    probability = fitted.calibration.probability(fitted.predictor.margin(fitted.encoder.transform(few)))
    np.testing.assert_allclose(probability, 1 / 20)
