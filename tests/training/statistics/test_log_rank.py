"""The log-rank test, against statsmodels, published figures and all permutations."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from statsmodels.duration.survfunc import survdiff

from tests.training.statistics.freireich import EVENT, TIME, TREATED
from training.statistics.log_rank import log_rank


def test_freireichs_trial_has_the_published_chi_squared():
    result = log_rank(TIME, EVENT, TREATED)
    assert result.statistic == pytest.approx(16.79, abs=0.005)
    assert result.statistic == pytest.approx(survdiff(TIME, EVENT.astype(int), TREATED)[0])
    assert result.method == "permutation"
    assert result.p <= 0.001


def test_the_least_p_is_that_of_the_most_extreme_assignment():
    time, event = np.arange(1.0, 7.0), np.ones(6, dtype=bool)
    result = log_rank(time, event, np.array([1, 1, 1, 0, 0, 0], dtype=bool))
    # Of 20 assignments, this one and its complement have the largest excess.
    assert result.p == result.least_p == pytest.approx(0.1)
    assert log_rank(time, event, np.array([1, 0, 1, 0, 1, 0], dtype=bool)).p > result.least_p


def test_many_events_have_the_p_of_chi_squared():
    rng = np.random.default_rng(5)
    group = rng.random(120) < 0.5
    time, event = np.ceil(rng.exponential(10 + 5 * group)), rng.random(120) < 0.8
    statistic, p = survdiff(time, event.astype(int), group)
    assert (log_rank(time, event, group).statistic, log_rank(time, event, group).p) == pytest.approx((statistic, p))


def test_few_patients_are_permuted_over_all_assignments():
    time, event = np.array([2.0, 3, 3, 5, 8, 9, 9, 12]), np.array([1, 1, 0, 1, 1, 0, 1, 0], dtype=bool)
    group = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool)

    def excess(members):
        days = np.unique(time[event])
        at_risk = [(time >= day, (time == day) & event) for day in days]
        return sum((ends & members).sum() - ends.sum() * (risk & members).sum() / risk.sum() for risk, ends in at_risk)

    assignments = [np.isin(np.arange(8), members) for members in combinations(range(8), 4)]
    expected = np.mean([abs(excess(members)) >= abs(excess(group)) - 1e-9 for members in assignments])
    assert log_rank(time, event, group).p == pytest.approx(expected)


def test_arms_without_events_do_not_differ():
    result = log_rank(np.array([1.0, 2, 3, 4]), np.zeros(4, bool), np.array([True, False, True, False]))
    assert np.isnan(result.statistic)
    assert result.p == 1


def test_strata_are_those_of_statsmodels_and_are_permuted_within():
    rng = np.random.default_rng(6)
    strata = np.repeat(["a", "b", "c"], 50)
    group = rng.random(150) < np.repeat([0.2, 0.5, 0.8], 50)
    time, event = np.ceil(rng.exponential(np.repeat([5.0, 15, 40], 50))), rng.random(150) < 0.8
    statistic, p = survdiff(time, event.astype(int), group, strata=strata)
    result = log_rank(time, event, group, strata)
    assert (result.statistic, result.p) == pytest.approx((statistic, p))
    few = slice(20, 130, 4)
    permuted = log_rank(time[few], event[few], group[few], strata[few])
    assert permuted.method == "permutation"
    assert permuted.p == pytest.approx(
        survdiff(time[few], event[few].astype(int), group[few], strata=strata[few])[1], abs=0.05
    )
