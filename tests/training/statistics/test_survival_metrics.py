"""Metrics of censored times, against scikit-survival's figures, scikit-learn, statsmodels and the definitions."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from features.survival import CENSORED, DEATH, EVENT
from training.statistics.cumulative_incidence import cumulative_incidence, cumulative_incidence_at
from training.statistics.survival_metrics import (
    cumulative_dynamic_auc,
    harrell_c,
    survival_brier_score,
    survival_brier_skill,
    uno_c,
)

DAY = 365.0
METRICS = [harrell_c, uno_c, partial(cumulative_dynamic_auc, day=DAY), partial(cumulative_incidence_at, day=DAY)]
# Bone marrow transplants: relapse (1) and death in remission (2), in months; Scrucca, Santucci and Aversa 2007, Bone
# Marrow Transplantation 40:381-387.
BMT = np.array(
    [
        (13, 2), (1, 1), (72, 0), (7, 2), (8, 2), (67, 0), (9, 2), (5, 2), (70, 0), (4, 0), (7, 0), (68, 0), (1, 2),
        (10, 2), (7, 2), (3, 1), (4, 1), (4, 1), (3, 1), (3, 1), (22, 2), (8, 1), (2, 2), (0, 2), (0, 1), (35, 0),
        (35, 0), (4, 2), (14, 2), (26, 2), (3, 2), (2, 0), (8, 0), (32, 0), (12, 1),
    ],
    dtype=float,
)  # fmt: skip


def censored(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return times with their ends, and a score; no day has both an event and a censoring."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    t = np.ceil(rng.exponential(300 * np.exp(-0.7 * x)) * 10) / 10
    c = np.ceil(rng.uniform(50, 900, n) * 10) / 10 + 0.05
    return np.column_stack([np.minimum(t, c).round(2), t <= c]).astype(float), x


def test_figures_of_scikit_survival():
    """scikit-survival 0.25.0 on `censored()`, with train and test the same, GPL and so not a dependency.

    y = Surv.from_arrays(event, time); concordance_index_censored; concordance_index_ipcw(y, y, x[, tau=400]);
    cumulative_dynamic_auc(y, y, x, days); brier_score(y, y, 1 - 1 / (1 + exp(-x)), [day]).
    """
    y, x = censored()
    assert harrell_c(y, x)[0] == pytest.approx(0.6633451957295373, abs=1e-12)
    assert uno_c(y, x)[0] == pytest.approx(0.6537773828964205, abs=1e-12)
    assert uno_c(y, x, horizon=400)[0] == pytest.approx(0.6729046634368129, abs=1e-12)
    days = (180, 365, 600)
    auroc = [cumulative_dynamic_auc(y, x, day=day)[0] for day in days]
    np.testing.assert_allclose(auroc, [0.7387294, 0.77028824, 0.74092511], atol=1e-8)
    brier = [survival_brier_score(y, 1 / (1 + np.exp(-x)), day=day)[0] for day in days]
    np.testing.assert_allclose(brier, [0.20959274894517274, 0.19937399725052993, 0.2276038678204676], atol=1e-12)


def test_published_transplants():
    """Incidences of scikit-survival 0.25.0 (`cumulative_incidence_competing_risks`) and of statsmodels."""
    days, incidence = cumulative_incidence(BMT)
    steps = np.searchsorted(days, [0, 3, 8, 72])
    np.testing.assert_allclose(incidence[0, 0, steps], [0.028571, 0.145813, 0.237712, 0.272839], atol=5e-7)
    np.testing.assert_allclose(incidence[1, 0, steps], [0.028571, 0.115271, 0.270505, 0.481270], atol=5e-7)
    reference = CumIncidenceRight(BMT[:, 0], BMT[:, 1].astype(int))
    for curve, reference_curve in zip(incidence[:, 0], reference.cinc, strict=True):
        np.testing.assert_allclose(curve[np.searchsorted(days, reference.times)], reference_curve)


def test_death_as_censoring_would_overstate_the_event():
    days, incidence = cumulative_incidence(BMT)
    kaplan_meier = SurvfuncRight(BMT[:, 0], BMT[:, 1] == EVENT)
    assert 1 - kaplan_meier.surv_prob[-1] > incidence[0, 0, -1] + 0.05
    np.testing.assert_allclose(
        cumulative_incidence_at(BMT, BMT[:, 0], day=8), [incidence[0, 0, np.searchsorted(days, 8)]]
    )


def test_without_death_incidence_is_one_minus_kaplan_and_meier():
    y, _ = censored()
    days, incidence = cumulative_incidence(y)
    kaplan_meier = SurvfuncRight(y[:, 0], y[:, 1])
    np.testing.assert_allclose(
        incidence[0, 0, np.searchsorted(days, kaplan_meier.surv_times)], 1 - kaplan_meier.surv_prob
    )
    assert not incidence[1].any()


def test_without_censoring_a_day_makes_two_classes():
    rng = np.random.default_rng(1)
    y = np.column_stack([rng.integers(1, 900, 200), rng.choice([EVENT, DEATH], 200)]).astype(float)
    score = np.round(rng.standard_normal(200) - (y[:, 1] == EVENT), 1)
    had_event = (y[:, 1] == EVENT) & (y[:, 0] <= DAY)
    assert cumulative_dynamic_auc(y, score, day=DAY)[0] == pytest.approx(roc_auc_score(had_event, score))
    risk = rng.random(200)
    assert survival_brier_score(y, risk, day=DAY)[0] == pytest.approx(np.mean((risk - had_event) ** 2))
    assert uno_c(y, score)[0] == pytest.approx(harrell_c(y, score)[0])
    risks = np.column_stack([risk, np.full(200, had_event.mean())])
    assert survival_brier_skill(y, risks, day=DAY)[0] == pytest.approx(
        1 - np.mean((risk - had_event) ** 2) / (had_event.mean() * (1 - had_event.mean()))
    )


def test_concordance_by_its_definition():
    rng = np.random.default_rng(3)
    y = np.column_stack([rng.integers(1, 20, 40), rng.choice([CENSORED, EVENT, DEATH], 40)]).astype(float)
    score = rng.integers(0, 6, 40).astype(float)
    concordant = pairs = 0.0
    for i in range(40):
        for j in range(40):
            (a, ending_i), (b, ending_j) = y[i], y[j]
            if ending_i == EVENT and (ending_j == DEATH or b > a or (b == a and ending_j == CENSORED)):
                pairs += 1
                concordant += 1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0
    assert harrell_c(y, score)[0] == pytest.approx(concordant / pairs)


@pytest.mark.parametrize("metric", METRICS)
def test_a_draw_counts_a_patient_as_often_as_drawn(metric):
    """Resampling by weights, with censoring estimated anew, is resampling of rows."""
    rng = np.random.default_rng(7)
    y = np.column_stack([rng.integers(1, 800, 50), rng.choice([CENSORED, EVENT, DEATH], 50)]).astype(float)
    score = rng.standard_normal(50)
    weights = rng.multinomial(50, np.full(50, 1 / 50), size=4).astype(float)
    resampled_rows = [np.repeat(np.arange(50), row.astype(int)) for row in weights]
    values = [metric(y[rows], score[rows])[0] for rows in resampled_rows]
    np.testing.assert_allclose(metric(y, score, weights), values)


def test_beyond_the_last_day_followed_nothing_is_measured():
    y, x = censored()
    late = y[:, 0].max()
    assert np.isnan(
        [
            metric(y, x, day=late)[0]
            for metric in (cumulative_dynamic_auc, survival_brier_score, cumulative_incidence_at)
        ]
    ).all()
    only = np.zeros((2, len(y)))
    only[:, :5] = 1
    assert np.isnan(cumulative_dynamic_auc(y, x, only, day=late - 1)).all()


@given(st.integers(0, 1000), st.floats(0.1, 5))
def test_ranking_metrics_know_order_alone(seed, stretch):
    y, x = censored(30, seed)
    for metric in (harrell_c, uno_c, partial(cumulative_dynamic_auc, day=200.0)):
        np.testing.assert_allclose(metric(y, np.exp(stretch * x)), metric(y, x))
        np.testing.assert_allclose(metric(y, -x), 1 - metric(y, x))
