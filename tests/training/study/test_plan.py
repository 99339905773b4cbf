"""Planning by simulation against exact and textbook power."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, mannwhitneyu, norm
from statsmodels.stats.power import TTestPower

from features.errors import InputError
from training.study.plan import EXACT, SHARES, Plan, critical_counts, enough, goals, planned, write_plan

MANY = 20_000


def power(plan, name, n, share=1.0, seed=1):
    goal = next(goal for goal in goals(plan) if goal.name == name)
    return goal.shows(n, share, np.random.default_rng(seed)).mean()


@given(st.integers(1, 60), st.sampled_from([0.05, 0.2, 1 / 3, 0.5, 0.7]), st.sampled_from([0.01, 0.05, 0.2]))
def test_critical_counts_are_those_of_the_exact_test(n, rate, alpha):
    below, above = critical_counts(n, rate, alpha)
    for k in range(n + 1):
        assert (k <= below or k >= above) == (binomtest(k, n, rate).pvalue <= alpha)


@pytest.mark.parametrize(("rate", "known"), [(0.4, 0.2), (0.1, 0.3)])
def test_power_of_a_rate_is_the_exact_one(rate, known):
    plan = Plan(response_rate=rate, historical_rate=known, simulations=MANY)
    for n in (5, 17, 41):
        counts = np.arange(n + 1)
        rejected = np.array([binomtest(k, n, known).pvalue <= 0.05 for k in counts])
        side = counts > n * known if rate > known else counts < n * known
        exact = binom.pmf(counts, n, rate)[rejected & side].sum()
        assert power(plan, "response", n) == pytest.approx(exact, abs=4 * 0.5 / MANY**0.5)


@pytest.mark.parametrize("n", [12, 30])
def test_power_of_a_cytokine_is_that_of_students_t(n):
    plan = Plan(fold_change=1.8, between_sd=0.4, within_sd=0.7, simulations=MANY)
    effect = np.log2(1.8) / np.sqrt(0.4**2 + 2 * 0.7**2)
    expected = TTestPower().power(effect, n, 0.05, alternative="two-sided")
    assert power(plan, "cytokine", n) == pytest.approx(expected, abs=4 * 0.5 / MANY**0.5)


def test_power_of_an_approach_is_that_of_its_donors_means():
    plan = Plan(approach=0.6, per_donor=3, donor_correlation=0.4, simulations=MANY)
    donors, sd = 12, np.sqrt(0.4 + 0.6 / 3)
    expected = TTestPower().power(0.6 / sd, donors, 0.05, alternative="two-sided")
    assert power(plan, "approach", 3 * donors) == pytest.approx(expected, abs=4 * 0.5 / MANY**0.5)


def test_power_of_an_auroc_is_that_of_the_rank_sum_test():
    plan, n, rng = Plan(auroc=0.75, simulations=4000), 40, np.random.default_rng(5)
    shift, shows = np.sqrt(2) * norm.ppf(0.75), 0
    for _ in range(1500):
        y = rng.random(n) < plan.response_rate
        x = rng.standard_normal(n) + shift * y
        found = mannwhitneyu(x[y], x[~y], method="asymptotic", use_continuity=False)
        shows += found.pvalue <= 0.05 and found.statistic > y.sum() * (~y).sum() / 2
    assert power(plan, "auroc", n) == pytest.approx(shows / 1500, abs=4 * 0.5 / 1500**0.5)


def test_five_patients_show_no_change_however_large():
    assert power(Plan(fold_change=1000), "cytokine", 5) == 0
    assert power(Plan(fold_change=1000), "cytokine", 6) > 0.99


@pytest.mark.parametrize("name", ["response", "auroc", "approach", "cytokine"])
@pytest.mark.parametrize("n", [5, 10, 20, 60])
def test_without_an_effect_the_level_is_kept(name, n):
    plan = Plan(simulations=MANY, per_donor=1)
    slack = 0.01 if name == "auroc" and n < 20 else 0.0
    assert power(plan, name, n, share=0.0) <= 0.05 + slack + 4 * np.sqrt(0.05 * 0.95 / MANY)


def test_enough_is_the_first_number_that_keeps_the_power():
    curve = pd.DataFrame({"patients": [10, 11, 12, 13, 14], "power": [0.85, 0.79, 0.82, 0.9, 0.95]})
    curve = curve.assign(low=curve["power"] - 0.03, high=curve["power"] + 0.03)
    assert enough(curve, 0.8) == 13
    assert enough(curve, 0.99) is None


def test_a_plan_is_whole_repeatable_and_written(tmp_path):
    plan, done = Plan(most=60, simulations=300), []
    found = planned(plan, lambda: done.append(1))
    assert len(done) == len(goals(plan)) == len(found.answers)
    pd.testing.assert_frame_equal(found.curves, planned(plan).curves)
    assert set(found.curves["effect"]) == set(SHARES.values())
    assert ((found.curves["low"] <= found.curves["power"]) & (found.curves["power"] <= found.curves["high"])).all()
    for goal, said in zip(goals(plan), found.answers, strict=True):
        needed = found.needed[goal.name]
        assert said.startswith("more than 60" if needed is None else f"{needed} patients")
    write_plan(tmp_path / "new" / "plan", plan, found)
    written = pd.read_csv(tmp_path / "new" / "plan" / "plan.csv")
    assert len(written) == len(found.curves)
    assert {path.suffix for path in (tmp_path / "new" / "plan").iterdir()} == {".csv", ".svg", ".png"}


def test_a_larger_effect_needs_fewer_patients():
    found = [planned(Plan(most=60, simulations=300, fold_change=fold)).needed["cytokine"] for fold in (2.0, 4.0)]
    assert found[1] < found[0]
    assert found[1] >= 6 < EXACT


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0}, {"power": 1}, {"auroc": 0.5}, {"auroc": 1.0}, {"donor_correlation": 1}, {"per_donor": 0},
        {"most": 4}, {"within_sd": 0}, {"fold_change": 0}, {"fold_change": 1}, {"approach": 0},
        {"response_rate": 0.2, "historical_rate": 0.2},
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused(wrong):
    with pytest.raises(InputError, match="expected"):
        Plan(**wrong)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    plan = Plan(most=5, simulations=100)
    with pytest.raises(InputError, match="cannot be written"):
        write_plan(tmp_path / "file" / "plan", plan, planned(plan))
