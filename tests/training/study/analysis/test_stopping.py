"""Stopping boundary against numerical integration and the enumeration of all trials."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from training.study.analysis.stopping import above_limit, operating_characteristics, stopping_boundary, stopping_result
from training.study.section import write_topic


def test_the_posterior_is_the_likelihood_times_the_prior():
    def density(rate: float) -> float:
        return float(beta.pdf(rate, 0.3, 0.7) * rate**2 * (1 - rate) ** 3)

    below_limit, beyond_limit = quad(density, 0, 0.3)[0], quad(density, 0.3, 1)[0]
    assert above_limit(2, 5, 0.3) == pytest.approx(beyond_limit / (below_limit + beyond_limit), rel=1e-5)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(0.05, 0.6), st.floats(0.6, 0.99))
def test_the_boundary_is_the_smallest_number_with_the_required_certainty(n, limit, certainty):
    boundary = stopping_boundary(n, limit, certainty)
    assert boundary.stop_at.size == n
    assert (np.diff(boundary.stop_at) >= 0).all()
    for patients, stop_at in enumerate(boundary.stop_at, 1):
        if stop_at <= patients:
            assert beta.sf(limit, limit + stop_at, 1 - limit + patients - stop_at) >= certainty
        assert beta.sf(limit, limit + stop_at - 1, 1 - limit + patients - stop_at + 1) < certainty


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.6])
def test_operating_characteristics_agree_with_the_enumeration_of_all_trials(rate):
    boundary = stopping_boundary(9, 0.3, 0.85)
    stopped = treated = events = 0.0
    for sequence in product((0, 1), repeat=9):
        probability = rate ** sum(sequence) * (1 - rate) ** (9 - sum(sequence))
        stops = np.flatnonzero(np.cumsum(sequence) >= boundary.stop_at)
        n = stops[0] + 1 if stops.size else 9
        stopped += probability * bool(stops.size)
        treated += probability * n
        events += probability * sum(sequence[:n])
    row = operating_characteristics(boundary, np.array([rate])).iloc[0]
    assert row.tolist() == pytest.approx([rate, stopped, treated, events])


def test_with_one_patient_no_number_stops_a_trial():
    result = stopping_result(pd.DataFrame({"patient": ["a"], "grade": [3.0]}), 1)
    assert "of 1 patient no number would stop the trial" in write_topic("safety/stopping", result).summary[0]
