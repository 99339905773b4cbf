"""Net benefit by hand and by its laws."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.statistics.decision import THRESHOLDS, decision_curves, net_benefit

PATIENTS = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=30)


def test_net_benefit_is_vickers_and_elkins():
    """100 patients, 20 with the event: at 10%, 18 of 60 acted on have it: 18/100 - 42/100 * 1/9."""
    y = np.repeat([1.0, 1, 0, 0], [18, 2, 42, 38])
    probability = np.repeat([0.4, 0.05, 0.2, 0.01], [18, 2, 42, 38])
    assert net_benefit(y, probability, np.array([0.1]))[0, 0] == pytest.approx(0.18 - 0.42 / 9)


@given(PATIENTS)
def test_net_benefit_counts_as_a_loop_does(patients):
    y, probability = np.array(patients, dtype=float).T
    for threshold, benefit in zip(THRESHOLDS, net_benefit(y, probability, THRESHOLDS)[0], strict=True):
        true = sum(1 for outcome, p in patients if p >= threshold and outcome)
        false = sum(1 for outcome, p in patients if p >= threshold and not outcome)
        assert benefit == pytest.approx(true / len(patients) - false / len(patients) * threshold / (1 - threshold))


@given(PATIENTS, st.integers(0, 1000))
def test_weights_mean_how_often_a_patient_counts(patients, seed):
    y, probability = np.array(patients, dtype=float).T
    weights = np.random.default_rng(seed).integers(0, 4, len(y))
    weights[0] += 1
    weighted = net_benefit(y, probability, THRESHOLDS, weights[None, :].astype(float))
    repeated = net_benefit(np.repeat(y, weights), np.repeat(probability, weights), THRESHOLDS)
    assert weighted == pytest.approx(repeated)


def test_acting_on_all_is_worth_nothing_at_the_prevalence():
    y = np.repeat([1.0, 0.0], [30, 70])
    assert net_benefit(y, np.ones(100), np.array([0.3]))[0, 0] == pytest.approx(0)
    # No model is worth more than acting on the events alone.
    assert net_benefit(y, y, THRESHOLDS) == pytest.approx(np.full((1, 19), 0.3))


def test_curves_stand_by_cohort():
    rng = np.random.default_rng(0)
    cohorts = np.repeat(np.array(["large", "small"], dtype=object), [400, 60])
    y = (rng.random(460) < 0.4).astype(float)
    probability = np.clip(0.3 * y + rng.uniform(0.1, 0.6, 460), 0, 1)
    curves = decision_curves(y, probability, cohorts, n_bootstrap=200)
    assert [curves[name].indicative for name in ("large", "small")] == [False, True]
    for name, curve in curves.items():
        mask = cohorts == name
        assert (curve.patients, curve.events) == (mask.sum(), y[mask].sum())
        assert curve.model == pytest.approx(net_benefit(y[mask], probability[mask], THRESHOLDS)[0].tolist())
        assert curve.treat_all[7] == pytest.approx(y[mask].mean() - (1 - y[mask].mean()) * 2 / 3)
        assert all(low <= model <= high for low, model, high in zip(curve.low, curve.model, curve.high, strict=True))
        json.dumps(asdict(curve), allow_nan=False)
    widths = [np.subtract(curves[name].high, curves[name].low).mean() for name in ("large", "small")]
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(400 / 60), rel=0.3)


@pytest.mark.parametrize(("events", "non_events", "indicative"), [(100, 100, False), (99, 300, True), (300, 99, True)])
def test_few_events_or_few_others_are_indicative(events, non_events, indicative):
    y = np.repeat([1.0, 0.0], [events, non_events])
    curves = decision_curves(y, y, np.full(len(y), "a", dtype=object), n_bootstrap=2)
    assert curves["a"].indicative is indicative
