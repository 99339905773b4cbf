"""Held-out time-to-event predictions on simulated trials, with and without an effect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.cohort import read_cohort
from features.feature_table import Block
from features.landmark import landmark_table
from features.survival import EVENT
from models.encoder import BlockEncoder
from taxokine.simulation import Trial, simulate_trial
from training.statistics.survival_families import SURVIVAL_FAMILIES
from training.statistics.survival_metrics import harrell_c
from training.survival.eligibility import rows_at_risk
from training.validation.folds import Fold, loco_groups, outer_folds, patient_groups
from training.validation.held_out_times import HORIZONS, SurvivalFitConfig, validate_survival
from training.validation.survival_scores import RepeatPredictions, predictions_by_repeat, survival_scores
from training.workers import Threads

ENCODER = BlockEncoder(("taxa",))


def simulated(folder: Path, outcome: str = "overall_survival", **parameters: object):
    """Return a simulated trial's rows at risk, and their times."""
    cohort = read_cohort(simulate_trial(folder, Trial(visits=(-7,), **parameters)), folder)
    table, y, _ = rows_at_risk([cohort], landmark_table(cohort), outcome)
    return table, y


@pytest.fixture(scope="module")
def trial_with_effect(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("planted") / "trial", n_patients=120, n_taxa=40, seed=1)


def survival_folds(table, y, n_folds=3, repeats=1):
    return outer_folds(table, (y[:, 1] == EVENT).astype(float), n_folds, repeats, 0)


def validate_taxa(table, y, n_folds=3, outer=None):
    outer = survival_folds(table, y, n_folds) if outer is None else outer
    return validate_survival(table, y, SurvivalFitConfig(ENCODER, n_folds=3, seed=0), outer)


def test_each_family_finds_a_simulated_effect(trial_with_effect):
    table, y = trial_with_effect
    cohorts = loco_groups(table.rows)
    for held_out in validate_taxa(table, y).values():
        for scheme in ("cv", "loco"):
            scores = survival_scores(
                y,
                cohorts,
                predictions_by_repeat([prediction for prediction in held_out if prediction.fold.scheme == scheme]),
            )
            assert scores["c"].low > 0.5
            assert scores["c"].value > 0.6
            assert scores["auroc_12m"].value > 0.6
            assert scores["brier_skill_12m"].value > 0


def test_without_effect_there_is_no_skill(tmp_path):
    scores = {family: [] for family in SURVIVAL_FAMILIES}
    for seed in range(3):
        table, y = simulated(tmp_path / str(seed), n_patients=80, n_taxa=30, effect=0.0, seed=seed)
        cohorts = np.full(len(y), "all", dtype=object)
        cv = [fold for fold in survival_folds(table, y) if fold.scheme == "cv"]
        for family, held_out in validate_taxa(table, y, outer=cv).items():
            scores[family].append(survival_scores(y, cohorts, predictions_by_repeat(held_out)))
    for family_scores in scores.values():
        # A C of 80 patients has a standard error of about 0.045.
        assert abs(np.mean([score["c"].value for score in family_scores]) - 0.5) < 0.07
        assert np.mean([score["brier_skill_12m"].value for score in family_scores]) < 0.03


def test_log_hazards_of_different_folds_are_not_ranked_against_each_other():
    """A fold's log-hazards have their own baseline: a shift between folds neither adds nor costs concordance."""
    rng, n = np.random.default_rng(0), 60
    margin, rows = rng.normal(size=n), np.arange(n)
    y = np.column_stack([rng.exponential(np.exp(-margin)), np.full(n, EVENT)])
    folds, cohorts = rows % 3, np.full(n, "all", dtype=object)
    risk = np.full((n, len(HORIZONS)), 0.5)
    by_fold = [harrell_c(y[folds == fold], margin[folds == fold])[0] for fold in range(3)]
    for shifts in (0.0, 10.0 * folds, -10.0 * folds):
        predictions = RepeatPredictions(rows, folds, margin + shifts, risk, risk)
        scores = survival_scores(y, cohorts, [predictions])
        # Folds of as many patients have as many pairs here, where everyone has the event.
        assert scores["c"].value == pytest.approx(np.mean(by_fold))


def test_intervals_cover_the_truth(tmp_path):
    """Score the true log-hazard in each 120 of 2400 simulated patients, against its concordance in all of them."""
    folder = tmp_path / "trial"
    table, y = simulated(folder, n_patients=2400, n_taxa=30, seed=2)
    truth = pd.read_csv(folder / "truth.csv", index_col="patient")["survival_log_hazard_ratio"]
    margin = truth[table.rows["patient"]].to_numpy()
    true_c = np.mean([harrell_c(y[i::4], margin[i::4])[0] for i in range(4)])
    covered = []
    for rows in np.array_split(np.arange(len(y)), 20):
        risk = np.full((len(rows), len(HORIZONS)), 0.5)
        predictions = RepeatPredictions(np.arange(len(rows)), np.zeros(len(rows), dtype=int), margin[rows], risk, risk)
        c = survival_scores(y[rows], np.full(len(rows), "all", dtype=object), [predictions])["c"]
        covered.append(c.low <= true_c <= c.high)
    assert true_c > 0.65
    assert sum(covered) >= 17


def test_predictions_do_not_depend_on_held_out_times(trial_with_effect):
    table, y = trial_with_effect
    outer = survival_folds(table, y)[:1]
    changed_y = y.copy()
    changed_y[outer[0].test] = np.random.default_rng(0).permutation(changed_y[outer[0].test])
    original, after_change = validate_taxa(table, y, outer=outer), validate_taxa(table, changed_y, outer=outer)
    for family in SURVIVAL_FAMILIES:
        for attribute in ("margin", "risk", "average"):
            np.testing.assert_array_equal(
                getattr(original[family][0], attribute), getattr(after_change[family][0], attribute)
            )
        assert original[family][0].setting == after_change[family][0].setting


def test_a_held_out_row_does_not_change_the_predictions_of_other_rows(trial_with_effect):
    table, y = trial_with_effect
    outer = survival_folds(table, y)[:1]
    values = table.taxa.values.copy()
    values[outer[0].test[0]] = np.roll(values[outer[0].test[0]], 7)
    changed_table = replace(table, taxa=Block(table.taxa.names, values))
    original, after_change = (validate_taxa(t, y, outer=outer)["cox_elastic_net"][0] for t in (table, changed_table))
    np.testing.assert_array_equal(original.margin[1:], after_change.margin[1:])
    assert original.margin[0] != after_change.margin[0]


def test_a_patient_never_crosses_a_fold(trial_with_effect):
    table, y = trial_with_effect
    visits, times = table.take(np.repeat(np.arange(len(table)), 2)), np.repeat(y, 2, axis=0)
    groups = patient_groups(visits.rows)
    folds = []
    for fold in survival_folds(visits, times):
        assert not set(groups[fold.train]) & set(groups[fold.test])
        folds.append(fold)
    inner = []

    class Spy(BlockEncoder):
        def fit_transform(self, table, y=None):
            inner.append(set(table.rows["patient"]))
            return super().fit_transform(table, y)

        def transform(self, table):
            assert not inner[-1] & set(table.rows["patient"])
            return super().transform(table)

    # One fold, so that one thread fits and transforms in turn.
    validate_survival(visits, times, SurvivalFitConfig(Spy(("taxa",)), n_folds=3, seed=0), folds[:1])
    assert len(inner) == 1 + visits.rows["centre"].nunique()


def test_same_seed_same_numbers_on_one_worker_and_on_two(trial_with_effect):
    table, y = trial_with_effect
    outer = survival_folds(table, y)[:3]
    single, double = (
        validate_survival(table, y, SurvivalFitConfig(ENCODER, n_folds=3, seed=0), outer, workers=Threads(workers))
        for workers in (1, 2)
    )
    for family in SURVIVAL_FAMILIES:
        for a, b in zip(single[family], double[family], strict=True):
            np.testing.assert_array_equal(a.margin, b.margin)
            np.testing.assert_array_equal(a.risk, b.risk)


def test_scores_are_averaged_over_repeats(trial_with_effect):
    """The score is the mean of the repeats' scores, not the score of the repeats' mean prediction."""
    table, y = trial_with_effect
    outer = [Fold("cv", "x", k, np.arange(60), np.arange(60, 120)) for k in range(2)]
    held_out = validate_taxa(table, y, outer=outer)["xgboost_survival"]
    cohorts = np.full(len(y), "all", dtype=object)
    repeat_c = [survival_scores(y, cohorts, predictions_by_repeat([prediction]))["c"].value for prediction in held_out]
    assert repeat_c[0] != repeat_c[1]
    assert survival_scores(y, cohorts, predictions_by_repeat(held_out))["c"].value == pytest.approx(np.mean(repeat_c))


def test_inner_validation_selects_one_of_the_settings(trial_with_effect):
    table, y = trial_with_effect
    for family, held_out in validate_taxa(table, y, outer=survival_folds(table, y)[:2]).items():
        for prediction in held_out:
            setting = dict(prediction.setting)
            assert setting.pop("representation") == "clr"
            assert setting in SURVIVAL_FAMILIES[family].settings
