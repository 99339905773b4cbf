"""Response and toxicity of the training patients, counted together."""

from __future__ import annotations

import numpy as np

from features.arrays import Mask, Names, Vector
from features.feature_table import FeatureTable
from features.outcomes import OUTCOME_IDS, is_toxicity
from models.evidence import CellRates, CentreCells, JointCounts, JointTable, PooledOddsRatio
from models.rates import event_rate
from training.evidence.scores import reported
from training.statistics.mantel_haenszel import mantel_haenszel
from training.validation.folds import centres

FEWEST_FOR_ODDS_RATIO = 100
"""Patients below which an odds ratio of response and toxicity is not transferred to another patient."""


def known_outcomes(table: FeatureTable, outcome: str) -> dict[str, Vector]:
    """Return an outcome, and those of the other side that any row reports: 1, 0, or NaN, (n_rows,) each."""
    names = [outcome, *(name for name in OUTCOME_IDS if is_toxicity(name) != is_toxicity(outcome))]
    outcomes = {name: table.rows[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in names}
    return {name: values for name, values in outcomes.items() if np.isfinite(values).any()}


def count_response_and_toxicity(table: FeatureTable, outcome: str) -> JointCounts:
    """Return an outcome cross-classified with each known outcome of the other side, where both are known."""
    outcomes, centre_names = known_outcomes(table, outcome), centres(table.rows)
    tables = []
    for counterpart in outcomes.keys() - {outcome}:
        response, toxicity = (counterpart, outcome) if is_toxicity(outcome) else (outcome, counterpart)
        mask = np.isfinite(outcomes[response]) & np.isfinite(outcomes[toxicity])
        responded, harmed = outcomes[response][mask] == 1, outcomes[toxicity][mask] == 1
        tables.append(_joint_table(response, toxicity, responded, harmed, centre_names[mask]))
    tables.sort(key=lambda table: (OUTCOME_IDS.index(table.response), OUTCOME_IDS.index(table.toxicity)))
    side = "response" if is_toxicity(outcome) else "toxicity"
    reason = None if tables else f"no cohort reports the {side} of the patients whose {outcome} is known"
    return JointCounts(tuple(tables), reason)


def transferable_odds_ratios(joint_counts: JointCounts) -> tuple[PooledOddsRatio, ...]:
    """Return the odds ratios that rest on at least `FEWEST_FOR_ODDS_RATIO` patients."""
    odds_ratios = []
    for table in joint_counts.tables:
        estimate, patients = table.odds_ratio, table.overall.patients
        if estimate is None or patients < FEWEST_FOR_ODDS_RATIO:
            continue
        value, low, high = estimate.value, estimate.low, estimate.high
        assert value is not None
        assert low is not None
        assert high is not None
        odds_ratios.append(PooledOddsRatio(table.response, table.toxicity, patients, value, low, high))
    return tuple(odds_ratios)


def _joint_table(response: str, toxicity: str, responded: Mask, harmed: Mask, centre_names: Names) -> JointTable:
    counts = {
        name: _cell_counts(responded[centre_names == name], harmed[centre_names == name])
        for name in dict.fromkeys(centre_names.tolist())
    }
    odds_ratio = mantel_haenszel(np.array(list(counts.values())))
    return JointTable(
        response=response,
        toxicity=toxicity,
        centres=tuple(CentreCells(name, _cell_rates(cells)) for name, cells in counts.items()),
        overall=_cell_rates(_cell_counts(responded, harmed)),
        odds_ratio=None if odds_ratio is None else reported(odds_ratio),
    )


def _cell_counts(responded: Mask, harmed: Mask) -> list[int]:
    """Return the patients in each cell, in the order of the fields of `CellRates`."""
    cells = (responded & ~harmed, responded & harmed, ~responded & ~harmed, ~responded & harmed)
    return [int(cell.sum()) for cell in cells]


def _cell_rates(counts: list[int]) -> CellRates:
    patients = sum(counts)
    return CellRates(patients, *(event_rate(count, patients) for count in counts))
