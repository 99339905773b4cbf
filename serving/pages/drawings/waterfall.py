"""The waterfall: an explanation from the log-odds of the average training patient to those of this patient."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate

from features.columns import Column
from features.transforms import genus_of
from models.evidence import Distributions, LevelDistribution, NumericDistribution, TaxonDistribution
from models.prediction import Contribution, Explanation, ReportedValue
from serving.pages.drawings.strip import Strip, training_strip

MAX_STEPS = 8
"""Groups of features with a step each; one last step sums the others. Also the most features largest of a step."""
MIN_STEP = 0.005
"""Log-odds below which a group has no step of its own."""

_Group = tuple[str, str]


@dataclass(frozen=True)
class FeatureShare:
    """One feature of a step.

    Attributes
    ----------
    feature, block : str
    value : float or None
        The measurement; None where it is missing or beyond a limit of its assay.
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
        Positions of both ends, as shares of the width.
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


@dataclass(frozen=True)
class Waterfall:
    """The waterfall of one explanation.

    Attributes
    ----------
    block_sums : dict of str to float
        Sum of the calibrated SHAP values of each block, in log-odds.
    steps : tuple of Step
        Largest absolute sum first; empty where no group reaches `MIN_STEP`.
    """

    block_sums: dict[str, float]
    steps: tuple[Step, ...]


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
    edges = list(accumulate((shap for _, shap, _ in parts), initial=slope * explanation.base_value))
    low, width = min(edges), (max(edges) - min(edges)) or 1.0
    positions = [(edge - low) / width for edge in edges]
    block_sums: defaultdict[str, float] = defaultdict(float)
    for (block, _), shap in sums.items():
        block_sums[block] += shap
    return Waterfall(
        dict(block_sums),
        tuple(
            Step(name, block, shap, start, stop, len(items), _largest(items, slope, distributions))
            for ((block, name), shap, items), start, stop in zip(parts, positions[:-1], positions[1:], strict=True)
        ),
    )


def _group_name(contribution: Contribution) -> str:
    column = Column.from_name(contribution.block, contribution.feature)
    if column.block == "taxa":
        return genus_of(column.field)
    return column.field if column.level else column.name


def _largest(
    contributions: list[Contribution], slope: float, distributions: Distributions | None
) -> tuple[FeatureShare, ...]:
    largest = sorted(contributions, key=lambda item: -abs(item.shap))[:MAX_STEPS]
    return tuple(
        FeatureShare(
            item.feature,
            item.block,
            item.value,
            item.reported,
            slope * item.shap,
            training_strip(_distribution(distributions, item), item.value, logarithmic=item.block != "clinical"),
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
    block = distributions.immune if contribution.block == "immune" else distributions.clinical
    distribution = block.get(contribution.feature)
    return None if isinstance(distribution, LevelDistribution) else distribution
