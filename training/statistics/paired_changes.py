"""Mean paired changes of many columns, with Student's interval and the sign-flip test."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import t

from features.arrays import Matrix
from training.statistics.sign_flip import sign_flip_p_values


def paired_changes(differences: Matrix, *, seed: int = 0) -> pd.DataFrame:
    """Return the mean of paired differences with Student's 95% interval, and p of the exact sign-flip test.

    Parameters
    ----------
    differences : ndarray, (n_pairs, n_columns)
    seed : int
        As `training.statistics.sign_flip.sign_flip_p_values` takes it.

    Returns
    -------
    pandas.DataFrame
        One row for each column: `change`, `low`, `high` (NaN with one pair) and `p`.
    """
    n, mean = len(differences), differences.mean(axis=0)
    half_width = np.full(mean.shape, np.nan)
    if n > 1:
        half_width = t.ppf(0.975, n - 1) * differences.std(axis=0, ddof=1) / math.sqrt(n)
    p = sign_flip_p_values(differences, seed=seed)
    return pd.DataFrame({"change": mean, "low": mean - half_width, "high": mean + half_width, "p": p})
