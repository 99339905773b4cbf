"""Change of each taxon's centred log-ratio from the baseline to each later window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.statistics.distances import log_ratios
from training.statistics.paired_changes import paired_changes
from training.study.analysis.false_discovery import HypothesisTest, with_q
from training.study.analysis.stool import StoolSeries

MIN_CARRIERS = 0.5
"""Share of patients who carry a taxon from which on its change is tested."""


@dataclass(frozen=True, kw_only=True)
class TaxonChange(HypothesisTest):
    """Mean change of one taxon from the baseline to a later window.

    Attributes
    ----------
    taxon, window : str
    patients : int
    prevalence_before, prevalence_after : float
        Share of patients in whom the taxon is detected.
    change, low, high : float
        Mean change of the centred log-ratio and its 95% interval, Student's t, log2 fold.
    """

    taxon: str
    window: str
    patients: int
    prevalence_before: float
    prevalence_after: float
    change: float
    low: float
    high: float


def taxon_changes(stool: StoolSeries) -> tuple[TaxonChange, ...]:
    """Return the change of each taxon that at least half of the patients carry, the least q first.

    A taxon detected neither before nor after counts as unchanged: its change is 0, not the shift of the other taxa's
    geometric mean. Windows of fewer than two patients are omitted.

    Parameters
    ----------
    stool : StoolSeries

    References
    ----------
    Aitchison 1982, Journal of the Royal Statistical Society B 44:139-177, for the centred log-ratio.
    """
    rows = stool.rows(stool.recipients.index)
    present = stool.proportions > 0
    carriers = pd.DataFrame(present[rows]).groupby(stool.recipients["patient"].to_numpy()).any().mean()
    tested = np.flatnonzero(carriers >= MIN_CARRIERS)
    ratios = np.full((len(present), len(tested)), np.nan)
    ratios[rows] = log_ratios(stool.proportions[np.ix_(rows, tested)], 0)[0] / np.log(2)
    family = []
    for window in stool.windows[1:]:
        change = stool.changes(ratios, window)
        if len(change) < 2 or not len(tested):
            continue
        detected = present[:, tested].astype(float)
        carried_before, carried_after = (
            stool.means(detected, visit).loc[change.index] > 0 for visit in (stool.baseline, window)
        )
        table = paired_changes(change.where(carried_before | carried_after, 0.0).to_numpy())
        tests = table[["change", "low", "high", "p"]].to_numpy().tolist()
        family += [
            TaxonChange(
                taxon=stool.taxa[index],
                window=window.name,
                patients=len(change),
                prevalence_before=float(carried_before[column].mean()),
                prevalence_after=float(carried_after[column].mean()),
                change=mean,
                low=low,
                high=high,
                p=p,
            )
            for column, (index, (mean, low, high, p)) in enumerate(zip(tested, tests, strict=True))
        ]
    return tuple(sorted(with_q(family), key=lambda test: (test.q, test.p)))
