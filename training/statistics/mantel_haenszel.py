"""The Mantel-Haenszel odds ratio of two binary outcomes over cohorts."""

from __future__ import annotations

import numpy as np

from features.arrays import Counts
from training.statistics.interval_estimate import IntervalEstimate


def mantel_haenszel(tables: Counts) -> IntervalEstimate | None:
    """Return the common odds ratio of two outcomes over cohorts, with its 95% interval.

    Stratifying by cohort removes the association that cohorts of different rates would show in a pooled table. The
    interval is that of statsmodels' `StratifiedTable`.

    Parameters
    ----------
    tables : ndarray of int, (n_cohorts, 4)
        Patients of each cohort with the first outcome alone, both, neither, and the second alone.

    Returns
    -------
    IntervalEstimate or None
        None where the odds ratio is 0 or infinite.

    References
    ----------
    Mantel and Haenszel 1959, Journal of the National Cancer Institute 22:719-748; Robins, Breslow and Greenland 1986,
    Biometrics 42:311-323, for the interval.
    """
    # Imported here: statsmodels takes about a second to import.
    from statsmodels.stats.contingency_tables import StratifiedTable

    only_first, both_outcomes, neither, only_second = tables.T
    n = tables.sum(axis=1)
    if not (both_outcomes * neither / n).sum() * (only_first * only_second / n).sum():
        return None
    table = StratifiedTable(np.array([[both_outcomes, only_first], [only_second, neither]]))
    low, high = table.oddsratio_pooled_confint()
    return IntervalEstimate(float(table.oddsratio_pooled), float(low), float(high))
