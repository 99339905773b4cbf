"""What is drawn on the pages, in coordinates: reasons, a patient among others, the course, decision curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from features.columns import Column
from features.transforms import genus_of
from models.evidence import (
    CohortDecisionCurve,
    Distributions,
    LevelDistribution,
    NumericDistribution,
    TaxonDistribution,
)
from models.prediction import Explanation

APART = 8
"""How many groups of reasons stand apart; the others are summed."""
FAINTEST = 0.005
"""Below this no step of a waterfall is worth a line, in log-odds."""
WIDTH, HEIGHT = 560, 160
"""Of the course over time."""
LABEL = 34
"""The room of a visit's label."""


def waterfall(explanation: Explanation, distributions: Distributions | None) -> dict[str, Any]:
    """Return an explanation as a waterfall: taxa by genus, analytes and clinical columns each, the largest apart.

    Its log-odds are those of the probability: calibration shrinks what the model says, and its reasons alike.

    Parameters
    ----------
    explanation : Explanation
        Of a prediction.
    distributions : Distributions or None
        Training distributions of the model's columns.

    Returns
    -------
    dict
        `blocks`, each block's sum; and `steps`, from the largest to "all else": `name`, `block`, `shap`, `start` and
        `stop` as shares of the width, the number `n` of features and the largest `features`, each with its `value`, its
        `shap` and `at`, its place among the training patients.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    slope = explanation.calibration.slope
    for contribution in explanation.contributions:
        one = {**vars(contribution), "shap": slope * contribution.shap}
        column = Column.from_name(contribution.block, contribution.feature)
        clade = genus_of(column.field) if column.block == "taxa" else column.field if column.level else column.name
        groups.setdefault((one["block"], clade), []).append(one)
    sums = {key: math.fsum(one["shap"] for one in group) for key, group in groups.items()}
    ranked = sorted((key for key in groups if abs(sums[key]) >= FAINTEST), key=lambda key: -abs(sums[key]))
    apart, others = ranked[:APART], [key for key in groups if key not in ranked[:APART]]
    steps = [(key[1], key[0], sums[key], groups[key]) for key in apart]
    if apart and others:
        rest = [one for key in others for one in groups[key]]
        steps.append(("all else", "", math.fsum(sums[key] for key in others), rest))
    edges = list(accumulate((shap for _, _, shap, _ in steps), initial=slope * explanation.base_value))
    low, high = min(edges), max(edges)
    width = (high - low) or 1.0

    places = [(edge - low) / width for edge in edges]
    blocks: dict[str, float] = {}
    for (block, _), total in sums.items():
        blocks[block] = blocks.get(block, 0.0) + total
    return {
        "blocks": blocks,
        "steps": [
            {
                "name": name,
                "block": block,
                "shap": shap,
                "start": places[i],
                "stop": places[i + 1],
                "n": len(features),
                "features": [
                    {**one, "at": _among(_distribution(distributions, one), one)}
                    for one in sorted(features, key=lambda one: -abs(one["shap"]))[:APART]
                    if one["shap"]
                ],
            }
            for i, (name, block, shap, features) in enumerate(steps)
        ],
    }


def _distribution(
    distributions: Distributions | None, feature: Mapping[str, Any]
) -> NumericDistribution | TaxonDistribution | None:
    """Return the training distribution of a feature that is a number; None where there is none."""
    block = getattr(distributions, feature["block"], {})
    distribution = block.get(feature["feature"])
    return None if isinstance(distribution, LevelDistribution) else distribution


def _among(
    distribution: NumericDistribution | TaxonDistribution | None, feature: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return where a value lies among the training patients', in shares of a strip's width."""
    if distribution is None:
        return None
    quantiles = {percent: value for percent, value in (distribution.quantiles or {}).items() if value is not None}
    if not {25, 50, 75} <= quantiles.keys():
        return None
    value, logarithmic = feature["value"], feature["block"] != "clinical"

    def scaled(number: float) -> float:
        # Shares and concentrations are spread over orders of magnitude.
        return math.log10(number) if logarithmic else number

    if logarithmic and min(quantiles.values()) <= 0:
        return None
    known = {name: scaled(number) for name, number in quantiles.items()}
    mine = None if value is None or (logarithmic and value <= 0) else scaled(value)
    ends = [*known.values(), *([] if mine is None else [mine])]
    low, width = min(ends), (max(ends) - min(ends)) or 1.0

    def place(number: float) -> float:
        return (number - low) / width

    return {
        "low": place(min(known.values())),
        "q25": place(known[25]),
        "median": place(known[50]),
        "q75": place(known[75]),
        "high": place(max(known.values())),
        "value": None if mine is None else place(mine),
        "prevalence": getattr(distribution, "prevalence", None),
        "typical": quantiles[50],
    }


def on_plane(sides: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return a patient's place among response and toxicity, with what patients of such answers had of both."""
    found: dict[str, float | None] = {}
    for letter, side in zip("rt", sides, strict=True):
        had = side["like"]
        found |= {
            letter: side["answer"].probability,
            f"{letter}_low": had and had.low,
            f"{letter}_high": had and had.high,
        }
    return found


def course(rows: Sequence[Mapping[str, Any]], days: Sequence[float | None], kinds: Sequence[str]) -> dict[str, Any]:
    """Return the lines of chances over visits.

    Parameters
    ----------
    rows : sequence of mapping
        A visit each: `label`, `inside` (no later than the models' last day), and `said`, a chance or None for each of
        `kinds`.
    days : sequence of float or None
        The visits' days; evenly spaced where they are not all known.
    kinds : sequence of str

    Returns
    -------
    dict
        `lines` (`kind`, `points`, `dots` of x, y and whether inside), `abstained` and `until` (the end of what is
        inside) as x, `ticks` as x and word, and whether they are `dated`.
    """
    known = [day for day in days if day is not None]
    dated = len(known) == len(days) and len(set(days)) > 1
    at = known if dated else [float(i) for i in range(len(days))]
    x = [round(WIDTH * (one - at[0]) / (at[-1] - at[0]), 1) for one in at]
    lines = []
    for i, kind in enumerate(kinds):
        said = ((place, row["said"][i][0], row["inside"]) for place, row in zip(x, rows, strict=True))
        dots = [(place, round(HEIGHT * (1 - p), 1), inside) for place, p, inside in said if p is not None]
        lines.append({"kind": kind, "dots": dots, "points": " ".join(f"{a},{b}" for a, b, _ in dots)})
    ticks: list[tuple[float, str]] = []
    for place, row in zip(x, rows, strict=True):
        if not ticks or place - ticks[-1][0] >= LABEL:
            ticks.append((place, row["label"].split()[-1]))
    places = list(zip(x, rows, strict=True))
    later = [place for place, row in places if not row["inside"]]
    return {
        "lines": lines,
        "abstained": [place for place, row in places if any(p is None for p, _ in row["said"])],
        "until": (later[0] + max((place for place, row in places if row["inside"]), default=0)) / 2 if later else None,
        "ticks": ticks,
        "dated": dated,
    }


def net_benefit(decision: Sequence[CohortDecisionCurve]) -> list[dict[str, Any]]:
    """Return each cohort's decision curve, in a drawing of 200 by 120."""
    found = []
    for one in decision:
        top = max([0.05, *(value for value in (*one.model, *one.treat_all) if value is not None)])
        # Far below nought there is nothing to choose between.
        bottom = -top / 2
        scale = 120 / (top - bottom)
        lines = {
            name: " ".join(
                f"{200 * t:.1f},{(top - max(value, bottom)) * scale:.1f}"
                for t, value in zip(one.thresholds, values, strict=True)
                if value is not None
            )
            for name, values in (("model", one.model), ("all", one.treat_all))
        }
        rows = zip(one.thresholds, one.model, one.treat_all, strict=True)
        found.append(
            {
                **{name: getattr(one, name) for name in ("cohort", "patients", "events", "indicative")},
                **lines,
                "zero": round(top * scale, 1),
                "top": f"{top:.2f}",
                "rows": [row for row in rows if round(100 * row[0]) % 10 == 0],
            }
        )
    return found
