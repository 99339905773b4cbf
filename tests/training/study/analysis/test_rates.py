"""Exact rates against statsmodels and the published rule of three."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from training.study.analysis.rates import exact_rate, one_sided_bound


def test_no_event_in_five_patients_excludes_45_or_52_percent():
    assert one_sided_bound(5) == pytest.approx(0.4507, abs=1e-4)
    assert exact_rate(0, 5).high == pytest.approx(0.5218, abs=1e-4)


@settings(deadline=None)
@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_rates_have_clopper_and_pearsons_intervals(counts):
    events, n = counts
    rate = exact_rate(events, n)
    np.testing.assert_allclose((rate.low, rate.high), proportion_confint(events, n, method="beta"), atol=1e-9)
