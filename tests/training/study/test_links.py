"""Microbe-immune links: repeated-measures correlation beside other implementations, pairs, and what is planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import pearsonr, permutation_test

from features.cohort import read_cohort
from features.simulator import simulate_trial
from features.trajectories import trajectories
from training.study.links import (
    APART,
    Paired,
    link_table,
    links_section,
    paired,
    rmcorr,
    smallest_seen,
    within_patients,
)


def draws(seed=7):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 6, 9)
    patient, x = np.repeat(np.arange(9), n), rng.normal(size=n.sum()).round(2)
    return x, (0.4 * x + rng.normal(size=n.sum())).round(2), patient


def test_the_correlation_is_pingouins():
    """pingouin 0.7, in an environment of its own: rm_corr(d[of patients with several], x="x", y="y", subject="p")."""
    found = rmcorr(*draws())
    assert (found.r, found.df, found.p) == pytest.approx((0.44754, 23, 0.024879), abs=1e-5)
    assert (found.low, found.high) == pytest.approx((0.06, 0.72), abs=0.005)


def test_the_correlation_is_that_of_an_analysis_of_covariance():
    x, y, patient = draws(8)
    course = np.arange(len(x)) % 3
    for labels in ((patient,), (patient, course)):
        # One level of the course is the reference. A patient of one draw has an intercept and a residual of 0.
        levels = [np.unique(one)[at > 0 :] for at, one in enumerate(labels)]
        dummies = [one[:, None] == level for one, level in zip(labels, levels, strict=True)]
        whole = sm.OLS(y, np.column_stack([*dummies, x]).astype(float)).fit()
        found = rmcorr(x, y, *labels)
        assert found.df == whole.df_resid
        assert found.p == pytest.approx(whole.pvalues[-1], rel=1e-6)
        tvalue = whole.tvalues[-1]
        assert found.r == pytest.approx(tvalue / np.sqrt(tvalue**2 + whole.df_resid))


def test_of_one_patient_it_is_pearsons():
    x, y, _ = draws(9)
    found, theirs = rmcorr(x, y, np.zeros(len(x))), pearsonr(x, y)
    assert (found.r, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert (found.low, found.high) == pytest.approx(theirs.confidence_interval())


def test_differences_between_patients_do_not_count():
    x, y, patient = draws(10)
    assert rmcorr(x + 50 * patient, y - 90 * patient, patient).r == pytest.approx(rmcorr(x, y, patient).r)
    assert np.isnan(rmcorr(x[:1], y[:1], patient[:1]).r)


def test_permutations_of_one_patient_are_scipys():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 6))
    r, p = within_patients(x[:, None], y, np.zeros(6), n=20_000)
    exact = permutation_test(
        (y,),
        lambda y: abs(pearsonr(x, y).statistic),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=720,
    )
    assert r[0] == pytest.approx(pearsonr(x, y).statistic)
    assert p[0] == pytest.approx(exact.pvalue, abs=0.015)


def test_draws_change_places_within_patients_alone():
    """Two patients of two draws have four orders, of which two are as extreme as the observed one."""
    y, patient = np.array([0.0, 1, 10, 11]), np.array([0, 0, 1, 1])
    _, p = within_patients(y[:, None], y, patient, n=4000)
    assert p[0] == pytest.approx(0.5, abs=0.03)


def test_what_does_not_vary_within_patients_is_no_link():
    patient = np.repeat([0, 1, 2], 3)
    r, p = within_patients(patient[:, None] * 1.7, np.arange(9.0), patient, n=99)
    assert (r[0], p[0]) == (0, 1)


@pytest.mark.parametrize(("df", "tests"), [(20, 1), (60, 1), (40, 50)])
def test_the_smallest_correlation_is_found_in_four_trials_of_five(df, tests):
    n, rng = 10, np.random.default_rng(df)
    patient = np.arange(df + 1 + n) % n
    rho, found = smallest_seen(df, tests=tests), 0
    for _ in range(1500):
        x, e = rng.normal(size=(2, len(patient)))
        found += rmcorr(x, rho * x + np.sqrt(1 - rho**2) * e, patient).p <= 0.05 / tests
    assert found / 1500 == pytest.approx(0.8, abs=0.04)
    assert smallest_seen(1) == 1


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("links") / "trial"
    return read_cohort(simulate_trial(folder, n_patients=8, n_taxa=60, seed=4), folder)


def test_pairs_are_near_and_on_one_side_of_day_0(trial):
    found = trajectories(trial)
    pairs = paired(trial, found)
    assert len(pairs.patient) == len(pairs.clr) == len(pairs.levels) == len(pairs.course)
    assert pd.Series(pairs.patient).value_counts().min() >= 2
    stool = trial.samples[~trial.samples["donor"]]
    blood = found.rows.drop_duplicates(["patient", "time"])
    for patient in set(pairs.patient):
        days = stool.loc[stool["patient"] == patient, "day"].to_numpy()
        times = blood.loc[blood["patient"] == patient, "time"].to_numpy()
        near = np.abs(times[:, None] - days) <= APART
        assert (pairs.patient == patient).sum() <= near.any(axis=1).sum()
    late = trial.samples.assign(day=trial.samples["day"] + 400)
    assert paired(replace(trial, samples=late), found) is None


def test_a_planted_link_is_found_and_a_common_course_is_told_from_it():
    rng = np.random.default_rng(5)
    patient, course = np.repeat(np.arange(10), 5), np.tile(np.arange(5), 10)
    pulse = np.array([0.0, 3, 2, 1, 0.5])[course]
    clr, noise = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    clr[:, 0] += pulse
    levels = np.column_stack([pulse, 2 * clr[:, 1]]) + noise
    table = link_table(Paired(patient, course, ("moved", "acts", "idle"), clr, ("pulse", "answer"), levels, ()))
    one = table.set_index(["taxon", "analyte"])
    assert one.loc[("acts", "answer"), "q"] < 0.01
    assert one.loc[("acts", "answer"), "beyond course"] > 0.6
    assert one.loc[("moved", "pulse"), "q"] < 0.01
    assert abs(one.loc[("moved", "pulse"), "beyond course"]) < 0.35
    assert one.loc["idle", "q"].min() > 0.05


def test_the_section_says_what_it_saw_and_could_have_seen(trial):
    section = links_section(trial)
    assert "had to be" in section.lead[1]
    assert set(section.drawings) == set(section.listings) == {"links"}
    assert "SIM-" not in repr(section)
    assert section.metrics["tested"] == len(section.listings["links"].frame)


def test_without_pairs_the_section_says_what_is_missing(trial):
    for cohort in (replace(trial, immune=None), replace(trial, samples=trial.samples.assign(day=500.0))):
        section = links_section(cohort)
        assert (section.lead, section.drawings) == ((), {})
        assert "taken together twice" in section.missing[0]


def test_momspi_has_pairs_by_visit(cohorts_dir):
    cohort = read_cohort("momspi", cohorts_dir, fetch=False)
    pairs = paired(cohort, trajectories(cohort))
    assert (len(pairs.patient), len(set(pairs.patient))) == (45, 20)
    assert "IL-2" in pairs.left_out
