"""Simulated power of two arms against textbook power, and what sharing donors costs."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import TTestIndPower

from features.errors import InputError
from training.statistics.ancova import adjusted_difference
from training.statistics.log_rank import _scores
from training.study.analysis.power import power_result
from training.study.analysis.power_arms import TWO_ARM_GOALS, log_rank_scores
from training.study.analysis.trial_design import TwoArmDesign
from training.study.plan import plan_sentences, write_plan

MANY = 4000
ERROR = 4 * 0.5 / MANY**0.5


def power(design, goal, n, share=1.0, seed=1):
    return TWO_ARM_GOALS[goal](design, n, share, np.random.default_rng(seed)).mean()


def independent(**parameters):
    """Return a design in which each recipient has a donor of its own."""
    return TwoArmDesign(donors=100, donor_correlation=0, simulations=MANY, **parameters)


def test_with_a_donor_each_power_is_that_of_students_t():
    expected = TTestIndPower().power(0.6, 30, 0.05)
    assert power(independent(convergence=0.6), "approach", 60) == pytest.approx(expected, abs=ERROR)
    effect = np.log2(1.8) / np.sqrt(0.4**2 + 2 * 0.7**2)
    design = independent(fold_change=1.8, between_sd=0.4, within_sd=0.7)
    expected = TTestIndPower().power(effect, 25, 0.05)
    assert power(design, "cytokine", 50) == pytest.approx(expected, abs=ERROR)


def test_with_a_donor_each_power_of_survival_is_schoenfelds():
    """Schoenfeld 1981, Biometrika 68:316-319: z = |log hazard ratio| sqrt(events / 4)."""
    from scipy.stats import norm

    design = independent(hazard_ratio=0.55, control_median=6, accrual=0, follow_up=24)
    events = 70 * (2 - 0.5 ** (24 / 6) - 0.5 ** (0.55 * 24 / 6))
    expected = norm.cdf(-np.log(0.55) * np.sqrt(events / 4) - norm.ppf(0.975))
    assert power(design, "survival", 140) == pytest.approx(expected, abs=ERROR + 0.02)


@pytest.mark.parametrize("goal", TWO_ARM_GOALS)
@pytest.mark.parametrize("donors", [4, 8])
def test_without_an_effect_tests_of_shared_donors_keep_their_level_nearly(goal, donors):
    design = TwoArmDesign(donors=donors, donor_correlation=0.3, simulations=MANY)
    assert power(design, goal, 60, share=0.0) < 0.08


def test_more_patients_of_few_donors_are_worth_less_than_more_donors():
    few, many = (TwoArmDesign(donors=donors, donor_correlation=0.2, simulations=MANY) for donors in (3, 12))
    assert power(few, "approach", 200) < 0.4 < 0.5 < power(many, "approach", 100)


def test_scores_are_those_of_the_log_rank_test():
    rng = np.random.default_rng(0)
    time, event = rng.exponential(1, (3, 20)), rng.random((3, 20)) < 0.6
    for row, scores in enumerate(log_rank_scores(time, event)):
        assert scores == pytest.approx(_scores(time[row], event[row], np.arange(20) < 10)[0])


def test_the_test_is_that_of_the_report():
    """The rejections of a plan are those of the difference with donors as clusters that the report of arms shows."""
    from training.study.analysis.power_arms import _rejections

    design, rng = TwoArmDesign(donors=3), np.random.default_rng(3)
    y = rng.standard_normal((200, 21)) + 1.2 * (np.arange(21) < 11)
    cluster = np.where(np.arange(21) < 11, np.arange(21) % 3, np.arange(21))
    expected = [adjusted_difference(row, None, np.arange(21) < 11, cluster + 0).p <= 0.05 for row in y]
    assert 0.05 < np.mean(expected) < 0.95
    assert _rejections(design, y, 0).tolist() == expected


def test_a_plan_of_two_arms_is_written_with_a_sentence_for_each_effect(tmp_path):
    result = power_result(TwoArmDesign(max_patients=20, simulations=100, fold_change=30))
    sentences = plan_sentences(result)
    assert list(result.required) == ["response", "survival", "approach", "cytokine"]
    assert [sentence.startswith("More than 20") for sentence in sentences[:3]] == [True] * 3
    assert sentences[3].startswith(f"{result.required['cytokine']} patients")
    assert "hazard ratio of 0.5" in sentences[1]
    assert "4 donors" in sentences[4]
    write_plan(tmp_path, result)
    assert "progression-free survival: more than 20" in (tmp_path / "plan.svg").read_text()


@pytest.mark.parametrize(
    "parameters",
    [
        {"control_rate": 0.52}, {"control_rate": 0}, {"hazard_ratio": 1}, {"hazard_ratio": 0}, {"donors": 1},
        {"donors": 20, "max_patients": 30}, {"accrual": 0, "follow_up": 0}, {"control_median": 0},
        {"hazard_ratio": float("nan")}, {"follow_up": float("nan")}, {"fold_change": float("inf")},
    ],
)  # fmt: skip
def test_an_invalid_design_is_refused(parameters):
    with pytest.raises(InputError, match="expected"):
        TwoArmDesign(**parameters)
