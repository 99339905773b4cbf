"""The four cells of held-out patients: when they are estimated, and what they say of two models together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.joint import CELLS, cell_probabilities
from training.evidence.joint_cells import FEWEST_IN_CELL, Counterpart, held_out_odds_ratio
from training.evidence.scores import HeldOutScores

from ...models.conftest import invented

ODDS_RATIO = 4.0


def trial(n=300, seed=0):
    """Return a table with both outcomes, whose probabilities are known, and these probabilities."""
    rng = np.random.default_rng(seed)
    p, q = expit(rng.normal(0, 0.7, (2, n)))
    limits = np.cumsum(cell_probabilities(p, q, ODDS_RATIO), axis=0).T
    cell = (rng.random(n)[:, None] > limits).sum(axis=1).clip(0, 3)
    table = invented(n)
    rows = table.rows.assign(
        cohort=np.where(np.arange(n) % 2, "one", "two"),
        objective_response=pd.array(cell <= 1, dtype="boolean"),
        toxicity_any=pd.array((cell == 1) | (cell == 3), dtype="boolean"),
    )
    return replace(table, rows=rows), p, q


def held_out(table, outcome, probability, counterpart_outcome, counterpart_probability):
    y = table.rows[outcome].to_numpy(dtype=np.float64)
    n = len(y)
    scores = HeldOutScores(
        np.arange(n), y, table.rows["cohort"].to_numpy(str), np.zeros((1, n), dtype=int), probability[None],
        probability[None],
    )  # fmt: skip
    keys = zip(table.rows["cohort"], table.rows["patient"], strict=True)
    counterpart = Counterpart(
        counterpart_outcome, f"{counterpart_outcome}/3", dict(zip(keys, counterpart_probability.tolist(), strict=True))
    )
    return held_out_odds_ratio(table, outcome, scores, counterpart)


def test_both_models_together_give_the_odds_ratio_and_calibrated_cells():
    table, p, q = trial(600)
    from_response = held_out(table, "objective_response", p, "toxicity_any", q)
    from_toxicity = held_out(table, "toxicity_any", q, "objective_response", p)
    for ratio in (from_response, from_toxicity):
        assert (ratio.response, ratio.toxicity, ratio.patients) == ("objective_response", "toxicity_any", 600)
        assert ratio.low < ODDS_RATIO < ratio.high
        cells = ratio.held_out.cells
        assert [cell.name for cell in cells] == list(CELLS)
        assert sum(cell.predicted for cell in cells) == pytest.approx(1)
        assert sum(cell.observed.events for cell in cells) == 600
        assert ratio.held_out.calibrated
        assert ratio.held_out.log_score_gain.low > 0
        assert ratio.held_out.centres == 2
        assert ratio.held_out.spread < 0.5
    assert from_response.value == from_toxicity.value
    assert from_toxicity.held_out.counterpart == "objective_response/3"


def test_cells_of_calibrated_models_are_found_calibrated_at_their_level():
    calibrated = [held_out(t, "objective_response", p, "toxicity_any", q).held_out.calibrated
                  for t, p, q in (trial(200, seed) for seed in range(16))]  # fmt: skip
    assert sum(calibrated) >= 13


def test_wrong_probabilities_contradict_the_cells():
    table, p, q = trial()
    ratio = held_out(table, "objective_response", expit(logit(p) + 1.5), "toxicity_any", q)
    assert not ratio.held_out.calibrated
    # Wrong probabilities do not pass for dependence.
    assert ratio.low < ODDS_RATIO < ratio.high


def test_few_patients_or_a_rare_cell_leave_it_to_the_counts():
    table, p, q = trial(90)
    assert held_out(table, "objective_response", p, "toxicity_any", q) is None
    table, p, q = trial(300)
    rows = table.rows.copy()
    in_cell = np.flatnonzero(rows["objective_response"] & ~rows["toxicity_any"])
    rows.loc[in_cell[FEWEST_IN_CELL - 1 :], "toxicity_any"] = True
    assert held_out(replace(table, rows=rows), "objective_response", p, "toxicity_any", q) is None
    unknown = rows.assign(toxicity_any=pd.array([pd.NA] * 300, dtype="boolean"))
    assert held_out(replace(table, rows=unknown), "objective_response", p, "toxicity_any", q) is None
