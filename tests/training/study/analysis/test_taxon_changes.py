"""Changes of taxa, against scikit-bio and with planted changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skbio.stats.composition import clr, multi_replace
from statsmodels.stats.multitest import multipletests

from features.cohort import Cohort, read_cohort
from taxokine.simulation import Trial, simulate_trial
from training.study.analysis.stool import stool_series
from training.study.analysis.taxon_changes import taxon_changes


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("taxa") / "trial"
    return read_cohort(simulate_trial(folder, Trial(n_patients=8, n_taxa=60, n_donors=3, seed=2)), folder)


def with_values(cohort: Cohort, values: np.ndarray) -> Cohort:
    return replace(cohort, taxa=replace(cohort.taxa, values=values.astype(np.float32)))


def test_changes_agree_with_scikit_bio(cohort: Cohort) -> None:
    stool = stool_series(cohort)
    changes = taxon_changes(stool)
    rows, patient = stool.rows(stool.recipients.index), stool.recipients["patient"]
    carriers = pd.DataFrame(stool.proportions[rows] > 0).groupby(patient.to_numpy()).any().mean()
    closed = stool.proportions[rows][:, carriers >= 0.5]
    closed /= closed.sum(axis=1, keepdims=True)
    ratios = clr(multi_replace(closed, min(closed[closed > 0].min() / 2, 0.5 / closed.shape[1]))) / np.log(2)
    window = stool.windows[1].name
    change = next(
        test for test in changes if test.window == window and test.prevalence_before == test.prevalence_after == 1
    )
    column = np.array(stool.taxa)[carriers >= 0.5].tolist().index(change.taxon)
    level = stool.recipients.assign(ratio=ratios[:, column])
    baseline = level[level["time"] <= 0].groupby("patient")["ratio"].last()
    later = level[level["time"].between(7, 28)].groupby("patient")["ratio"].mean()
    assert change.change == pytest.approx((later - baseline).dropna().mean())
    adjusted = multipletests([test.p for test in changes], method="fdr_bh")[1]
    np.testing.assert_allclose([test.q for test in changes], adjusted)


def test_a_taxon_absent_before_and_after_has_not_changed(cohort: Cohort) -> None:
    values = cohort.taxa.values.copy()
    values[:, 0] = 0
    # Present only between the windows: patients carry it, and no window shows it.
    values[cohort.samples["day"].between(29, 89).to_numpy(), 0] = 50
    changes = taxon_changes(stool_series(with_values(cohort, values)))
    absent = [
        test
        for test in changes
        if test.taxon == cohort.taxa.taxa[0] and test.prevalence_before == test.prevalence_after == 0
    ]
    assert absent
    assert {(test.change, test.p) for test in absent} == {(0, 1)}


def test_a_planted_change_is_recovered(cohort: Cohort) -> None:
    values, treated = cohort.taxa.values.copy(), (cohort.samples["day"] > 0).to_numpy()
    planted = cohort.taxa.taxa.index("Alistipes_sp0001")
    values[treated, planted] = values[treated].sum(axis=1) * 2
    values[~treated, planted] = 1
    stool = stool_series(with_values(cohort, values))
    changes = [test for test in taxon_changes(stool) if test.taxon == "Alistipes_sp0001"]
    assert min(test.change for test in changes) > 5
    # The exact test of eight patients allows no smaller p.
    assert min(test.p for test in changes) == 2 / 2**8


def test_numbered_visits_are_windows(cohorts_dir: Path) -> None:
    changes = taxon_changes(stool_series(read_cohort("momspi", cohorts_dir, fetch=False)))
    assert {test.window.split()[0] for test in changes} == {"visit"}
    # With the newborns' samples among the mothers', 77 changes would be significant.
    assert not any(test.significant for test in changes)
