"""Numbers of the section of the donors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.cohort import Cohort
from features.donor_naming import SUSPECT_BELOW, name_donors_from_stool
from features.trajectories import WINDOWS, Window
from training.study.analysis.donor_convergence import ConvergenceResults, donor_convergence
from training.study.analysis.donor_panel import DonorAbsence, donor_panel
from training.study.analysis.engraftment import EngraftmentAbsence, EngraftmentResults, engraftment
from training.study.analysis.landmark_engraftment import LandmarkSurvival, landmark_survival
from training.study.codes import donor_codes, patient_codes


@dataclass(frozen=True)
class RecipientDonor:
    """The recorded donor of a recipient, and the one that stool names; all under their codes.

    Attributes
    ----------
    patient, recorded, likely : str
    probability : float
        Of the recorded donor, from stool.
    suspect : bool
    """

    patient: str
    recorded: str
    likely: str
    probability: float
    suspect: bool


@dataclass(frozen=True)
class NamedDonors:
    """The donors of recipients of one donor each, named from stool.

    Attributes
    ----------
    recipients : tuple of RecipientDonor
    n_right : int
        Recipients whose recorded donor is named.
    by_chance : float
        Expected of them, were donors exchanged between recipients.
    p : float
    suspect_below : float
        `features.donor_naming.SUSPECT_BELOW`.
    """

    recipients: tuple[RecipientDonor, ...]
    n_right: int
    by_chance: float
    p: float
    suspect_below: float = SUSPECT_BELOW

    @property
    def suspect(self) -> tuple[RecipientDonor, ...]:
        """Recipients whose recorded donor is improbable."""
        return tuple(recipient for recipient in self.recipients if recipient.suspect)


@dataclass(frozen=True)
class DonorResults:
    """How recipients converge on their own donors, and which taxa they gain and lose.

    Attributes
    ----------
    baseline : str
        The first window.
    counts : bool
        Whether the profiles are counts.
    convergence : ConvergenceResults
    engraftment : EngraftmentResults or EngraftmentAbsence
        Or what the samples lack for it.
    naming : NamedDonors or None
        None where stool cannot tell: fewer than six recipients of one donor each, or two donors with recipients.
    survival : tuple of LandmarkSurvival
        By outcome; empty where too few are at risk at the landmark.
    """

    baseline: str
    counts: bool
    convergence: ConvergenceResults
    engraftment: EngraftmentResults | EngraftmentAbsence
    naming: NamedDonors | None
    survival: tuple[LandmarkSurvival, ...]


def analyse_donors(cohort: Cohort, windows: Sequence[Window] = WINDOWS) -> DonorResults | DonorAbsence:
    """Return how a cohort's recipients converge on their donors, or what the cohort lacks for it.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    panel = donor_panel(cohort, windows)
    if isinstance(panel, DonorAbsence):
        return panel
    return DonorResults(
        baseline=panel.stool.baseline.name,
        counts=panel.stool.counts,
        convergence=donor_convergence(panel, cohort),
        engraftment=engraftment(panel),
        naming=named_donors(cohort),
        survival=landmark_survival(cohort, panel),
    )


def named_donors(cohort: Cohort) -> NamedDonors | None:
    """Return the donor of each recipient as named from stool, under codes; `features.donor_naming`."""
    stool = name_donors_from_stool(cohort)
    if stool is None:
        return None
    naming, patients, donors = stool.naming, patient_codes(cohort), donor_codes(cohort)
    suspect = set(naming.suspect.tolist())
    recipients = tuple(
        RecipientDonor(
            patient=patients[patient],
            recorded=donors[stool.donors[naming.recorded[row]]],
            likely="none" if naming.likely[row] < 0 else donors[stool.donors[naming.likely[row]]],
            probability=float(naming.probability[row, naming.recorded[row]]),
            suspect=row in suspect,
        )
        for row, patient in enumerate(stool.patients)
    )
    return NamedDonors(recipients, naming.n_right, naming.by_chance, naming.p)
