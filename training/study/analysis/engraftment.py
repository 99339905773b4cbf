"""Taxa of the donor that a recipient gains, and taxa of the recipient that are lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.arrays import Mask, Matrix
from features.donors import share_gained, share_lost
from training.statistics.donor_convergence import DonorConvergence
from training.statistics.interval_estimate import IntervalEstimate
from training.study.analysis.donor_panel import DonorPanel, DonorScores

Process = Literal["gained", "lost"]


@dataclass(frozen=True)
class EngraftmentAbsence:
    """What the samples lack for shares of taxa gained and lost."""

    reason: Literal["samples too shallow", "no distinct taxa"]


@dataclass(frozen=True)
class EngraftmentEstimate:
    """Mean share of taxa gained, of donor-only taxa, or lost, of recipient-only taxa.

    Attributes
    ----------
    process : str
        "gained" or "lost".
    with_own, with_unrelated : float
        Mean share with the own donor, and with unrelated donors.
    difference : DonorConvergence
    """

    process: Process
    with_own: float
    with_unrelated: float
    difference: DonorConvergence

    @property
    def percentage_points(self) -> IntervalEstimate:
        """The mean difference over recipients, in percentage points."""
        return _in_points(self.difference.recipient_mean)

    @property
    def percentage_points_by_donor(self) -> IntervalEstimate:
        """The mean difference over donors, in percentage points."""
        return _in_points(self.difference.donor_mean)


def _in_points(share: IntervalEstimate) -> IntervalEstimate:
    return IntervalEstimate(100 * share.value, 100 * share.low, 100 * share.high)


@dataclass(frozen=True)
class RecipientEngraftment:
    """Taxa that one recipient gains and loses.

    Attributes
    ----------
    patient : str
    donors : tuple of str
        Codes of the own donors.
    donor_only, recipient_only : float
        Expected number of taxa detected in the own donor and not in the recipient before, and the reverse.
    shares : dict of str to tuple of float
        By process, the share with the own donor and with unrelated ones; NaN where there are no such taxa.
    """

    patient: str
    donors: tuple[str, ...]
    donor_only: float
    recipient_only: float
    shares: dict[Process, tuple[float, float]]


@dataclass(frozen=True)
class EngraftmentResults:
    """Taxa gained and lost from the baseline to a window.

    Attributes
    ----------
    window : str
    estimates : tuple of EngraftmentEstimate
    recipients : tuple of RecipientEngraftment
    """

    window: str
    estimates: tuple[EngraftmentEstimate, ...]
    recipients: tuple[RecipientEngraftment, ...]


def engraftment(panel: DonorPanel) -> EngraftmentResults | EngraftmentAbsence:
    """Return the shares of taxa gained and lost, with the own donor and with unrelated ones."""
    stool, detected = panel.stool, panel.stool.detected
    window = next(window for window in stool.windows[1:] if set(panel.recipients) & set(stool.rows_by_patient(window)))
    baseline, later = (stool.means(detected, visit).dropna() for visit in (stool.baseline, window))
    patients = tuple(name for name in panel.recipients if name in baseline.index and name in later.index)
    if not patients or np.isnan(detected[panel.weights.any(axis=0)]).any():
        return EngraftmentAbsence("samples too shallow")
    donors = np.nan_to_num(panel.weights) @ np.nan_to_num(detected)
    is_own = panel.is_own[[panel.recipients.index(name) for name in patients]]
    detected_before, detected_after = (means.loc[list(patients)].to_numpy() for means in (baseline, later))
    shares: dict[Process, DonorScores] = {
        "gained": DonorScores(share_gained(detected_before, detected_after, donors), is_own, patients, 1.0),
        "lost": DonorScores(share_lost(detected_before, detected_after, donors), is_own, patients, 1.0),
    }
    shares = {process: scores for process, scores in shares.items() if _defined_everywhere(scores).any()}
    if not shares:
        return EngraftmentAbsence("no distinct taxa")
    own_donors = is_own @ donors / is_own.sum(axis=1, keepdims=True)
    return EngraftmentResults(
        window=window.name,
        estimates=tuple(_estimate(process, scores) for process, scores in shares.items()),
        recipients=tuple(_by_recipient(panel, shares, is_own, detected_before, own_donors)),
    )


def _by_recipient(
    panel: DonorPanel, shares: dict[Process, DonorScores], is_own: Mask, detected: Matrix, own_donors: Matrix
) -> Iterator[RecipientEngraftment]:
    """Yield each recipient's taxa.

    Parameters
    ----------
    panel : DonorPanel
    shares : dict of str to DonorScores
        Of the same recipients.
    is_own : ndarray of bool, (n_recipients, n_donors)
    detected, own_donors : ndarray, (n_recipients, n_taxa)
        Chance that a taxon is detected in the recipient at baseline, and in the own donors' mean.
    """
    donor_only, recipient_only = ((1 - detected) * own_donors).sum(axis=1), (detected * (1 - own_donors)).sum(axis=1)
    by_relation = {process: np.column_stack(scores.by_relation()) for process, scores in shares.items()}
    for row, patient in enumerate(next(iter(shares.values())).patients):
        yield RecipientEngraftment(
            patient=panel.codes[patient],
            donors=panel.donor_codes(is_own[row]),
            donor_only=float(donor_only[row]),
            recipient_only=float(recipient_only[row]),
            shares={process: (float(pair[row, 0]), float(pair[row, 1])) for process, pair in by_relation.items()},
        )


def _defined_everywhere(scores: DonorScores) -> Mask:
    """Return the recipients of known score with every donor."""
    return np.asarray(np.isfinite(scores.values).all(axis=1))


def _estimate(process: Process, scores: DonorScores) -> EngraftmentEstimate:
    defined = scores.select(_defined_everywhere(scores))
    with_own, with_unrelated = (float(side.mean()) for side in defined.by_relation())
    return EngraftmentEstimate(process, with_own, with_unrelated, defined.contrast())
