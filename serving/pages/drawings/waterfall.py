"""The waterfall: an explanation from the probability of the average training patient to that of this patient."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from features.transforms import genus_of
from models.confirmation import page_probability
from models.evidence import Distributions, LevelDistribution, NumericDistribution, TaxonDistribution
from models.prediction import Contribution, Explanation, ReportedValue, variable_name
from serving.number_text import HALF_POINT
from serving.pages.drawings.strip import Strip, training_strip

MAX_STEPS = 8
"""Groups of features with a step each; one last step sums the others. Also the most features largest of a step."""
MIN_STEP = 0.02
"""Log-odds below which a group has no step of its own: at most half a percentage point of probability."""

TICK = 0.25
"""Probability between two labels of the axis."""
MIN_TICKS = 2
"""Steps of `TICK` that the axis spans at least: on a shorter one, a change of a few points looks like an effect."""

_Group = tuple[str, str]


@dataclass(frozen=True)
class FeatureShare:
    """One feature of a step.

    Attributes
    ----------
    feature, block : str
    value : float or None
        The measurement; None where it is missing or beyond a limit of its assay.
    unit : str or None
        Its unit; None where it has none, or none was stated.
    reported : ReportedValue or None
        How a measurement beyond a limit, or an extrapolated one, reads.
    shap : float
        Calibrated SHAP value, in log-odds.
    strip : Strip or None
        The measurement among the training patients.
    """

    feature: str
    block: str
    value: float | None
    unit: str | None
    reported: ReportedValue | None
    shap: float
    strip: Strip | None


@dataclass(frozen=True)
class Step:
    """One step of the waterfall: a genus, an analyte, a clinical field, or all remaining features.

    Attributes
    ----------
    name : str
        Empty for the step of all remaining features.
    block : str
        Empty for the step of all remaining features.
    shap : float
        Sum of the calibrated SHAP values, in log-odds.
    start, stop : float
        Probability before and after the step; their difference depends on the order of the steps, their sum does not.
    n_features : int
    features : tuple of FeatureShare
        The features with the largest absolute SHAP values, largest first.
    """

    name: str
    block: str
    shap: float
    start: float
    stop: float
    n_features: int
    features: tuple[FeatureShare, ...]

    @property
    def change(self) -> float:
        """Change of the probability."""
        return self.stop - self.start


@dataclass(frozen=True)
class Waterfall:
    """The waterfall of one explanation.

    Attributes
    ----------
    start, stop : float
        Probability of the average training patient, and of this patient.
    steps : tuple of Step
        Largest absolute sum first; empty where no group reaches `MIN_STEP`.
    """

    start: float
    stop: float
    steps: tuple[Step, ...]

    @property
    def drawing(self) -> Waterfall:
        """The waterfall as pages draw it: within the limits that they state, and without steps of 0 points."""
        groups, rest = [step for step in self.steps if step.name], [step for step in self.steps if not step.name]
        while True:
            start, steps = _between_limits(self.start, [*groups, *([_joined(rest)] if rest else [])])
            negligible = [step for step in steps if step.name and abs(step.change) < HALF_POINT]
            if not negligible:
                return Waterfall(start, page_probability(self.stop), tuple(steps))
            groups, rest = [step for step in steps if step.name and step not in negligible], [*rest, *negligible]


@dataclass(frozen=True)
class PercentAxis:
    """The axis that all waterfalls of a page share.

    Attributes
    ----------
    low, high : float
        Probabilities at both ends, multiples of `TICK`.
    ticks : tuple of float
        Probabilities with a label.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def position(self, probability: float) -> float:
        """Return the position of a probability, as a share of the width."""
        return (probability - self.low) / (self.high - self.low)


def shared_axis(waterfalls: Sequence[Waterfall]) -> PercentAxis:
    """Return the shortest axis of `MIN_TICKS` or more on which all steps lie, from 0% to 100% where there are none."""
    edges = [edge for drawing in waterfalls for step in drawing.steps for edge in (step.start, step.stop)] or [0.0, 1.0]
    lowest, highest = math.floor(min(edges) / TICK), math.ceil(max(edges) / TICK)
    middle = (min(edges) + max(edges)) / (2 * TICK)
    while highest - lowest < MIN_TICKS:
        if lowest == 0 or (highest * TICK < 1 and 2 * middle >= lowest + highest):
            highest += 1
        else:
            lowest -= 1
    return PercentAxis(lowest * TICK, highest * TICK, tuple(tick * TICK for tick in range(lowest, highest + 1)))


def waterfall(explanation: Explanation, distributions: Distributions | None) -> Waterfall:
    """Group the contributions of an explanation: taxa by genus, levels of a clinical field together.

    SHAP values are multiplied by the slope of the calibration, so that they add up to the log-odds of the probability.

    Parameters
    ----------
    explanation : Explanation
    distributions : Distributions, optional
        Training distributions of the model's columns.
    """
    slope = explanation.calibration.slope
    groups: defaultdict[_Group, list[Contribution]] = defaultdict(list)
    for contribution in explanation.contributions:
        groups[contribution.block, _group_name(contribution)].append(contribution)
    sums = {group: slope * math.fsum(item.shap for item in items) for group, items in groups.items()}
    ranked = sorted((group for group in groups if abs(sums[group]) >= MIN_STEP), key=lambda group: -abs(sums[group]))
    largest = ranked[:MAX_STEPS]
    remaining = [group for group in groups if group not in largest]
    parts = [(group, sums[group], groups[group]) for group in largest]
    if largest and remaining:
        contributions = [item for group in remaining for item in groups[group]]
        parts.append((("", ""), math.fsum(sums[group] for group in remaining), contributions))
    base = slope * explanation.base_value + explanation.calibration.intercept
    log_odds = list(accumulate((shap for _, shap, _ in parts), initial=base))
    edges = [_probability(value) for value in log_odds]
    return Waterfall(
        start=edges[0],
        stop=_probability(slope * explanation.value + explanation.calibration.intercept),
        steps=tuple(
            Step(name, block, shap, start, stop, len(items), _largest(items, slope, distributions))
            for ((block, name), shap, items), (start, stop) in zip(parts, pairwise(edges), strict=True)
        ),
    )


def _between_limits(start: float, steps: Sequence[Step]) -> tuple[float, list[Step]]:
    """Return the start and the steps, one after the other, within the limits that pages state."""
    edge = min(max(start, sys.float_info.epsilon), 1 - sys.float_info.epsilon)
    log_odds = accumulate((step.shap for step in steps), initial=math.log(edge / (1 - edge)))
    edges = [page_probability(_probability(value)) for value in log_odds]
    pairs = zip(steps, pairwise(edges), strict=True)
    return edges[0], [replace(step, start=start_edge, stop=stop_edge) for step, (start_edge, stop_edge) in pairs]


def _joined(steps: Sequence[Step]) -> Step:
    """Return the step of all remaining features, which joins these steps."""
    features = sorted((item for step in steps for item in step.features), key=lambda item: -abs(item.shap))
    shap, n_features = math.fsum(step.shap for step in steps), sum(step.n_features for step in steps)
    return Step("", "", shap, 0.0, 0.0, n_features, tuple(features[:MAX_STEPS]))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else 1 - 1 / (1 + math.exp(log_odds))


def _group_name(contribution: Contribution) -> str:
    return genus_of(contribution.feature) if contribution.block == "taxa" else variable_name(contribution)


def _largest(
    contributions: list[Contribution], slope: float, distributions: Distributions | None
) -> tuple[FeatureShare, ...]:
    largest = sorted(contributions, key=lambda item: -abs(item.shap))[:MAX_STEPS]
    return tuple(
        FeatureShare(
            item.feature,
            item.block,
            item.value,
            item.unit,
            item.reported,
            slope * item.shap,
            training_strip(
                _distribution(distributions, item), item.value, logarithmic=item.block in ("taxa", "immune")
            ),
        )
        for item in largest
        if item.shap
    )


def _distribution(
    distributions: Distributions | None, contribution: Contribution
) -> NumericDistribution | TaxonDistribution | None:
    """Return the training distribution of a feature that is a number; None where there is none."""
    if distributions is None:
        return None
    if contribution.block == "taxa":
        return distributions.taxa.get(contribution.feature)
    if contribution.block not in ("immune", "clinical"):
        return None
    block = distributions.immune if contribution.block == "immune" else distributions.clinical
    distribution = block.get(contribution.feature)
    return None if isinstance(distribution, LevelDistribution) else distribution
