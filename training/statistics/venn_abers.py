"""Coverage of Venn-Abers probability ranges in each centre."""

from __future__ import annotations

from features.arrays import Names, Vector
from models.evidence import RangeCoverage


def range_coverage(y: Vector, low: Vector, high: Vector, centres: Names) -> dict[str, RangeCoverage]:
    """Return each centre's mean range of probability, and whether it contains the prevalence.

    Parameters
    ----------
    y, low, high : ndarray, (n_samples,)
    centres : ndarray of str, (n_samples,)

    References
    ----------
    Vovk and Petej 2014, Uncertainty in Artificial Intelligence 30:829-838.
    """
    coverage = {}
    for name in dict.fromkeys(centres.tolist()):
        mask = centres == name
        observed, mean_low, mean_high = float(y[mask].mean()), float(low[mask].mean()), float(high[mask].mean())
        coverage[name] = RangeCoverage(
            low=mean_low,
            high=mean_high,
            observed=observed,
            inside=mean_low <= observed <= mean_high,
            width=mean_high - mean_low,
        )
    return coverage
