"""The Mantel-Haenszel common odds ratio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from training.statistics.metrics import Estimate


def mantel_haenszel(tables: NDArray[np.int_]) -> Estimate | None:
    """Return the odds ratio that cohorts have in common, with its 95% interval; None where it is 0 or has no end.

    Cohorts' differing rates, which would make an association of their own in a pooled table, cancel.

    Parameters
    ----------
    tables : ndarray of int, (n_cohorts, 4)
        Patients with the first outcome alone, both, neither, and the second alone.

    References
    ----------
    Mantel and Haenszel 1959, Journal of the National Cancer Institute 22:719-748; Robins, Breslow and Greenland 1986,
    Biometrics 42:311-323.
    """
    first, both, neither, second = tables.T.astype(np.float64)
    n = tables.sum(axis=1)
    for_it, against = both * neither / n, first * second / n
    if not for_it.sum() * against.sum():
        return None
    p, q = (both + neither) / n, (first + second) / n
    r, s = for_it.sum(), against.sum()
    variance = (p @ for_it / r**2 + (p @ against + q @ for_it) / (r * s) + q @ against / s**2) / 2
    reach = stats.norm.ppf(0.975) * np.sqrt(variance)
    return Estimate(*(float(end) for end in r / s * np.exp([0.0, -reach, reach])))
