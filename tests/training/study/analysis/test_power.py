"""Simulated power against exact and textbook power."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, mannwhitneyu, norm
from statsmodels.stats.power import TTestPower

from features.errors import InputError
from training.study.analysis.power import (
    EFFECT_SHARES,
    GOALS,
    MIN_UNITS_FOR_T,
    critical_counts,
    power_result,
    required_patients,
)
from training.study.analysis.trial_design import TrialDesign
from training.study.plan import plan_sentences, write_plan

MANY = 20_000


def power(design, goal, n, share=1.0, seed=1):
    return GOALS[goal](design, n, share, np.random.default_rng(seed)).mean()


@given(st.integers(1, 60), st.sampled_from([0.05, 0.2, 1 / 3, 0.5, 0.7]), st.sampled_from([0.01, 0.05, 0.2]))
def test_critical_counts_are_those_of_the_exact_test(n, rate, alpha):
    max_low, min_high = critical_counts(n, rate, alpha)
    for k in range(n + 1):
        assert (k <= max_low or k >= min_high) == (binomtest(k, n, rate).pvalue <= alpha)


@pytest.mark.parametrize(("rate", "historical_rate"), [(0.4, 0.2), (0.1, 0.3)])
def test_power_of_a_response_rate_is_exact(rate, historical_rate):
    design = TrialDesign(response_rate=rate, historical_rate=historical_rate, simulations=MANY)
    for n in (5, 17, 41):
        counts = np.arange(n + 1)
        rejected = np.array([binomtest(k, n, historical_rate).pvalue <= 0.05 for k in counts])
        side = counts > n * historical_rate if rate > historical_rate else counts < n * historical_rate
        exact = binom.pmf(counts, n, rate)[rejected & side].sum()
        assert power(design, "response", n) == pytest.approx(exact, abs=4 * 0.5 / MANY**0.5)


@pytest.mark.parametrize("n", [12, 30])
def test_power_of_a_cytokine_change_is_that_of_students_t(n):
    design = TrialDesign(fold_change=1.8, between_sd=0.4, within_sd=0.7, simulations=MANY)
    effect = np.log2(1.8) / np.sqrt(0.4**2 + 2 * 0.7**2)
    expected = TTestPower().power(effect, n, 0.05, alternative="two-sided")
    assert power(design, "cytokine", n) == pytest.approx(expected, abs=4 * 0.5 / MANY**0.5)


def test_power_of_convergence_is_that_of_the_donor_means():
    design = TrialDesign(convergence=0.6, per_donor=3, donor_correlation=0.4, simulations=MANY)
    donors, sd = 12, np.sqrt(0.4 + 0.6 / 3)
    expected = TTestPower().power(0.6 / sd, donors, 0.05, alternative="two-sided")
    assert power(design, "approach", 3 * donors) == pytest.approx(expected, abs=4 * 0.5 / MANY**0.5)


def test_power_of_an_auroc_is_that_of_the_rank_sum_test():
    design, n, rng = TrialDesign(auroc=0.75, simulations=4000), 40, np.random.default_rng(5)
    shift, rejections = np.sqrt(2) * norm.ppf(0.75), 0
    for _ in range(1500):
        y = rng.random(n) < design.response_rate
        x = rng.standard_normal(n) + shift * y
        test = mannwhitneyu(x[y], x[~y], method="asymptotic", use_continuity=False)
        rejections += test.pvalue <= 0.05 and test.statistic > y.sum() * (~y).sum() / 2
    assert power(design, "auroc", n) == pytest.approx(rejections / 1500, abs=4 * 0.5 / 1500**0.5)


def test_five_patients_cannot_show_a_change_however_large():
    assert power(TrialDesign(fold_change=1000), "cytokine", 5) == 0
    assert power(TrialDesign(fold_change=1000), "cytokine", 6) > 0.99


@pytest.mark.parametrize("name", ["response", "auroc", "approach", "cytokine"])
@pytest.mark.parametrize("n", [5, 10, 20, 60])
def test_without_an_effect_tests_keep_their_level(name, n):
    design = TrialDesign(simulations=MANY, per_donor=1)
    slack = 0.01 if name == "auroc" and n < 20 else 0.0
    assert power(design, name, n, share=0.0) <= 0.05 + slack + 4 * np.sqrt(0.05 * 0.95 / MANY)


def test_the_required_number_is_the_first_that_keeps_the_power():
    curve = pd.DataFrame({"patients": [10, 11, 12, 13, 14], "power": [0.85, 0.79, 0.82, 0.9, 0.95]})
    curve = curve.assign(low=curve["power"] - 0.03, high=curve["power"] + 0.03)
    assert required_patients(curve, 0.8) == 13
    assert required_patients(curve, 0.99) is None


def test_a_plan_is_complete_reproducible_and_written(tmp_path):
    design, calls = TrialDesign(max_patients=60, simulations=300), []
    result = power_result(design, lambda: calls.append(1))
    assert len(calls) == len(GOALS) == len(plan_sentences(result))
    pd.testing.assert_frame_equal(result.curves, power_result(design).curves)
    assert set(result.curves["effect"]) == set(EFFECT_SHARES.values())
    assert ((result.curves["low"] <= result.curves["power"]) & (result.curves["power"] <= result.curves["high"])).all()
    for required, sentence in zip(result.required.values(), plan_sentences(result), strict=True):
        assert sentence.startswith("More than 60" if required is None else f"{required} patients")
    write_plan(tmp_path / "new" / "plan", result)
    table = pd.read_csv(tmp_path / "new" / "plan" / "plan.csv")
    assert len(table) == len(result.curves)
    assert {path.suffix for path in (tmp_path / "new" / "plan").iterdir()} == {".csv", ".svg", ".png"}


def test_a_larger_effect_requires_fewer_patients():
    designs = (TrialDesign(max_patients=60, simulations=300, fold_change=fold) for fold in (2.0, 4.0))
    twofold, fourfold = (power_result(design).required["cytokine"] for design in designs)
    assert 6 <= fourfold < twofold
    assert fourfold < MIN_UNITS_FOR_T


@pytest.mark.parametrize(
    "parameters",
    [
        {"alpha": 0}, {"power": 1}, {"auroc": 0.5}, {"auroc": 1.0}, {"donor_correlation": 1}, {"per_donor": 0},
        {"max_patients": 4}, {"within_sd": 0}, {"fold_change": 0}, {"fold_change": 1}, {"convergence": 0},
        {"response_rate": 0.2, "historical_rate": 0.2},
    ],
)  # fmt: skip
def test_an_invalid_design_is_refused(parameters):
    with pytest.raises(InputError, match="expected"):
        TrialDesign(**parameters)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    design = TrialDesign(max_patients=5, simulations=100)
    with pytest.raises(InputError, match="cannot be written"):
        write_plan(tmp_path / "file" / "plan", power_result(design))
