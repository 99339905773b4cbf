"""What must never cross a fold, and what inner validation may see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.feature_table import Block, FeatureTable
from models.families import FAMILIES
from training.statistics.metrics import auroc
from training.validation.config import FitConfig
from training.validation.fold_attributions import fold_attributions
from training.validation.folds import (
    centres,
    inner_splits,
    leave_one_cohort_out,
    loco_groups,
    outcome_vector,
    outer_folds,
    patient_folds,
    patient_groups,
)
from training.validation.held_out import validate

TAXA = FitConfig(("elastic_net",), ("taxa",), n_folds=3)


def by_visit(table: FeatureTable) -> FeatureTable:
    """Every patient three times, as rows by visit would have it."""
    return table.take(np.repeat(np.arange(len(table)), 3))


def parted(table: FeatureTable, cohorts: tuple[str, ...], centre: tuple[str, ...] = ()) -> FeatureTable:
    """The same patients, dealt out to cohorts and centres in turn."""
    rows, place = table.rows.copy(), np.arange(len(table))
    rows["cohort"] = np.array(cohorts, dtype=object)[place % len(cohorts)]
    rows["centre"] = np.array(centre, dtype=object)[place % len(centre)] if centre else rows["cohort"]
    about = next(iter(table.cohorts.values()))
    return replace(table, rows=rows, cohorts=dict.fromkeys(cohorts, about))


def left_out_margins(table, y, plan, outer, **options):
    found = np.full(len(y), np.nan)
    for one in validate(table, y, plan, outer, **options)[plan.families[0]].held_out:
        found[one.fold.test] = one.margin
    return found


def test_a_patient_never_crosses_a_fold_outer_or_inner(table):
    visits = by_visit(table)
    y, groups = outcome_vector(visits, "objective_response"), patient_groups(visits.rows)
    for fold in outer_folds(visits, y, n_folds=5, repeats=2, seed=0):
        assert not set(groups[fold.train]) & set(groups[fold.test])
        inner = visits.take(fold.train)
        inner_groups = patient_groups(inner.rows)
        splits = inner_splits(inner.rows, y[fold.train], 5, 0)
        assert splits
        for train, test in splits:
            assert not set(inner_groups[train]) & set(inner_groups[test])


def test_patients_of_the_same_name_in_two_cohorts_are_two_patients(table):
    rows = parted(table, ("left", "right")).rows
    rows["patient"] = "P1"
    assert len(np.unique(patient_groups(rows))) == 2


def test_each_cohort_is_left_out_once_and_whole(table):
    both = parted(table, ("left", "right", "right"))
    y = outcome_vector(both, "objective_response")
    found = dict(leave_one_cohort_out(loco_groups(both.rows), y))
    assert set(found) == {"left", "right"}
    for name, (train, test) in found.items():
        assert (both.rows["cohort"].iloc[test] == name).all()
        assert (both.rows["cohort"].iloc[train] != name).all()
    assert {fold.name for fold in outer_folds(both, y, 5, 1, 0) if fold.scheme == "loco"} == {"left", "right"}


def test_centres_of_one_study_are_left_out_and_a_study_among_several_goes_with_all_its_centres(table):
    alone = parted(table, ("study",), ("study/north", "study/south"))
    assert set(loco_groups(alone.rows)) == {"study/north", "study/south"}
    several = parted(table, ("study", "other"), ("study/north", "other", "study/south", "other"))
    assert set(loco_groups(several.rows)) == {"study", "other"}
    assert set(centres(several.rows)) == {"study/north", "study/south", "other"}


def test_settings_are_chosen_by_cohort_where_there_are_three(table):
    three = parted(table.take(np.arange(30)), ("a", "b", "c"))
    splits = inner_splits(three.rows, np.tile([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 5), 5, 0)
    assert [set(three.rows["cohort"].iloc[test]) for _, test in splits] == [{"a"}, {"b"}, {"c"}]


def test_too_few_events_yield_no_fold():
    assert list(patient_folds(np.array([1.0, 0, 0, 0]), np.arange(4), 5, 0)) == []


@pytest.mark.parametrize("cohorts", [("one",), ("a", "b", "c")], ids=["by patient", "by cohort"])
@pytest.mark.parametrize("family", FAMILIES)
def test_left_out_labels_change_nothing_in_what_is_said_of_their_rows(table, family, cohorts):
    """Whatever the left-out outcomes were, the fold's predictions are the same to the last digit."""
    table = parted(table, cohorts)
    y = outcome_vector(table, "objective_response")
    plan = FitConfig((family,), ("taxa", "clinical"), n_folds=3)
    outer = [outer_folds(table, y, 3, 1, 0)[-1]]
    lied = y.copy()
    lied[outer[0].test] = 1 - lied[outer[0].test]
    told, other = (validate(table, labels, plan, outer)[family].held_out[0] for labels in (y, lied))
    np.testing.assert_array_equal(told.margin, other.margin)
    np.testing.assert_array_equal(told.probability, other.probability)
    assert told.choice.points == other.choice.points


def test_a_left_out_row_changes_nothing_for_the_other_rows(table):
    y = outcome_vector(table, "objective_response")
    outer = outer_folds(table, y, 3, 1, 0)[1:2]
    values = table.taxa.values.copy()
    values[outer[0].test[0]] = np.roll(values[outer[0].test[0]], 7)
    changed = replace(table, taxa=Block(table.taxa.names, values))
    one, two = (validate(t, y, TAXA, outer)["elastic_net"].held_out[0] for t in (table, changed))
    np.testing.assert_array_equal(one.margin[1:], two.margin[1:])
    assert one.margin[0] != two.margin[0]


def test_the_same_seed_gives_the_same_numbers_on_one_worker_and_on_two(table):
    table = parted(table, ("a", "b", "c"))
    y = outcome_vector(table, "objective_response")
    plan = FitConfig(tuple(FAMILIES), ("taxa", "clinical"), ("clr", "presence"), n_folds=3)
    outer = outer_folds(table, y, 3, 1, 0)
    runs = [validate(table, y, plan, outer, refit=True, workers=workers) for workers in (1, 2)]
    for family in FAMILIES:
        one, two = (run[family] for run in runs)
        for left, right in zip(one.held_out, two.held_out, strict=True):
            np.testing.assert_array_equal(left.margin, right.margin)
            np.testing.assert_array_equal(left.probability, right.probability)
        assert one.fit.setting == two.fit.setting
        assert one.fit.calibration == two.fit.calibration


def test_a_fold_of_cohorts_is_what_its_own_rows_alone_would_give(table):
    """Work is shared between folds by training rows; done for one fold alone, the answers are the same."""
    table = parted(table, ("a", "b", "c", "d"))
    y = outcome_vector(table, "objective_response")
    outer = [fold for fold in outer_folds(table, y, 3, 1, 0) if fold.scheme == "loco"]
    shared = left_out_margins(table, y, TAXA, outer)
    for fold in outer:
        alone = left_out_margins(table, y, TAXA, [fold])[fold.test]
        # More rows asked at once may round the last digit otherwise.
        np.testing.assert_allclose(shared[fold.test], alone, rtol=1e-12, atol=1e-12)


def test_a_planted_effect_is_found(table):
    y = outcome_vector(table, "objective_response")
    assert auroc(y, left_out_margins(table, y, TAXA, outer_folds(table, y, 5, 1, 0)))[0] > 0.6


def test_the_fit_to_all_rows_says_what_its_parts_add_up_to(table):
    y = outcome_vector(table, "objective_response")
    plan = FitConfig(("elastic_net",), ("taxa", "clinical"), n_folds=3)
    fitted = validate(table, y, plan, [], refit=True)["elastic_net"].fit
    margin = fitted.predictor.margin(fitted.encoder.transform(table))
    assert margin.mean() == pytest.approx(0, abs=1e-9)
    assert {"taxa.weight", "clinical.weight", "representation"} <= set(fitted.setting)
    alone = [validate(table, y, replace(plan, blocks=(block,)), [], refit=True) for block in plan.blocks]
    taxa, clinical = (one["elastic_net"].fit for one in alone)
    expected = sum(
        fitted.setting[f"{block}.weight"] / one.setting["weight"] * one.predictor.margin(one.encoder.transform(table))
        for block, one in (("taxa", taxa), ("clinical", clinical))
        if one.setting["weight"]
    )
    np.testing.assert_allclose(margin, expected, rtol=1e-3, atol=1e-3)


def test_a_cohorts_prevalence_teaches_nothing(table):
    """A taxon that only tells cohorts of many from cohorts of few responders gets no say."""
    table = parted(table, ("a", "b", "c"))
    often = table.rows["cohort"].map({"a": 0.9, "b": 0.5, "c": 0.1}).to_numpy(dtype=float)
    y = (np.random.default_rng(0).random(len(table)) < often).astype(float)
    taxa = np.column_stack([often + 1e-3, np.full((len(table), 3), 0.2)])
    batch = replace(table, taxa=Block(("Batch_marker", "A_a", "B_b", "C_c"), taxa))
    for family in FAMILIES:
        plan = FitConfig((family,), ("taxa",), n_folds=3)
        found = validate(batch, y, plan, [f for f in outer_folds(batch, y, 3, 1, 0) if f.scheme == "loco"])[family]
        for one in found.held_out:
            assert np.ptp(one.margin) == pytest.approx(0, abs=1e-9)


def test_features_used_are_those_with_a_contribution(table):
    y = outcome_vector(table, "objective_response")
    found = validate(table, y, TAXA, outer_folds(table, y, 3, 1, 0))["elastic_net"].held_out
    used = list(fold_attributions(table, y, TAXA, found, "elastic_net"))
    assert len(used) == len(found)
    assert any(used)
    for one in used:
        assert all(block == "taxa" and size > 0 for (block, _), size in one.items())


def test_too_few_events_to_tune_says_the_prevalence(table):
    few = table.take(np.arange(20))
    y = np.zeros(20)
    y[0] = 1
    fitted = validate(few, y, TAXA, [], refit=True)["elastic_net"].fit
    probability = fitted.calibration.probability(fitted.predictor.margin(fitted.encoder.transform(few)))
    np.testing.assert_allclose(probability, 1 / 20)
