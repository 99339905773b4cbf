"""Survival from a landmark day on, by engraftment up to that day.

Only patients who are at risk on the landmark day count, which avoids immortal-time bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.cohort import Cohort
from features.donors import share_gained
from features.survival import EVENT, survival_exclusion_reason, time_to_event
from features.trajectories import Window
from training.statistics.hazard_ratio import hazard_ratio
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.log_rank import LogRank, log_rank
from training.study.analysis.donor_panel import DonorPanel
from training.study.analysis.survival import OUTCOMES, Outcome

MIN_PATIENTS = 3
"""Fewest patients above the median share, and fewest at or below it."""


@dataclass(frozen=True)
class LandmarkSurvival:
    """Survival from a landmark on, of recipients who gained more than the median share of donor-only taxa by then.

    Attributes
    ----------
    outcome : str
    landmark : float
        The last day of the window in which engraftment was measured.
    n_more, n_less : int
        Recipients at risk on the landmark day whose share is above the median, and all others at risk.
    earlier : int
        Recipients of known engraftment who had the event or were censored by the landmark day; they do not count.
    events : int
        Events after the landmark day.
    hazard_ratio : IntervalEstimate
        Hazard of recipients above the median share over that of the others.
    log_rank : LogRank
    """

    outcome: Outcome
    landmark: float
    n_more: int
    n_less: int
    earlier: int
    events: int
    hazard_ratio: IntervalEstimate
    log_rank: LogRank


def landmark_survival(cohort: Cohort, panel: DonorPanel) -> tuple[LandmarkSurvival, ...]:
    """Return survival from the end of the first bounded window after day 0, by engraftment in that window.

    Neither engraftment after the landmark day nor survival time before it counts, because a patient who dies early
    cannot engraft late. Empty where visits are not dated, or where fewer than `MIN_PATIENTS` are on a side.

    References
    ----------
    Anderson, Cain and Gelber 1983, Journal of Clinical Oncology 1:710-719.
    """
    window = next((window for window in panel.stool.windows[1:] if np.isfinite(window.end)), None)
    if window is None or cohort.samples["day"].isna().all():
        return ()
    shares = _own_shares_gained(panel, window)
    results = []
    for outcome in OUTCOMES:
        if survival_exclusion_reason(cohort.manifest, cohort.labels, outcome) is None:
            times = time_to_event(cohort.labels, outcome, pd.Index(shares.index), window.end).dropna(subset=["time"])
            at_risk = times[times["at_risk"] == "yes"]
            share = shares[at_risk.index].to_numpy()
            gained_more = share > np.median(share) if share.size else np.zeros(0, dtype=bool)
            if min(gained_more.sum(), (~gained_more).sum()) < MIN_PATIENTS:
                continue
            days, event = at_risk["time"].to_numpy(float), (at_risk["event"] == EVENT).to_numpy()
            results.append(
                LandmarkSurvival(
                    outcome=outcome,
                    landmark=window.end,
                    n_more=int(gained_more.sum()),
                    n_less=int((~gained_more).sum()),
                    earlier=len(times) - len(at_risk),
                    events=int(event.sum()),
                    hazard_ratio=hazard_ratio(days, event, gained_more),
                    log_rank=log_rank(days, event, gained_more),
                )
            )
    return tuple(results)


def _own_shares_gained(panel: DonorPanel, window: Window) -> pd.Series[float]:
    """Return the share of the own donor's taxa that each recipient gained by a window, where it is known."""
    stool, detected = panel.stool, panel.stool.detected
    baseline, later = (stool.means(detected, visit).dropna() for visit in (stool.baseline, window))
    patients = [name for name in panel.recipients if name in baseline.index and name in later.index]
    if not patients:
        return pd.Series(dtype=float)
    donors = np.nan_to_num(panel.weights) @ np.nan_to_num(detected)
    is_own = panel.is_own[[panel.recipients.index(name) for name in patients]]
    gained = share_gained(baseline.loc[patients].to_numpy(), later.loc[patients].to_numpy(), donors)
    own_gained = np.where(is_own, gained, np.nan)
    shares = {
        name: float(np.nanmean(row)) for name, row in zip(patients, own_gained, strict=True) if np.isfinite(row).any()
    }
    return pd.Series(shares, dtype="float64")
