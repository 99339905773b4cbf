"""Mean paired changes of many columns at once."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import t

from training.statistics.arrays import Matrix
from training.statistics.sign_flip import sign_flip_p_values


def paired_changes(differences: Matrix, *, seed: int = 0) -> pd.DataFrame:
    """Return the mean of paired differences with Student's 95% interval, and the p-value of `sign_flip_p_values`.

    Parameters
    ----------
    differences : ndarray, (n_pairs, n_columns)

    Returns
    -------
    pandas.DataFrame
        A row a column: `change`, `low`, `high` (NaN for one pair) and `p`.
    """
    n, mean = len(differences), differences.mean(axis=0)
    reach = np.full(mean.shape, np.nan)
    if n > 1:
        reach = t.ppf(0.975, n - 1) * differences.std(axis=0, ddof=1) / math.sqrt(n)
    p = sign_flip_p_values(differences, seed=seed)
    return pd.DataFrame({"change": mean, "low": mean - reach, "high": mean + reach, "p": p})
