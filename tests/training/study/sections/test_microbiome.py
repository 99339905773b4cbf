from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from features.cohort import Cohort, read_cohort
from features.trajectories import parse_windows
from taxokine.simulation import Trial, simulate_trial
from training.study.sections.microbiome import microbiome_section


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("microbiome") / "trial"
    return read_cohort(simulate_trial(folder, Trial(n_patients=8, n_taxa=60, n_donors=3, seed=2)), folder)


def with_patients(cohort: Cohort, patients: list[str]) -> Cohort:
    rows = np.flatnonzero(cohort.samples["patient"].isin(patients))
    return replace(
        cohort,
        samples=cohort.samples.iloc[rows].reset_index(drop=True),
        taxa=cohort.taxa.take([cohort.taxa.samples[row] for row in rows]),
    )


def test_figures_and_tables(trial: Cohort) -> None:
    section = microbiome_section(trial)
    assert set(section.figures) == {"composition", "diversity", "ordination", "paths", "taxa"}
    assert set(section.tables) == {"composition", "diversity", "groups", "taxa"}
    proportions = section.tables["composition"].frame.iloc[:, 2:]
    np.testing.assert_allclose(proportions.sum(axis=1), 1, atol=1e-6)


def test_the_change_between_visits_is_stated_and_the_summary_counts_subjects(trial: Cohort) -> None:
    section = microbiome_section(trial)
    sentence = next(sentence for sentence in section.summary if sentence.startswith("Composition, between visits"))
    assert sentence.startswith("Composition, between visits (baseline; days 7 to 28): R² = ")
    assert " of the variation within patients" in sentence
    assert any(re.search(r"^\d+ of \d+ tests of groups, .* in up to \d+ subjects", text) for text in section.summary)
    assert section.headlines[0].startswith("Shannon's entropy changed by ")
    assert "no exact test" not in section.headlines[0]


def test_samples_in_no_window_are_counted_with_their_days(trial: Cohort) -> None:
    assert not any("window" in text for text in microbiome_section(trial, parse_windows("1-400,401-")).missing)
    days = trial.samples.loc[~trial.samples["donor"], "day"]
    outside = days[days > 28]
    (text,) = (text for text in microbiome_section(trial, parse_windows("1-28")).missing if "window" in text)
    assert f"stool samples in no window: {len(outside)} of {len(days)}, of " in text
    assert f"{outside.min():g}" in text
    assert f"{outside.max():g}, enter no comparison" in text


def test_the_section_names_no_subject(trial: Cohort) -> None:
    section = microbiome_section(trial)
    tables = [table.frame.to_csv() for table in section.tables.values()]
    text = " ".join([*section.summary, *section.notes, *tables])
    assert not [name for name in trial.samples["patient"].unique() if name in text]


def test_the_summary_of_five_patients_states_the_least_exact_p(trial: Cohort) -> None:
    patients = sorted(set(trial.samples.loc[~trial.samples["donor"], "patient"]))[:5]
    section = microbiome_section(with_patients(trial, patients))
    assert any("no exact two-sided p is below 0.0625" in sentence for sentence in section.summary)
    # An interval that excludes 0 would pass for a test of them.
    assert "patients; the interval assumes normal changes, and no exact test of so few patients" in section.headlines[0]
    assert any("donor" in sentence for sentence in section.missing)


def test_one_patient_and_undated_samples_have_no_tests_of_change(trial: Cohort) -> None:
    one_patient = with_patients(trial, [trial.samples["patient"].iloc[0]])
    undated = replace(trial, samples=trial.samples.assign(day=np.nan))
    for cohort in (one_patient, undated):
        section = microbiome_section(cohort)
        assert "composition" in section.figures
        assert any(sentence.startswith("taxa that change") for sentence in section.missing)
        assert any(sentence.startswith("change of diversity") for sentence in section.missing)


def test_empty_samples_are_missing(trial: Cohort) -> None:
    empty = replace(trial, taxa=replace(trial.taxa, values=np.zeros_like(trial.taxa.values)))
    section = microbiome_section(empty)
    assert section.missing == ("microbiome: no patient's stool sample holds a taxon",)
    assert not section.figures
