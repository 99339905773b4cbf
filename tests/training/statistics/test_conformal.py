"""Conformal p-values by their definition and their promise; coverage by hand."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.statistics.conformal import conformal_coverage, conformal_p
from training.statistics.venn_abers import range_coverage


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), max_size=30), st.integers(-4, 4))
def test_p_values_count_the_patients_at_least_as_strange(calibration, margin):
    y = np.array([label for label, _ in calibration], dtype=float)
    margins = np.array([value for _, value in calibration], dtype=float)
    p_event, p_no_event = conformal_p(y, margins, np.array([float(margin)]))
    events = [value for label, value in calibration if label] + [margin]
    non_events = [value for label, value in calibration if not label] + [margin]
    assert p_event[0] == pytest.approx(sum(value <= margin for value in events) / len(events))
    assert p_no_event[0] == pytest.approx(sum(value >= margin for value in non_events) / len(non_events))


def test_the_level_is_kept_for_each_label_however_rare_and_however_poor_the_model():
    """Exchangeable patients, a tenth with the event, log-odds that are half noise and far off calibration."""
    rng = np.random.default_rng(0)
    coverages = []
    for _ in range(60):
        y = (rng.random(1200) < 0.1).astype(float)
        margin = 5 + 0.5 * y + rng.normal(size=1200)
        p_event, p_no_event = conformal_p(y[:600], margin[:600], margin[600:])
        label = np.where(y[600:] == 1, "event", "other").astype(object)
        coverage = conformal_coverage(y[600:], p_event, p_no_event, label)
        coverages.append([coverage["event"].coverage, coverage["other"].coverage])
    assert np.mean(coverages, axis=0) == pytest.approx([0.9, 0.9], abs=0.02)


def test_coverage_falls_where_patients_are_not_exchangeable():
    rng = np.random.default_rng(1)
    y = (np.arange(400) % 2).astype(float)
    margin = 2 * y + rng.normal(size=400)
    p_event, p_no_event = conformal_p(y, margin, margin - 2)
    label = np.where(y == 1, "event", "other").astype(object)
    assert conformal_coverage(y, p_event, p_no_event, label)["event"].coverage < 0.6


def test_sets_are_counted_by_cohort():
    y = np.array([1.0, 0, 1, 0, 1, 1])
    p_event = np.array([0.5, 0.5, 0.05, 0.05, 0.9, 0.05])
    p_no_event = np.array([0.05, 0.5, 0.05, 0.9, 0.01, 0.9])
    coverage = conformal_coverage(y, p_event, p_no_event, np.array(["a", "a", "a", "a", "b", "b"], dtype=object))
    # a: {event} right, {both} right, {} wrong, {other} right.
    assert coverage["a"].coverage == 0.75
    assert (coverage["a"].one_label, coverage["a"].two_labels, coverage["a"].no_label) == (0.5, 0.25, 0.25)
    assert (coverage["b"].coverage, coverage["b"].one_label) == (0.5, 1)
    json.dumps({name: asdict(cohort_coverage) for name, cohort_coverage in coverage.items()}, allow_nan=False)


def test_a_higher_level_asks_for_larger_sets():
    p = np.array([0.15])
    coverage = conformal_coverage(np.ones(1), p, p, np.array(["a"], dtype=object), level=0.8)["a"]
    assert (coverage.no_label, coverage.coverage) == (1, 0)
    assert conformal_coverage(np.ones(1), p, p, np.array(["a"], dtype=object), level=0.9)["a"].two_labels == 1


def test_ranges_stand_beside_the_outcome():
    y, cohorts = np.array([1.0, 0, 1, 1]), np.array(["a", "a", "b", "b"], dtype=object)
    coverage = range_coverage(y, np.array([0.3, 0.4, 0.5, 0.6]), np.array([0.5, 0.7, 0.6, 0.8]), cohorts)
    assert (coverage["a"].low, coverage["a"].high, coverage["a"].width) == pytest.approx((0.35, 0.6, 0.25))
    assert (coverage["a"].observed, coverage["a"].inside, coverage["b"].inside) == (0.5, True, False)
    json.dumps({name: asdict(cohort_coverage) for name, cohort_coverage in coverage.items()}, allow_nan=False)
