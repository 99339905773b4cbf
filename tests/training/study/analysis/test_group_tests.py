from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from features.cohort import Cohort, read_cohort
from features.manifest import ClinicalField
from taxokine.simulation import Trial, simulate_trial
from training.study.analysis.group_tests import CommunityTest, community_tests
from training.study.analysis.ordination import stool_distances
from training.study.analysis.stool import stool_series


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder: Path = tmp_path_factory.mktemp("groups") / "trial"
    return read_cohort(simulate_trial(folder, Trial(n_patients=8, n_taxa=60, n_donors=3, seed=2)), folder)


def grouped(cohort: Cohort) -> tuple[CommunityTest, ...]:
    stool = stool_series(cohort)
    return community_tests(stool, cohort, stool_distances(stool))


def test_each_contrast_takes_one_sample_of_each_subject_in_a_window(trial: Cohort) -> None:
    tests = grouped(trial)
    np.testing.assert_allclose(
        [test.q for test in tests], multipletests([test.p for test in tests], method="fdr_bh")[1]
    )
    for test in tests:
        assert test.samples == test.subjects * (2 if test.within_patients else 1)
    assert {test.contrast for test in tests} == {"visit", "response", "donor", "patients and donors"}
    assert sum(test.contrast == "response" for test in tests) > 2


def test_a_planted_donor_effect_is_found_and_a_random_arm_has_none(trial: Cohort) -> None:
    samples = trial.samples
    donor = samples.drop_duplicates("patient").set_index("patient")["donor_sample"].str.partition("-B")[0]
    patients = sorted(set(samples.loc[~samples["donor"], "patient"]))
    donors = list(dict.fromkeys(donor[patients]))
    values = trial.taxa.values.copy()
    for row in np.flatnonzero(samples["day"] > 0):
        values[row, donors.index(donor[samples["patient"][row]])] += 1e5
    arm = samples["patient"].map({patient: float(index % 2) for index, patient in enumerate(patients)})
    covariates = {"arm": ClinicalField(column="arm", values={"A": True, "B": False})}
    described = trial.manifest.patients.model_copy(update={"covariates": covariates})
    planted = replace(
        trial,
        taxa=replace(trial.taxa, values=values.astype(np.float32)),
        manifest=trial.manifest.model_copy(update={"patients": described}),
        characteristics=pd.DataFrame({"arm": arm.groupby(samples["patient"]).first()}),
    )
    by_contrast = {
        test.contrast: test
        for test in grouped(planted)
        if test.window == "days 7 to 28" and test.metric == "Bray-Curtis"
    }
    assert by_contrast["donor"].p < 0.05
    assert by_contrast["donor"].location.r2 > 0.9
    arms = by_contrast["arm"]
    assert (arms.unit, arms.location.permutations, arms.subjects) == ("patients", 10_000, 8)
    assert arms.p > 0.05
