"""Microbe-immune links: repeated-measures correlation beside other implementations, pairs, and what is planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.cohort import read_cohort
from features.trajectories import trajectories
from taxokine.simulation import simulate_trial
from training.study.links import (
    APART,
    Paired,
    link_table,
    links_section,
    paired,
)


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
    # A draw on day 2 is near a stool on day -2, and on the other side.
    one, samples, rows = "SIM-002", trial.samples, found.rows
    samples = samples.assign(day=samples["day"].mask((samples["patient"] == one) & (samples["day"] < 0), -2.0))
    rows = rows.assign(time=rows["time"].mask((rows["patient"] == one) & (rows["time"] < 0), 2.0))
    apart = paired(replace(trial, samples=samples), replace(found, rows=rows))
    assert (apart.patient == one).sum() == (pairs.patient == one).sum() - 1
    late = trial.samples.assign(day=trial.samples["day"] + 400)
    assert paired(replace(trial, samples=late), found) is None


def test_a_planted_link_is_found_and_a_common_course_is_told_from_it():
    rng = np.random.default_rng(5)
    patient, course = np.repeat(np.arange(10), 5), np.tile(np.arange(5), 10)
    pulse = np.array([0.0, 3, 2, 1, 0.5])[course]
    clr, noise = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    clr[:, 0] += pulse
    levels = np.column_stack([pulse, 2 * clr[:, 1]]) + noise
    table = link_table(Paired(patient, course, ("moved", "acts", "idle"), clr, ("pulse", "answer"), levels, (), "taxa"))
    one = table.set_index(["taxon", "analyte"])
    assert one.loc[("acts", "answer"), "q"] < 0.01
    assert one.loc[("acts", "answer"), "r beyond course"] > 0.6
    assert one.loc[("acts", "answer"), "q beyond course"] < 0.01
    assert one.loc[("moved", "pulse"), "q"] < 0.01
    assert one.loc[("moved", "pulse"), "q beyond course"] > 0.05
    assert one.loc["idle", ["q", "q beyond course"]].min().min() > 0.05


def test_the_section_says_what_it_saw_and_could_have_seen(trial):
    section = links_section(trial)
    assert "had to be" in section.summary[2]
    assert set(section.figures) == set(section.tables) == {"links"}
    assert "SIM-" not in repr(section)
    assert section.metrics["tested"] == len(section.tables["links"].frame)


def test_a_stool_in_which_nothing_was_found_is_no_pair(trial):
    values, found = trial.taxa.values.copy(), trajectories(trial)
    values[0] = 0
    pairs, fewer = paired(trial, found), paired(replace(trial, taxa=replace(trial.taxa, values=values)), found)
    assert len(fewer.patient) == len(pairs.patient) - 1
    assert np.isfinite(fewer.clr).all()


def test_without_pairs_the_section_says_what_is_missing(trial):
    for cohort in (replace(trial, immune=None), replace(trial, samples=trial.samples.assign(day=500.0))):
        section = links_section(cohort)
        assert (section.summary, section.figures) == ((), {})
        assert "taken together twice" in section.missing[0]


def test_momspi_has_pairs_by_visit(cohorts_dir):
    cohort = read_cohort("momspi", cohorts_dir, fetch=False)
    pairs = paired(cohort, trajectories(cohort))
    assert (len(pairs.patient), len(set(pairs.patient))) == (45, 20)
    assert "IL-2" in pairs.left_out
