"""Hypothesis tests of one family, and the control of their false discovery rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from scipy.stats import false_discovery_control

FALSE_DISCOVERY_RATE = 0.05
"""False discovery rate at which a result counts as significant."""


@dataclass(frozen=True, kw_only=True)
class HypothesisTest:
    """Result of one test of a family.

    Attributes
    ----------
    p : float
    q : float
        Adjusted p of Benjamini and Hochberg over the family; NaN before the adjustment.
    """

    p: float
    q: float = math.nan

    @property
    def significant(self) -> bool:
        """Whether q is at most `FALSE_DISCOVERY_RATE`."""
        return self.q <= FALSE_DISCOVERY_RATE


T = TypeVar("T", bound=HypothesisTest)


def with_q(family: Sequence[T]) -> tuple[T, ...]:
    """Return the tests of one family, each with its q.

    References
    ----------
    Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57:289-300.
    """
    adjusted = false_discovery_control([test.p for test in family]) if family else ()
    return tuple(replace(test, q=float(q)) for test, q in zip(family, adjusted, strict=True))
