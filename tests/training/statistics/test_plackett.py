"""The odds ratio given the probabilities of both events: recovered from simulated patients, with its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from statsmodels.stats.contingency_tables import Table2x2

from models.joint import cell_probabilities
from training.statistics.plackett import fit_plackett


def simulated(n, log_ratios, seed=0, shift=0.0):
    """Return margins, cells and centres of patients whose centres have these log odds ratios."""
    rng = np.random.default_rng(seed)
    centres = np.repeat([f"c{i}" for i in range(len(log_ratios))], n)
    p, q = expit(rng.normal(0, 0.8, (2, len(centres))))
    cells = np.empty((len(centres), 4), dtype=bool)
    for i, log_ratio in enumerate(log_ratios):
        mask = centres == f"c{i}"
        limits = np.stack(cell_probabilities(p[mask], q[mask], np.exp(log_ratio)), axis=1).cumsum(axis=1)
        cell = (rng.random(mask.sum())[:, None] > limits).sum(axis=1).clip(0, 3)
        cells[mask] = cell[:, None] == np.arange(4)
    logit = np.log(p / (1 - p)) + shift
    return expit(logit), q, cells, centres


def test_cells_have_the_margins_and_the_odds_ratio():
    p, q = np.array([0.2, 0.5, 0.9]), np.array([0.7, 0.5, 0.01])
    cells = np.stack(cell_probabilities(p, q, 3.5), axis=1)
    np.testing.assert_allclose(cells.sum(axis=1), 1)
    np.testing.assert_allclose(cells[:, 0] + cells[:, 1], p)
    np.testing.assert_allclose(cells[:, 1] + cells[:, 3], q)
    np.testing.assert_allclose(cells[:, 1] * cells[:, 2] / (cells[:, 0] * cells[:, 3]), 3.5, rtol=1e-9)


def test_with_constant_probabilities_it_is_the_odds_ratio_of_the_table():
    cells = np.repeat(np.eye(4, dtype=bool), [30, 40, 50, 25], axis=0)
    n = len(cells)
    fit = fit_plackett(np.full(n, 70 / 145), np.full(n, 65 / 145), cells, np.repeat("c", n))
    table = Table2x2(np.array([[40, 30], [25, 50]]))
    assert fit.odds_ratio == pytest.approx(table.oddsratio, rel=0.05)
    assert fit.spread == 0
    assert (fit.low, fit.high) == pytest.approx(table.oddsratio_confint(), rel=0.12)


@pytest.mark.parametrize("shift", [0.0, 1.2])
def test_intervals_cover_the_odds_ratio_though_probabilities_are_shifted(shift):
    truth, n_covered = np.log(3), 0
    for seed in range(20):
        fit = fit_plackett(*simulated(120, [truth] * 3, seed, shift))
        n_covered += fit.low <= 3 <= fit.high
    assert n_covered >= 17


def test_centres_that_differ_have_a_spread_and_a_wider_interval():
    alike, apart = (fit_plackett(*simulated(150, ratios, 1)) for ratios in ([1.0] * 5, [-1.0, 0.2, 1, 1.8, 3]))
    assert alike.spread < 0.5 < apart.spread
    assert np.log(apart.high / apart.low) > 1.5 * np.log(alike.high / alike.low)


def test_an_empty_cell_leaves_no_odds_ratio():
    cells = np.repeat(np.eye(4, dtype=bool), [0, 40, 50, 25], axis=0)
    assert fit_plackett(np.full(115, 0.4), np.full(115, 0.5), cells, np.repeat("c", 115)) is None
