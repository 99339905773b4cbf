"""The design of the next trial: the effects that it is to show, and assumptions on its patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import InputError

_MINIMUM = {"per_donor": 1, "max_patients": 5, "simulations": 100, "seed": 0}


@dataclass(frozen=True)
class TrialDesign:
    """The effects that the next trial is to show, and assumptions on its patients.

    Attributes
    ----------
    response_rate, historical_rate : float
        Expected response rate, and the rate known without the treatment, in (0, 1). The former is also the share of
        responders for the AUROC.
    auroc : float
        AUROC of a score fixed beforehand, in (0.5, 1), against 0.5.
    convergence : float
        Mean donor-specific convergence: the approach to the own donor beyond that to unrelated donors, in SDs of the
        patients' convergences.
    per_donor : int
        Patients who share a donor.
    donor_correlation : float
        Correlation of the convergences of patients who share a donor, in [0, 1).
    fold_change : float
        Mean change of a cytokine from baseline, as a ratio of concentrations, above 0.
    between_sd, within_sd : float
        SDs of log2 concentrations: of patients' true changes, and of repeated blood draws of one patient.
    alpha, power : float
        Two-sided level, and the required probability to show the effect, in (0, 1).
    max_patients : int
        The largest number of patients that is simulated.
    simulations : int
        Trials for each number of patients.
    seed : int

    Raises
    ------
    InputError
        A parameter is out of its range, or an effect is none.
    """

    response_rate: float = 0.4
    historical_rate: float = 0.2
    auroc: float = 0.75
    convergence: float = 0.5
    per_donor: int = 2
    donor_correlation: float = 0.2
    fold_change: float = 2.0
    between_sd: float = 0.5
    within_sd: float = 1.0
    alpha: float = 0.05
    power: float = 0.8
    max_patients: int = 200
    simulations: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("response_rate", "historical_rate", "alpha", "power"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a share between 0 and 1")
        if not 0.5 < self.auroc < 1:
            raise InputError(f"auroc is {self.auroc!r}; expected more than 0.5, and below 1")
        if not 0 <= self.donor_correlation < 1:
            raise InputError(f"donor_correlation is {self.donor_correlation!r}; expected 0 or more, and below 1")
        for name, minimum in _MINIMUM.items():
            if getattr(self, name) < minimum:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected at least {minimum}")
        if not self.fold_change > 0 or not self.between_sd >= 0 or not self.within_sd > 0:
            raise InputError("expected fold_change and within_sd above 0, and between_sd no less than 0")
        if self.response_rate == self.historical_rate or not self.convergence or self.fold_change == 1:
            raise InputError(
                "no number of patients shows an effect of none; expected a response_rate other than historical_rate, "
                "a convergence other than 0 and a fold_change other than 1"
            )

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The numbers of patients that are simulated: each one up to 30, then in steps of 3%."""
        largest = max(self.max_patients, 30)
        steps = np.rint(np.geomspace(30, largest, max(1, int(np.log(largest / 30) / 0.03))))
        sizes = np.unique(np.concatenate([np.arange(3, 31), steps.astype(np.int64), [self.max_patients]]))
        return sizes[sizes <= self.max_patients]
