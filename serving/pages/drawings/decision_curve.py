"""The decision curve: net benefit over threshold probabilities in one cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.evidence import CentreDecisionCurve

WIDTH, HEIGHT = 200, 120
"""Size of the drawing."""
MIN_TOP = 0.05
"""The least net benefit at the upper edge."""


@dataclass(frozen=True)
class DecisionCurveDrawing:
    """The drawing of one cohort's decision curve, and its numbers.

    Attributes
    ----------
    curve : CentreDecisionCurve
    model_points, treat_all_points : str
        Points of an SVG polyline.
    zero_y : float
        y of a net benefit of 0.
    top : float
        Net benefit at the upper edge.
    rows : tuple of (float, float, float)
        Threshold, net benefit of the model and of treating all, at each 10%.
    """

    curve: CentreDecisionCurve
    model_points: str
    treat_all_points: str
    zero_y: float
    top: float
    rows: tuple[tuple[float, float, float], ...]


def draw_decision_curve(curve: CentreDecisionCurve) -> DecisionCurveDrawing:
    """Place a decision curve; net benefit far below 0 is cut off, as it changes no decision."""
    top = max(MIN_TOP, *curve.model, *curve.treat_all)
    bottom = -top / 2
    scale = HEIGHT / (top - bottom)

    def points(net_benefit: Sequence[float]) -> str:
        pairs = zip(curve.thresholds, net_benefit, strict=True)
        return " ".join(f"{WIDTH * x:.1f},{(top - max(value, bottom)) * scale:.1f}" for x, value in pairs)

    rows = zip(curve.thresholds, curve.model, curve.treat_all, strict=True)
    return DecisionCurveDrawing(
        curve,
        points(curve.model),
        points(curve.treat_all),
        round(top * scale, 1),
        top,
        tuple(row for row in rows if round(100 * row[0]) % 10 == 0),
    )
