"""Numbers as pages and uploads write them."""

from __future__ import annotations


def significant(value: float) -> str:
    """Return a number with three significant digits, without an exponent from 1000 on."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
