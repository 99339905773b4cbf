"""Numbers of the section of the donors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.cohort import Cohort
from features.trajectories import WINDOWS, Window
from training.study.analysis.donor_convergence import ConvergenceResults, donor_convergence
from training.study.analysis.donor_panel import DonorAbsence, donor_panel
from training.study.analysis.engraftment import EngraftmentAbsence, EngraftmentResults, engraftment


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
    """

    baseline: str
    counts: bool
    convergence: ConvergenceResults
    engraftment: EngraftmentResults | EngraftmentAbsence


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
    )
