"""Alpha diversity of stool samples, and its change from the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.arrays import Vector
from features.transforms import AlphaDiversity
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.paired_changes import paired_changes
from training.study.analysis.false_discovery import HypothesisTest, with_q
from training.study.analysis.stool import StoolSeries

Index = Literal["shannon", "richness"]


@dataclass(frozen=True, kw_only=True)
class DiversityChange(HypothesisTest):
    """Mean change of one index of alpha diversity from the baseline to a later window.

    Attributes
    ----------
    index : str
        "shannon" or "richness".
    window : str
    patients : int
    baseline : float
        Mean at baseline.
    change, low, high : float
        Mean change and its 95% interval, Student's t.
    """

    index: Index
    window: str
    patients: int
    baseline: float
    change: float
    low: float
    high: float

    @property
    def estimate(self) -> IntervalEstimate:
        """The mean change with its interval."""
        return IntervalEstimate(self.change, self.low, self.high)


@dataclass(frozen=True)
class Diversity:
    """Alpha diversity of each stool sample, and its changes.

    Attributes
    ----------
    shannon : ndarray, (n_samples,)
        Shannon's entropy, nats.
    richness : ndarray, (n_samples,)
        Expected number of taxa at equal depth where the profiles are counts, else the number of taxa of at least
        `features.donors.DETECTION_LIMIT`.
    changes : tuple of DiversityChange
    """

    shannon: Vector
    richness: Vector
    changes: tuple[DiversityChange, ...]


def diversity(stool: StoolSeries) -> Diversity:
    """Return alpha diversity and its changes, tested by the exact sign-flip permutation test."""
    values: dict[Index, Vector] = {
        "shannon": AlphaDiversity().fit_transform(stool.proportions)[:, 1],
        "richness": stool.detected.sum(axis=1),
    }
    family = []
    for window in stool.windows[1:]:
        for seed, (index, value) in enumerate(values.items()):
            change = stool.changes(value[:, None], window)
            if len(change) < 2:
                continue
            baseline = stool.means(value[:, None], stool.baseline).loc[change.index, 0].mean()
            test = paired_changes(change.to_numpy(), seed=seed).iloc[0]
            family.append(
                DiversityChange(
                    index=index, window=window.name, patients=len(change), baseline=float(baseline),
                    change=test["change"], low=test["low"], high=test["high"], p=test["p"],
                )
            )  # fmt: skip
    return Diversity(shannon=values["shannon"], richness=values["richness"], changes=with_q(family))
