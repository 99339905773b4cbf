"""Pairs of stool samples and blood draws, and correlations within patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.cohort import read_cohort
from features.trajectories import trajectories
from taxokine.simulation import Trial, simulate_trial
from training.study.analysis.links import correlate
from training.study.analysis.paired_draws import MAX_GAP, PairedDraws, paired_draws


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("links") / "trial"
    return read_cohort(simulate_trial(folder, Trial(n_patients=8, n_taxa=60, seed=4)), folder)


def test_pairs_are_near_in_time(trial):
    course = trajectories(trial)
    pairs = paired_draws(trial, course)
    assert len(pairs.patient) == len(pairs.clr) == len(pairs.levels) == len(pairs.course)
    assert pd.Series(pairs.patient).value_counts().min() >= 2
    stool = trial.samples[~trial.samples["donor"]]
    blood = course.rows.drop_duplicates(["patient", "time"])
    for patient in set(pairs.patient):
        stool_days = stool.loc[stool["patient"] == patient, "day"].to_numpy()
        blood_days = blood.loc[blood["patient"] == patient, "time"].to_numpy()
        near = np.abs(blood_days[:, None] - stool_days) <= MAX_GAP
        assert (pairs.patient == patient).sum() <= near.any(axis=1).sum()
    late = trial.samples.assign(day=trial.samples["day"] + 400)
    assert paired_draws(replace(trial, samples=late), course) is None


def test_a_draw_after_day_0_does_not_pair_with_stool_before_it(trial):
    course, patient, samples = trajectories(trial), "SIM-002", trial.samples
    pairs = paired_draws(trial, course)
    samples = samples.assign(day=samples["day"].mask((samples["patient"] == patient) & (samples["day"] < 0), -2.0))
    rows = course.rows
    rows = rows.assign(time=rows["time"].mask((rows["patient"] == patient) & (rows["time"] < 0), 2.0))
    separated = paired_draws(replace(trial, samples=samples), replace(course, rows=rows))
    assert (separated.patient == patient).sum() == (pairs.patient == patient).sum() - 1


def test_an_empty_stool_sample_does_not_pair(trial):
    values, course = trial.taxa.values.copy(), trajectories(trial)
    values[0] = 0
    pairs = paired_draws(trial, course)
    fewer = paired_draws(replace(trial, taxa=replace(trial.taxa, values=values)), course)
    assert len(fewer.patient) == len(pairs.patient) - 1
    assert np.isfinite(fewer.clr).all()


def test_a_planted_link_stands_beyond_the_common_course_and_a_shared_pulse_does_not():
    rng = np.random.default_rng(5)
    patient, course = np.repeat(np.arange(10), 5), np.tile(np.arange(5), 10)
    pulse = np.array([0.0, 3, 2, 1, 0.5])[course]
    clr, noise = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    clr[:, 0] += pulse
    levels = np.column_stack([pulse, 2 * clr[:, 1]]) + noise
    taxa, analytes = ("moved", "acts", "idle"), ("pulse", "answer")
    pairs = PairedDraws(patient, course, taxa, clr, analytes, levels, dropped=(), rank="taxa")
    links = {(link.taxon, link.analyte): link for link in correlate(pairs)}
    planted, pulsed = links["acts", "answer"], links["moved", "pulse"]
    assert planted.unadjusted.q < 0.01
    assert planted.beyond_course.r > 0.6
    assert planted.beyond_course.q < 0.01
    assert pulsed.unadjusted.q < 0.01
    assert pulsed.beyond_course.q > 0.05
    idle = [links["idle", analyte] for analyte in analytes]
    assert not any(link.unadjusted.significant or link.beyond_course.significant for link in idle)


def test_momspi_has_pairs_by_visit(cohorts_dir):
    cohort = read_cohort("momspi", cohorts_dir, fetch=False)
    pairs = paired_draws(cohort, trajectories(cohort))
    assert (len(pairs.patient), len(set(pairs.patient))) == (45, 20)
    assert "IL-2" in pairs.dropped
