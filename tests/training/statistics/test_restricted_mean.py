"""Restricted mean survival, against the mean of uncensored times and an integral."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from tests.training.statistics.freireich import EVENT, TIME, TREATED
from training.statistics.restricted_mean import restricted_mean, restricted_mean_difference


@pytest.mark.parametrize("until", [3.5, 10.0, 40.0])
def test_without_censoring_it_is_the_mean_of_times_cut_off(until):
    time = np.array([2.0, 3, 5, 5, 9, 14, 20, 33])
    mean, variance = restricted_mean(time, np.ones(8, bool), until)
    cut = np.minimum(time, until)
    assert mean == pytest.approx(cut.mean())
    assert variance == pytest.approx(cut.var() / 8)


def test_with_censoring_it_is_the_area_under_kaplan_and_meiers_curve():
    result = restricted_mean_difference(TIME, EVENT, TREATED)
    assert result.horizon == 23
    for mean, members in zip(result.means, (TREATED, ~TREATED), strict=True):
        curve = SurvfuncRight(TIME[members], EVENT[members].astype(int))
        days = np.arange(0, 23)
        steps = np.searchsorted(curve.surv_times, days, side="right")
        assert mean == pytest.approx(np.append(1, curve.surv_prob)[steps].sum())
    assert result.difference.value == pytest.approx(result.means[0] - result.means[1])
    assert result.difference.low > 0
    assert result.p < 0.001
