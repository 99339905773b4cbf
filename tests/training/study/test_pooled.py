"""Several trials pooled: each trial's estimate, the random-effects mean, and the report as a user makes it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from statsmodels.stats.meta_analysis import combine_effects

from features.cohort import Cohort, read_cohort
from features.errors import InputError
from taxokine.cli.main import main
from taxokine.simulation import Trial, simulate_trial
from training.study.analysis.pooled_convergence import pooled_convergence
from training.study.pooled import run_pooled_study
from training.study.sections.pooled import pooled_section

SIZES = ((10, 2), (8, 3), (6, 2))


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pooled")
    return [
        simulate_trial(
            folder / name,
            Trial(name=name, n_patients=n, n_donors=donors, n_taxa=200, visits=(-7, 14), missing_share=0.0, seed=i),
        )
        for i, (name, (n, donors)) in enumerate(zip(("first", "second", "third"), SIZES, strict=True))
    ]


@pytest.fixture(scope="module")
def trials(manifests: list[Path]) -> list[Cohort]:
    return [read_cohort(path, path.parent) for path in manifests]


def test_the_pooled_mean_is_that_of_statsmodels(trials: list[Cohort]) -> None:
    results = pooled_convergence(trials)
    estimates = np.array([trial.estimate.value for trial in results.trials])
    errors = np.array([trial.standard_error for trial in results.trials])
    expected = combine_effects(estimates, errors**2, method_re="iterated", use_t=True, row_names=["a", "b", "c"])
    assert results.pooled.mean == pytest.approx(expected.mean_effect_re, abs=1e-4)
    assert results.heterogeneity_p == pytest.approx(expected.test_homogeneity().pvalue)
    assert [(trial.recipients, trial.donors) for trial in results.trials[:2]] == list(SIZES[:2])
    assert (errors > 0).all()


def test_two_donors_allow_no_p_of_whole_donors_and_one_of_exchanged_recipients(trials: list[Cohort]) -> None:
    first = pooled_convergence(trials).trials[0]
    assert first.p == 1
    assert first.exchanged_p < 0.05


def test_a_trial_without_donors_is_left_out_with_the_reason(trials: list[Cohort]) -> None:
    undonated = replace(trials[0], samples=trials[0].samples.assign(donor=False, donor_sample=""))
    results = pooled_convergence([undonated, *trials[1:]])
    assert results.left_out == {"first": "no donor stool"}
    section = pooled_section([undonated, trials[1]])
    assert "nothing is pooled" in section.summary[0]
    assert section.missing == ("first: no donor stool",)


def test_the_command_writes_one_report_with_a_forest_plot(manifests: list[Path], store: None, tmp_path: Path) -> None:
    names = ",".join(str(path) for path in manifests)
    result = CliRunner().invoke(main, ["study", names, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Pooled study of first, second, third" in page
    assert "random-effects mean" in (tmp_path / "out" / "figures" / "pooled_forest.svg").read_text()
    table = pd.read_csv(tmp_path / "out" / "tables" / "pooled_trials.csv")
    assert list(table["trial"]) == ["first", "second", "third"]
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    assert record["metrics"]["pooled/donor_approach"] < 0


def test_a_trial_counts_once(manifests: list[Path], store: None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two of the trials are named 'first'"):
        run_pooled_study([str(manifests[0])] * 2, tmp_path / "out")
    assert not (tmp_path / "out").exists()
