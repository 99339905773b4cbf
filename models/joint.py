"""Response and toxicity together: the four cells of one patient, bounded, and as the cohorts' dependence has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from features.outcomes import is_toxicity

CELLS = ("response_without_toxicity", "both", "neither", "toxicity_without_response")
ODDS_RATIO_MEANS = (
    "each cell as it would be if response and toxicity went together in patients with these two probabilities as they "
    "did in the training cohorts: one odds ratio for all. Nothing shows that they do; the bounds hold whatever they do"
)
"""What the cells under the cohorts' odds ratio may be taken for."""


def joint_outcome(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the four cells of the first response and the first toxicity answered, JSON-ready.

    Whatever the dependence, the probability of two events lies between max(0, p + q - 1) and min(p, q). Where the
    evidence of a model knows the cohorts' odds ratio of the two outcomes, the cells under it, taken from the model that
    counted more patients, stand beside the bounds.

    Parameters
    ----------
    answers : sequence of mapping
        As `models.predict.predict` returns them.

    Returns
    -------
    dict
        `of`, the two outcomes; `reason` why there are no cells, or None; each of `CELLS` with `low`, `high` and
        `expected`, None where not known; and `odds_ratio`, or None.

    References
    ----------
    Fréchet 1935, Fundamenta Mathematicae 25:379-387; Plackett 1965, Journal of the American Statistical Association
    60:516-522.
    """
    response = next((one for one in answers if not is_toxicity(one["outcome"])), None)
    toxicity = next((one for one in answers if is_toxicity(one["outcome"])), None)
    if response is None or toxicity is None:
        missing = "response" if response is None else "toxicity"
        return _none([], f"no model of {missing} is registered")
    of = [response["outcome"], toxicity["outcome"]]
    r, t = response["probability"], toxicity["probability"]
    if r is None or t is None:
        return _none(of, "a model abstained")
    known = [
        one
        for side in (response, toxicity)
        for one in side["evidence"].get("odds_ratios", ())
        if [one["response"], one["toxicity"]] == of
    ]
    odds_ratio = max(known, key=lambda one: one["patients"], default=None)
    bounds = (
        (max(0.0, r - t), min(r, 1 - t)),
        (max(0.0, r + t - 1), min(r, t)),
        (max(0.0, 1 - r - t), min(1 - r, 1 - t)),
        (max(0.0, t - r), min(1 - r, t)),
    )
    expected: Sequence[float | None] = (None,) * len(CELLS)
    if odds_ratio is not None:
        both = joint_probability(r, t, odds_ratio["value"])
        found = (r - both, both, 1 - r - t + both, t - both)
        # Rounding may carry a cell just beyond its bounds.
        expected = [min(max(at, low), high) for at, (low, high) in zip(found, bounds, strict=True)]
        odds_ratio = odds_ratio | {"meaning": ODDS_RATIO_MEANS}
    each = zip(CELLS, bounds, expected, strict=True)
    return {
        "of": of,
        "reason": None,
        **{name: {"low": low, "high": high, "expected": at} for name, (low, high), at in each},
        "odds_ratio": odds_ratio,
    }


def joint_probability(first: float, second: float, odds_ratio: float) -> float:
    """Return the probability of both of two events with these probabilities and this odds ratio.

    It is the root of Plackett's quadratic, in the form that stays exact at an odds ratio of 1.

    Parameters
    ----------
    first, second : float
        In [0, 1].
    odds_ratio : float
        Above 0.

    References
    ----------
    Plackett 1965, Journal of the American Statistical Association 60:516-522.
    """
    product = odds_ratio * first * second
    total = 1 + (first + second) * (odds_ratio - 1)
    root = math.sqrt(max(0.0, total**2 - 4 * (odds_ratio - 1) * product))
    return 2 * product / (total + root) if product else 0.0


def _none(of: list[str], reason: str) -> dict[str, Any]:
    nothing = {"low": None, "high": None, "expected": None}
    return {"of": of, "reason": reason, **dict.fromkeys(CELLS, nothing), "odds_ratio": None}
