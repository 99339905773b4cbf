"""Exact intervals against SciPy's, and the group of a probability."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from models.evidence import EventRate, ProbabilityGroup
from models.rates import event_rate, exact_interval, similar_predictions

from .conftest import validation_of

COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts=COUNTS)
def test_the_interval_is_clopper_and_pearsons(counts: tuple[int, int]) -> None:
    events, patients = counts
    interval = binomtest(events, patients).proportion_ci(method="exact")
    assert exact_interval(events, patients) == pytest.approx((interval.low, interval.high), abs=1e-9)


@given(counts=COUNTS)
def test_events_and_others_mirror_each_other(counts: tuple[int, int]) -> None:
    events, patients = counts
    low, high = exact_interval(events, patients)
    assert exact_interval(patients - events, patients) == pytest.approx((1 - high, 1 - low))


def test_the_rate_of_no_patients_is_unknown() -> None:
    assert event_rate(0, 0) == EventRate(0, 0, None, 0.0, 1.0)
    assert event_rate(3, 4).rate == 0.75


def test_a_probability_belongs_to_one_group() -> None:
    lower, upper = (ProbabilityGroup(low, high, event_rate(5, 20)) for low, high in ((0.0, 0.4), (0.4, 1.0)))
    validation = replace(validation_of({}), outcomes_by_probability=(lower, upper))
    groups = [similar_predictions(validation, probability) for probability in (0.0, 0.39, 0.4, 1.0)]
    assert groups == [lower, lower, upper, upper]
    assert similar_predictions(validation_of({}), 0.5) is None
    assert similar_predictions(None, 0.5) is None
