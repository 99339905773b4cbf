"""Left-out predictions of times, on simulated cohorts: what was planted is found, and nothing where nothing was."""

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
from taxokine.simulation import simulate_trial
from training.statistics.survival_families import SURVIVAL_FAMILIES
from training.statistics.survival_metrics import harrell_c
from training.survival import (
    at_risk,
)
from training.validation.folds import Fold, loco_groups, outer_folds, patient_groups
from training.validation.held_out_times import HORIZONS, SurvivalFitConfig, validate_survival
from training.validation.survival_scores import RepeatPredictions, predictions_by_repeat, survival_scores

ENCODER = BlockEncoder(("taxa",))


def simulated(folder: Path, outcome: str = "overall_survival", **parameters: object):
    """Return a simulated trial's rows at risk, and their times."""
    cohort = read_cohort(simulate_trial(folder, visits=(-7,), **parameters), folder)
    table, y, _ = at_risk([cohort], landmark_table(cohort), outcome)
    return table, y


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("planted") / "trial", n_patients=120, n_taxa=40, seed=1)


def survival_folds(table, y, n_folds=3, repeats=1):
    return outer_folds(table, (y[:, 1] == EVENT).astype(float), n_folds, repeats, 0)


def validated(table, y, n_folds=3, outer=None):
    outer = survival_folds(table, y, n_folds) if outer is None else outer
    return validate_survival(table, y, SurvivalFitConfig((ENCODER,), n_folds=3, seed=0), outer)


def test_a_planted_effect_is_found_by_each_family(planted):
    table, y = planted
    names = loco_groups(table.rows)
    for left_out in validated(table, y).values():
        for scheme in ("cv", "loco"):
            found = survival_scores(
                y, names, predictions_by_repeat([one for one in left_out if one.fold.scheme == scheme])
            )
            assert found["c"].low > 0.5
            assert found["c"].value > 0.6
            assert found["auroc_12m"].value > 0.6
            assert found["brier_skill_12m"].value > 0


def test_without_effect_there_is_no_skill(tmp_path):
    found = {family: [] for family in SURVIVAL_FAMILIES}
    for seed in range(3):
        table, y = simulated(tmp_path / str(seed), n_patients=80, n_taxa=30, effect=0.0, seed=seed)
        names = np.full(len(y), "all", dtype=object)
        cv = [fold for fold in survival_folds(table, y) if fold.scheme == "cv"]
        for family, left_out in validated(table, y, outer=cv).items():
            found[family].append(survival_scores(y, names, predictions_by_repeat(left_out)))
    for of in found.values():
        # A C of 80 patients has a standard error of about 0.045.
        assert abs(np.mean([one["c"].value for one in of]) - 0.5) < 0.07
        assert np.mean([one["brier_skill_12m"].value for one in of]) < 0.03


def test_intervals_cover_the_truth(tmp_path):
    """Of the planted log-hazard, known to the simulator alone: each 120 of 2400 patients, against all of them."""
    folder = tmp_path / "trial"
    table, y = simulated(folder, n_patients=2400, n_taxa=30, seed=2)
    truth = pd.read_csv(folder / "truth.csv", index_col="patient")["survival_log_hazard_ratio"]
    margin = truth[table.rows["patient"]].to_numpy()
    whole = np.mean([harrell_c(y[i::4], margin[i::4])[0] for i in range(4)])
    covered = []
    for part in np.array_split(np.arange(len(y)), 20):
        risk = np.full((len(part), len(HORIZONS)), 0.5)
        one = RepeatPredictions(np.arange(len(part)), margin[part], risk, risk)
        found = survival_scores(y[part], np.full(len(part), "all", dtype=object), [one])["c"]
        covered.append(found.low <= whole <= found.high)
    assert whole > 0.65
    assert sum(covered) >= 17


def test_left_out_times_change_nothing_in_what_is_said_of_their_rows(planted):
    table, y = planted
    outer = survival_folds(table, y)[:1]
    lied = y.copy()
    lied[outer[0].test] = np.random.default_rng(0).permutation(lied[outer[0].test])
    told, other = validated(table, y, outer=outer), validated(table, lied, outer=outer)
    for family in SURVIVAL_FAMILIES:
        for of in ("margin", "risk", "average"):
            np.testing.assert_array_equal(getattr(told[family][0], of), getattr(other[family][0], of))
        assert told[family][0].setting == other[family][0].setting


def test_a_left_out_row_changes_nothing_for_the_other_rows(planted):
    table, y = planted
    outer = survival_folds(table, y)[:1]
    values = table.taxa.values.copy()
    values[outer[0].test[0]] = np.roll(values[outer[0].test[0]], 7)
    changed = replace(table, taxa=Block(table.taxa.names, values))
    one, two = (validated(t, y, outer=outer)["cox_elastic_net"][0] for t in (table, changed))
    np.testing.assert_array_equal(one.margin[1:], two.margin[1:])
    assert one.margin[0] != two.margin[0]


def test_a_patient_never_crosses_a_fold(planted):
    table, y = planted
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
    validate_survival(visits, times, SurvivalFitConfig((Spy(("taxa",)),), n_folds=3, seed=0), folds[:1])
    assert len(inner) == 1 + visits.rows["centre"].nunique()


def test_same_seed_same_numbers_on_one_worker_and_on_two(planted):
    table, y = planted
    outer = survival_folds(table, y)[:3]
    once, again = (
        validate_survival(table, y, SurvivalFitConfig((ENCODER,), n_folds=3, seed=0), outer, workers=workers)
        for workers in (1, 2)
    )
    for family in SURVIVAL_FAMILIES:
        for one, two in zip(once[family], again[family], strict=True):
            np.testing.assert_array_equal(one.margin, two.margin)
            np.testing.assert_array_equal(one.risk, two.risk)


def test_repeats_are_measured_one_by_one(planted):
    """Each repeat is a seed of its own: what is told is their mean, not what their mean prediction reaches."""
    table, y = planted
    outer = [Fold("cv", "x", k, np.arange(60), np.arange(60, 120)) for k in range(2)]
    left_out = validated(table, y, outer=outer)["xgboost_survival"]
    names = np.full(len(y), "all", dtype=object)
    each = [survival_scores(y, names, predictions_by_repeat([one]))["c"].value for one in left_out]
    assert each[0] != each[1]
    assert survival_scores(y, names, predictions_by_repeat(left_out))["c"].value == pytest.approx(np.mean(each))


def test_of_several_representations_inner_validation_chooses(planted):
    table, y = planted
    encoders = tuple(BlockEncoder(("taxa",), representation) for representation in ("diversity", "clr"))
    config = SurvivalFitConfig(encoders, n_folds=3, seed=0)
    for family, found in validate_survival(table, y, config, survival_folds(table, y)[:2]).items():
        for one in found:
            setting = dict(one.setting)
            assert setting.pop("representation") == "clr"
            assert setting in SURVIVAL_FAMILIES[family].settings
