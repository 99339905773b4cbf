from __future__ import annotations

from dataclasses import replace

import pytest

from features.cohort import read_cohort
from taxokine.simulation import Trial, simulate_trial
from training.study.sections.links import links_section


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("links") / "trial"
    return read_cohort(simulate_trial(folder, Trial(n_patients=8, n_taxa=60, seed=4)), folder)


def test_the_section_states_the_smallest_detectable_correlation(trial):
    section = links_section(trial)
    assert "had to be" in section.summary[2]
    assert set(section.figures) == set(section.tables) == {"links"}
    assert "SIM-" not in repr(section)
    assert section.metrics["tested"] == len(section.tables["links"].frame)


def test_the_headline_names_no_winner_where_none_passes(trial):
    (headline,) = links_section(trial).headlines
    assert headline.startswith("None of ")
    assert headline.endswith(" or so would have, with 80% power.")
    assert " r = " not in headline


def test_without_pairs_the_section_states_what_is_missing(trial):
    for cohort in (replace(trial, immune=None), replace(trial, samples=trial.samples.assign(day=500.0))):
        section = links_section(cohort)
        assert (section.summary, section.figures) == ((), {})
        assert "two or more pairs of stool and blood" in section.missing[0]
