"""Simulated trials of two arms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from statsmodels.duration.hazard_regression import PHReg

from features.cohort import read_cohort
from features.errors import InputError
from taxokine.cli.main import main
from taxokine.simulation import TACITO, Trial, simulate_trial


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return simulate_trial(
        tmp_path_factory.mktemp("large") / "trial", replace(TACITO, n_patients=1500, n_taxa=30, visits=(-7, 14), seed=3)
    )


def test_the_planted_rates_and_hazard_ratio_are_those_of_the_trial(large):
    sheet = pd.read_csv(large.parent / "patients.csv")
    treated = (sheet["arm"] == "FMT + ICI").to_numpy()
    assert treated.mean() == pytest.approx(23 / 45, abs=0.001)
    responds = sheet["recist"].isin(["CR", "PR"]).to_numpy()
    assert responds[treated].mean() == pytest.approx(0.52, abs=0.05)
    assert responds[~treated].mean() == pytest.approx(0.32, abs=0.05)
    fit = PHReg(sheet["pfs_days"], treated[:, None].astype(float), status=sheet["progressed_or_died"]).fit()
    low, high = np.exp(fit.conf_int()[0])
    assert low < 0.5 < high


def test_controls_receive_neither_stool_nor_its_effects(large):
    cohort = read_cohort(large, large.parent)
    control = set(cohort.arm.index[cohort.arm == "sham FMT + ICI"])
    assert not control & set(cohort.course.transplants["patient"])
    assert (cohort.samples.loc[cohort.samples["patient"].isin(control), "donor_sample"] == "").all()
    truth = pd.read_csv(large.parent / "truth.csv", index_col="patient")
    assert (truth.loc[list(control), "engraftment"] == 0).all()
    blood = pd.read_csv(large.parent / "cytokines.csv")
    il10 = blood[blood["analyte"] == "IL-10"].assign(value=lambda rows: pd.to_numeric(rows["value"], errors="coerce"))
    level = il10.groupby([il10["patient"].isin(control), il10["day_fmt"] > 0])["value"].median()
    assert level[True, True] / level[True, False] == pytest.approx(1, abs=0.1)
    assert level[False, True] / level[False, False] > 1.5


def test_a_trial_of_one_arm_names_no_arms(tmp_path):
    manifest = simulate_trial(tmp_path / "trial", Trial(n_patients=4, n_taxa=30))
    assert "arms" not in manifest.read_text()
    assert read_cohort(manifest, tmp_path).arm.empty


@pytest.mark.parametrize(
    ("name", "value"), [("control_share", 1.0), ("hazard_ratio", 0.0), ("control_response_rate", 0)]
)
def test_a_parameter_out_of_range_is_named(tmp_path, name, value):
    with pytest.raises(InputError, match=f"{name} is {value}"):
        simulate_trial(tmp_path / "trial", replace(TACITO, **{name: value}))


def test_the_command_writes_two_arms_and_refuses_two_trials(tmp_path):
    written = CliRunner().invoke(main, ["simulate", str(tmp_path / "trial"), "--arms", "--taxa", "30"])
    assert written.exit_code == 0, written.output
    assert "sham FMT + ICI: sham" in (tmp_path / "trial" / "manifest.yaml").read_text()
    both = CliRunner().invoke(main, ["simulate", str(tmp_path / "other"), "--arms", "--five"])
    assert both.exit_code == 2
    assert "two different trials" in both.output


def test_five_patients_need_no_further_word(tmp_path):
    for words, deaths in ((["--five"], 5), (["--five", "first"], 1)):
        folder = tmp_path / f"{deaths}"
        simulated = CliRunner().invoke(main, ["simulate", str(folder), *words])
        assert simulated.exit_code == 0, simulated.output
        patients = pd.read_csv(folder / "patients.csv")
        assert len(patients) == 5
        assert patients["died"].sum() == deaths
