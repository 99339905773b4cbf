"""What the training cohorts show, in numbers of many patients: rates, response and toxicity together, distributions.

Nothing here may tell of one patient. Of fewer than `FEWEST` patients nothing is said but the counts. A quantile is
given only where at least `FEWEST_BEYOND` values lie at or below it and as many at or above, so that an extreme, being
one patient's own value, is given only where that many share it; and it is rounded, since a median may be one, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import Column, levels_by_field
from features.feature_table import Block, FeatureTable
from features.outcomes import OUTCOME_IDS, is_toxicity
from models.encoder import BlockEncoder
from models.joint import CELLS
from models.rates import event_rate
from training.statistics.mantel_haenszel import mantel_haenszel
from training.statistics.meta_analysis import rate_random_effects
from training.validation.folds import centres

Vector = NDArray[np.float64]
Names = NDArray[np.object_]

FEWEST = 20
FEWEST_BEYOND = 5
DIGITS = 3
"""Significant digits of a quantile."""
MOST_GROUPS = 5
"""Answers are cut into at most so many groups."""
FEWEST_TOGETHER = 100
"""Of fewer patients, an odds ratio of response and toxicity is not carried over to another patient."""
QUANTILES = (0, 5, 10, 25, 50, 75, 90, 95, 100)
DECILES = tuple(range(10, 100, 10))


def known_outcomes(table: FeatureTable, outcome: str) -> dict[str, Vector]:
    """Return an outcome, and those of the other side that are known of any row: 1, 0, or NaN, (n_rows,) each."""
    names = [outcome, *(name for name in OUTCOME_IDS if is_toxicity(name) != is_toxicity(outcome))]
    found = {name: table.rows[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in names}
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def rates(y: Vector, cohorts: Names) -> dict[str, Any]:
    """Return how many had the outcome: in each cohort, in all, and what to expect of one cohort more.

    `overall` counts patients as they are, with an exact interval, so that it can be checked by hand; as an estimate for
    another hospital it would be too sure of itself, since hospitals differ by more than chance. `random_effects` says
    how much: the mean over cohorts and the prediction interval for a new one.

    Parameters
    ----------
    y : ndarray, (n_rows,)
    cohorts : ndarray of str, (n_rows,)
    """
    each = {name: y[cohorts == name] for name in dict.fromkeys(cohorts.tolist())}
    events, patients = (np.array([count(one) for one in each.values()], dtype=np.float64) for count in (np.sum, len))
    return {
        "cohorts": [{"cohort": name, **asdict(event_rate(int(one.sum()), len(one)))} for name, one in each.items()],
        "overall": asdict(event_rate(int(y.sum()), len(y))),
        "random_effects": asdict(rate_random_effects(events, patients)),
    }


def together(table: FeatureTable, outcome: str) -> dict[str, Any]:
    """Return response and toxicity counted together, where both are known.

    Returns
    -------
    dict
        `tables`: for each outcome of the other side that is known of any row, `response` and `toxicity`, the `cohorts`
        and `overall`, each the number of `patients` and of `models.joint.CELLS`, the share of patients in each; and
        `odds_ratio`, Mantel and Haenszel's over cohorts, so that it is not of cohorts' differing rates. `reason`: why
        there is no table, or None.
    """
    found, cohorts = known_outcomes(table, outcome), centres(table.rows)
    tables = []
    for other in found.keys() - {outcome}:
        both = np.isfinite(found[other])
        response, toxicity = (other, outcome) if is_toxicity(outcome) else (outcome, other)
        had, harmed, of = found[response][both] == 1, found[toxicity][both] == 1, cohorts[both]
        counts = {name: _cell_counts(had[of == name], harmed[of == name]) for name in dict.fromkeys(of.tolist())}
        ratio = mantel_haenszel(np.array(list(counts.values())))
        tables.append(
            {
                "response": response,
                "toxicity": toxicity,
                "cohorts": [{"cohort": name, **_cells(one)} for name, one in counts.items()],
                "overall": _cells(_cell_counts(had, harmed)),
                "odds_ratio": ratio and asdict(ratio),
            }
        )
    tables.sort(key=lambda one: (OUTCOME_IDS.index(one["response"]), OUTCOME_IDS.index(one["toxicity"])))
    side = "response" if is_toxicity(outcome) else "toxicity"
    reason = None if tables else f"no cohort tells the {side} of the patients whose {outcome} is known"
    return {"tables": tables, "reason": reason}


def odds_ratios(both: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the odds ratios of `together` that rest on at least `FEWEST_TOGETHER` patients, for the evidence."""
    return [
        {"response": one["response"], "toxicity": one["toxicity"], "patients": one["overall"]["patients"]}
        | one["odds_ratio"]
        for one in both["tables"]
        if one["odds_ratio"] and one["overall"]["patients"] >= FEWEST_TOGETHER
    ]


def by_answer(y: Vector, probability: Vector) -> list[dict[str, Any]]:
    """Return how many of the patients left out had the outcome, in groups of rising probability.

    There are at most `MOST_GROUPS`, of about equal size and of at least `FEWEST` patients; equal probabilities stay
    together, so there may be fewer. Below twice `FEWEST` patients there is none.

    Parameters
    ----------
    y, probability : ndarray, (n_rows,)

    Returns
    -------
    list of dict
        `from`, which belongs to the group, `to`, which belongs to the next one, save 1, and `models.rates.event_rate`.
        Together the groups cover 0 to 1; `models.rates.similar_predictions` finds a probability's.
    """
    n = len(y)
    if n < 2 * FEWEST:
        return []
    order = np.argsort(probability, kind="stable")
    p, events = probability[order], y[order]
    # Where a probability begins that is larger than the one before.
    starts = np.flatnonzero(np.diff(p, prepend=-np.inf) > 0)
    for groups in range(min(MOST_GROUPS, n // FEWEST), 0, -1):
        nearest = [starts[np.abs(starts - n * i / groups).argmin()] for i in range(1, groups)]
        cuts = np.unique([0, *nearest, n])
        if np.diff(cuts).min() >= FEWEST:
            break
    ends = [0.0, *p[cuts[1:-1]].tolist(), 1.0]
    return [
        {"from": ends[i], "to": ends[i + 1], **asdict(event_rate(int(events[start:stop].sum()), int(stop - start)))}
        for i, (start, stop) in enumerate(pairwise(cuts))
    ]


def distributions(table: FeatureTable, encoder: BlockEncoder) -> dict[str, Any]:
    """Return the training distribution of everything measured that a model reads.

    Parameters
    ----------
    table : FeatureTable
        The rows trained on.
    encoder : BlockEncoder
        Fitted to them.

    Returns
    -------
    dict
        `patients`; and by name:

        `immune`, `clinical`: `measured` patients, and either `levels` (of each level `patients` and `share`) or, of a
        number, `quantiles` by percentage, `bins` (`edges` at deciles, and the `patients` in each bin, which its upper
        edge belongs to), and how many lay `below` and `above` an unstated limit, where they count as the least and the
        largest number seen; the analytes' `unit`. A clinical column of 0 and 1 has levels. None of fewer than `FEWEST`.

        `taxa`: `carriers`, `prevalence`, and `quantiles` of the carriers' proportions.
    """
    found: dict[str, Any] = {"patients": len(table), "immune": {}, "clinical": {}, "taxa": {}}
    for block, read in encoder.used_.items():
        columns, kept = dict(zip(table.block(block).names, table.block(block).values.T, strict=True)), found[block]
        if block == "taxa":
            for name in read:
                carried = columns[name][columns[name] > 0]
                kept[name] = {
                    "carriers": len(carried),
                    "prevalence": len(carried) / len(table),
                    "quantiles": _quantiles(carried),
                }
        elif block == "immune":
            kept |= {name: {"unit": table.units[name], **_numbers(columns[name])} for name in read}
        else:
            for field in levels_by_field(read):
                kept[field] = _clinical(table.clinical, field)
    return found


def _cell_counts(response: NDArray[np.bool_], toxicity: NDArray[np.bool_]) -> list[int]:
    """Return the number of patients in each of `CELLS`."""
    cells = (response & ~toxicity, response & toxicity, ~response & ~toxicity, ~response & toxicity)
    return [int(one.sum()) for one in cells]


def _cells(counts: list[int]) -> dict[str, Any]:
    patients = sum(counts)
    return {"patients": patients} | {
        name: asdict(event_rate(one, patients)) for name, one in zip(CELLS, counts, strict=True)
    }


def _clinical(block: Block, field: str) -> dict[str, Any]:
    """Return a clinical field's levels, all of them though the model may read some, or else its numbers."""
    columns = dict(zip(block.names, block.values.T, strict=True))
    if field in columns:
        values = columns[field]
        if not np.isin(values[~np.isnan(values)], (0, 1)).all():
            return _numbers(values)
        counts = {level: int((values == float(level)).sum()) for level in ("0", "1")}
    else:
        indicators = {Column.from_name("clinical", name): values for name, values in columns.items()}
        levels = {column.level: values for column, values in indicators.items() if column.field == field}
        counts = {level: int((values == 1).sum()) for level, values in levels.items()}
    measured = sum(counts.values())
    if measured < FEWEST:
        return {"measured": measured, "levels": None}
    shares = {level: {"patients": count, "share": count / measured} for level, count in counts.items()}
    return {"measured": measured, "levels": shares}


def _numbers(values: Vector) -> dict[str, Any]:
    values = values[~np.isnan(values)]
    below, above = np.isneginf(values), np.isposinf(values)
    finite = values[~below & ~above]
    limited = np.clip(values, finite.min(initial=np.inf), finite.max(initial=-np.inf)) if finite.size else finite
    deciles = _quantiles(limited, DECILES) or {}
    edges = np.unique([at for at in deciles.values() if at is not None])
    patients = np.bincount(np.searchsorted(edges, limited), minlength=len(edges) + 1)
    return {
        "measured": len(values),
        "below": int(below.sum()),
        "above": int(above.sum()),
        "quantiles": _quantiles(limited),
        "bins": {"edges": edges.tolist(), "patients": patients.tolist()} if edges.size else None,
    }


def _quantiles(values: Vector, levels: tuple[int, ...] = QUANTILES) -> dict[str, float | None] | None:
    """Return quantiles by percentage, None for those that would tell of too few patients; None of too few values."""
    if len(values) < FEWEST:
        return None
    found = np.quantile(values, np.divide(levels, 100))
    beyond = np.minimum((values[:, None] <= found).sum(axis=0), (values[:, None] >= found).sum(axis=0))
    told = zip(levels, found.tolist(), (beyond >= FEWEST_BEYOND).tolist(), strict=True)
    return {str(level): float(f"{at:.{DIGITS}g}") if enough else None for level, at, enough in told}
