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
    main_folds,
    outcome_vector,
    outer_folds,
    patient_folds,
    patient_groups,
)
from training.validation.held_out import validate
from training.workers import Threads

TAXA = FitConfig(("elastic_net",), ("taxa",), n_folds=3)


def by_visit(table: FeatureTable) -> FeatureTable:
    """Return a table with three rows of each patient, as of three visits."""
    return table.take(np.repeat(np.arange(len(table)), 3))


def assign_cohorts(table: FeatureTable, cohorts: tuple[str, ...], centre: tuple[str, ...] = ()) -> FeatureTable:
    """Return the table with its patients assigned to cohorts and centres in turn."""
    rows, place = table.rows.copy(), np.arange(len(table))
    rows["cohort"] = np.array(cohorts, dtype=object)[place % len(cohorts)]
    rows["centre"] = np.array(centre, dtype=object)[place % len(centre)] if centre else rows["cohort"]
    cohort = next(iter(table.cohorts.values()))
    return replace(table, rows=rows, cohorts=dict.fromkeys(cohorts, cohort))


def held_out_margins(table, y, config, outer, **options):
    margins = np.full(len(y), np.nan)
    for prediction in validate(table, y, config, outer, **options)[config.families[0]].held_out:
        margins[prediction.fold.test] = prediction.margin
    return margins


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
    rows = assign_cohorts(table, ("left", "right")).rows
    rows["patient"] = "P1"
    assert len(np.unique(patient_groups(rows))) == 2


def test_each_cohort_is_held_out_once_with_all_its_rows(table):
    two_cohorts = assign_cohorts(table, ("left", "right", "right"))
    y = outcome_vector(two_cohorts, "objective_response")
    splits = dict(leave_one_cohort_out(loco_groups(two_cohorts.rows), y))
    assert set(splits) == {"left", "right"}
    for name, (train, test) in splits.items():
        assert (two_cohorts.rows["cohort"].iloc[test] == name).all()
        assert (two_cohorts.rows["cohort"].iloc[train] != name).all()
    assert {fold.name for fold in outer_folds(two_cohorts, y, 5, 1, 0) if fold.scheme == "loco"} == {"left", "right"}
    assert [fold.name for fold in main_folds(two_cohorts, y, 5, 0)] == ["left", "right"]


def test_evidence_rests_on_patients_where_no_cohort_can_be_held_out(table):
    table = assign_cohorts(table, ("one",))
    y = outcome_vector(table, "objective_response")
    folds, outer = main_folds(table, y, 3, 7), outer_folds(table, y, 3, 2, 7)
    assert [(fold.scheme, fold.test.tolist()) for fold in folds] == [("cv", fold.test.tolist()) for fold in outer[:3]]


def test_one_study_is_divided_by_centre_and_several_studies_by_study(table):
    alone = assign_cohorts(table, ("study",), ("study/north", "study/south"))
    assert set(loco_groups(alone.rows)) == {"study/north", "study/south"}
    several = assign_cohorts(table, ("study", "other"), ("study/north", "other", "study/south", "other"))
    assert set(loco_groups(several.rows)) == {"study", "other"}
    assert set(centres(several.rows)) == {"study/north", "study/south", "other"}


def test_inner_validation_leaves_out_cohorts_where_there_are_three(table):
    three = assign_cohorts(table.take(np.arange(30)), ("a", "b", "c"))
    splits = inner_splits(three.rows, np.tile([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 5), 5, 0)
    assert [set(three.rows["cohort"].iloc[test]) for _, test in splits] == [{"a"}, {"b"}, {"c"}]


def test_too_few_events_yield_no_fold():
    assert list(patient_folds(np.array([1.0, 0, 0, 0]), np.arange(4), 5, 0)) == []


@pytest.mark.parametrize("selection", ["average", "inner"])
@pytest.mark.parametrize("cohorts", [("one",), ("a", "b", "c")], ids=["by patient", "by cohort"])
@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_do_not_depend_on_held_out_outcomes(table, family, cohorts, selection):
    """A fold's predictions are identical when its held-out outcomes are flipped."""
    table = assign_cohorts(table, cohorts)
    y = outcome_vector(table, "objective_response")
    config = FitConfig((family,), ("taxa", "clinical"), n_folds=3, selection=selection)
    folds = outer_folds(table, y, 3, 1, 0)
    outer = [fold for fold in folds if fold.scheme == folds[-1].scheme]
    changed_y = y.copy()
    changed_y[outer[-1].test] = 1 - changed_y[outer[-1].test]
    original, after_change = (validate(table, labels, config, outer)[family].held_out[-1] for labels in (y, changed_y))
    np.testing.assert_array_equal(original.margin, after_change.margin)
    np.testing.assert_array_equal(original.probability, after_change.probability)
    assert original.inner_validation.points == after_change.inner_validation.points


def test_a_held_out_row_does_not_change_the_predictions_of_other_rows(table):
    y = outcome_vector(table, "objective_response")
    outer = outer_folds(table, y, 3, 1, 0)[1:2]
    values = table.taxa.values.copy()
    values[outer[0].test[0]] = np.roll(values[outer[0].test[0]], 7)
    changed_table = replace(table, taxa=Block(table.taxa.names, values))
    original, after_change = (validate(t, y, TAXA, outer)["elastic_net"].held_out[0] for t in (table, changed_table))
    np.testing.assert_array_equal(original.margin[1:], after_change.margin[1:])
    assert original.margin[0] != after_change.margin[0]


def test_without_calibration_an_average_ranks_each_fold_alike(table):
    table = assign_cohorts(table, ("a", "b", "c"))
    y = outcome_vector(table, "objective_response")
    config = FitConfig(("elastic_net",), ("taxa", "clinical"), ("clr", "presence"), n_folds=3)
    outer = [fold for fold in outer_folds(table, y, 3, 1, 0) if fold.scheme == "loco"]
    calibrated, ranked = (
        validate(table, y, config, outer, calibrate=flag)["elastic_net"].held_out for flag in (True, False)
    )
    for with_inner_fits, without_inner_fits in zip(calibrated, ranked, strict=True):
        assert with_inner_fits.inner_validation.calibration.slope > 0
        np.testing.assert_allclose(with_inner_fits.margin, without_inner_fits.margin, atol=1e-12)
        np.testing.assert_array_equal(
            np.argsort(with_inner_fits.probability, kind="stable"), np.argsort(with_inner_fits.margin, kind="stable")
        )


def test_folds_of_one_repeat_calibrate_each_other_and_share_their_fits(table):
    """Of k folds there are k fits, and one more for each pair."""
    y = outcome_vector(table, "objective_response")
    outer, jobs = [fold for fold in outer_folds(table, y, 4, 2, 0) if fold.scheme == "cv"], []
    validate(table, y, TAXA, outer, on_start=jobs.append)
    assert jobs == [2 * (4 + 6)]
    validate(table, y, TAXA, outer, calibrate=False, on_start=jobs.append)
    assert jobs[-1] == 2 * 4


def test_an_average_is_served_as_it_was_held_out(table):
    """The fit to the training rows of a fold gives the held-out log-odds of the fold."""
    y = outcome_vector(table, "objective_response")
    config = FitConfig(("elastic_net",), ("taxa", "clinical"), ("clr", "rank", "genus_presence"), n_folds=3)
    fold = outer_folds(table, y, 3, 1, 0)[0]
    (held_out,) = validate(table, y, config, [fold])["elastic_net"].held_out
    train = np.sort(fold.train)
    fit = validate(table.take(train), y[train], config, [], refit=True)["elastic_net"].fit
    margin = fit.predictor.margin(fit.encoder.transform(table.take(fold.test)))
    np.testing.assert_allclose(margin, held_out.margin, atol=1e-9)


def test_the_same_seed_gives_the_same_numbers_on_one_worker_and_on_two(table):
    table = assign_cohorts(table, ("a", "b", "c"))
    y = outcome_vector(table, "objective_response")
    config = FitConfig(tuple(FAMILIES), ("taxa", "clinical"), ("clr", "presence"), n_folds=3)
    outer = outer_folds(table, y, 3, 1, 0)
    runs = [validate(table, y, config, outer, refit=True, workers=Threads(workers)) for workers in (1, 2)]
    for family in FAMILIES:
        single, double = (run[family] for run in runs)
        for a, b in zip(single.held_out, double.held_out, strict=True):
            np.testing.assert_array_equal(a.margin, b.margin)
            np.testing.assert_array_equal(a.probability, b.probability)
        assert single.fit.setting == double.fit.setting
        assert single.fit.calibration == double.fit.calibration


def test_a_fold_has_the_same_predictions_alone_and_among_others(table):
    """Folds share grids by training rows, which does not change their predictions."""
    table = assign_cohorts(table, ("a", "b", "c", "d"))
    y = outcome_vector(table, "objective_response")
    outer = [fold for fold in outer_folds(table, y, 3, 1, 0) if fold.scheme == "loco"]
    shared = held_out_margins(table, y, TAXA, outer)
    for fold in outer:
        alone = held_out_margins(table, y, TAXA, [fold])[fold.test]
        # Predicting more rows at once may round the last digit differently.
        np.testing.assert_allclose(shared[fold.test], alone, rtol=1e-12, atol=1e-12)


def test_a_planted_effect_is_found(table):
    y = outcome_vector(table, "objective_response")
    assert auroc(y, held_out_margins(table, y, TAXA, outer_folds(table, y, 5, 1, 0)))[0] > 0.6


def test_the_fit_to_every_row_is_the_weighted_sum_of_its_parts(table):
    y = outcome_vector(table, "objective_response")
    config = FitConfig(("elastic_net",), ("taxa", "clinical"), n_folds=3, selection="inner")
    fit = validate(table, y, config, [], refit=True)["elastic_net"].fit
    margin = fit.predictor.margin(fit.encoder.transform(table))
    assert margin.mean() == pytest.approx(0, abs=1e-9)
    assert {"taxa.weight", "clinical.weight", "representation"} <= set(fit.setting)
    single_block_fits = [
        validate(table, y, replace(config, blocks=(block,)), [], refit=True) for block in config.blocks
    ]
    taxa, clinical = (part["elastic_net"].fit for part in single_block_fits)
    sum_of_parts = sum(
        fit.setting[f"{block}.weight"] / part.setting["weight"] * part.predictor.margin(part.encoder.transform(table))
        for block, part in (("taxa", taxa), ("clinical", clinical))
        if part.setting["weight"]
    )
    np.testing.assert_allclose(margin, sum_of_parts, rtol=1e-3, atol=1e-3)


def test_a_marker_of_the_cohort_does_not_enter_the_model(table):
    """A taxon that only separates cohorts of high prevalence from cohorts of low prevalence has no effect."""
    table = assign_cohorts(table, ("a", "b", "c"))
    prevalence = table.rows["cohort"].map({"a": 0.9, "b": 0.5, "c": 0.1}).to_numpy(dtype=float)
    y = (np.random.default_rng(0).random(len(table)) < prevalence).astype(float)
    taxa = np.column_stack([prevalence + 1e-3, np.full((len(table), 3), 0.2)])
    batch = replace(table, taxa=Block(("Batch_marker", "A_a", "B_b", "C_c"), taxa))
    for family in FAMILIES:
        config = FitConfig((family,), ("taxa",), n_folds=3)
        validated = validate(batch, y, config, [f for f in outer_folds(batch, y, 3, 1, 0) if f.scheme == "loco"])[
            family
        ]
        for prediction in validated.held_out:
            assert np.ptp(prediction.margin) == pytest.approx(0, abs=1e-9)


def test_fold_attributions_list_the_features_with_a_contribution(table):
    y = outcome_vector(table, "objective_response")
    held_out = validate(table, y, TAXA, outer_folds(table, y, 3, 1, 0))["elastic_net"].held_out
    attributions = list(fold_attributions(table, y, TAXA, held_out, "elastic_net"))
    assert len(attributions) == len(held_out)
    assert any(attributions)
    for fold_attribution in attributions:
        assert all(block == "taxa" and size > 0 for (block, _), size in fold_attribution.items())


def test_with_too_few_events_to_tune_every_probability_is_the_prevalence(table):
    small = table.take(np.arange(20))
    y = np.zeros(20)
    y[0] = 1
    fit = validate(small, y, TAXA, [], refit=True)["elastic_net"].fit
    probability = fit.calibration.probability(fit.predictor.margin(fit.encoder.transform(small)))
    np.testing.assert_allclose(probability, 1 / 20)
