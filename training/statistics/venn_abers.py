"""Coverage of Venn-Abers probability ranges."""

from __future__ import annotations

from dataclasses import dataclass

from training.statistics.arrays import Names, Vector


@dataclass(frozen=True)
class RangeCoverage:
    """One cohort's ranges of probability beside what happened.

    Attributes
    ----------
    low, high : float
        Mean ends of the ranges.
    outcome : float
        Prevalence.
    inside : bool
        Whether the prevalence lies between the mean ends.
    width : float
        Mean width.
    """

    low: float
    high: float
    outcome: float
    inside: bool
    width: float


def range_coverage(y: Vector, low: Vector, high: Vector, cohorts: Names) -> dict[str, RangeCoverage]:
    """Return each cohort's mean range of probability, as Venn-Abers gives them, and whether its prevalence is inside.

    Parameters
    ----------
    y, low, high : ndarray, (n_samples,)
    cohorts : ndarray of str, (n_samples,)

    References
    ----------
    Vovk and Petej 2014, Uncertainty in Artificial Intelligence 30:829-838.
    """
    found = {}
    for name in dict.fromkeys(cohorts.tolist()):
        mine = cohorts == name
        outcome, bottom, top = float(y[mine].mean()), float(low[mine].mean()), float(high[mine].mean())
        found[name] = RangeCoverage(
            low=bottom,
            high=top,
            outcome=outcome,
            inside=bottom <= outcome <= top,
            width=top - bottom,
        )
    return found
