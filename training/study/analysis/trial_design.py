"""The design of the next trial, of one arm or of two: the effects to show, and assumptions on its patients."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from features.errors import InputError

_MINIMUM = {"per_donor": 1, "donors": 2, "max_patients": 5, "simulations": 100, "seed": 0}


@dataclass(frozen=True, kw_only=True)
class Design:
    """The effects that the next trial is to show, of one arm or of two, and assumptions on its patients.

    Attributes
    ----------
    response_rate : float
        Expected response rate with FMT, in (0, 1).
    convergence : float
        Mean approach in SDs between patients, other than 0: of one arm, that to the own donor beyond that to unrelated
        donors; of two, that of the arm with FMT to the donors beyond that of controls.
    donor_correlation : float
        Correlation of patients who share a donor, in [0, 1).
    fold_change : float
        Mean change of a cytokine from baseline as a ratio of concentrations, above 0; of two arms, beyond that of
        controls.
    between_sd, within_sd : float
        SDs of log2 concentrations: of patients' true changes, and of repeated blood draws of one patient.
    alpha, power : float
        Two-sided level, and the required probability to show the effect, in (0, 1).
    max_patients : int
        The largest number of patients that is simulated, of all arms together.
    simulations : int
        Trials for each number of patients.
    seed : int

    Raises
    ------
    InputError
        A parameter is out of its range, or an effect is none.
    """

    response_rate: float = 0.4
    convergence: float = 0.5
    donor_correlation: float = 0.2
    fold_change: float = 2.0
    between_sd: float = 0.5
    within_sd: float = 1.0
    alpha: float = 0.05
    power: float = 0.8
    max_patients: int = 200
    simulations: int = 2000
    seed: int = 0

    smallest: ClassVar[int] = 3
    """The smallest number of patients that is simulated."""
    shares: ClassVar[tuple[str, ...]] = ("response_rate", "alpha", "power")
    """Parameters in (0, 1)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for field in fields(self):
            if not math.isfinite(getattr(self, field.name)):
                raise InputError(f"{field.name} is {getattr(self, field.name)!r}; expected a finite number")
        for name in self.shares:
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a share between 0 and 1")
        if not 0 <= self.donor_correlation < 1:
            raise InputError(f"donor_correlation is {self.donor_correlation!r}; expected 0 or more, and below 1")
        for name, minimum in _MINIMUM.items():
            if getattr(self, name, minimum) < minimum:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected at least {minimum}")
        if not self.fold_change > 0 or not self.between_sd >= 0 or not self.within_sd > 0:
            raise InputError("expected fold_change and within_sd above 0, and between_sd no less than 0")
        if not self.convergence or self.fold_change == 1:
            raise InputError(
                "no number of patients shows an effect of none; expected a convergence other than 0 and a fold_change "
                "other than 1"
            )

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The numbers of patients that are simulated: each one up to 30, then in steps of 3%."""
        largest = max(self.max_patients, 30)
        steps = np.rint(np.geomspace(30, largest, max(1, int(np.log(largest / 30) / 0.03))))
        sizes = np.unique(np.concatenate([np.arange(self.smallest, 31), steps.astype(np.int64), [self.max_patients]]))
        return sizes[sizes <= self.max_patients]


@dataclass(frozen=True, kw_only=True)
class TrialDesign(Design):
    """The design of a trial of one arm.

    Attributes
    ----------
    historical_rate : float
        Response rate known without the treatment, in (0, 1), other than `response_rate`.
    auroc : float
        AUROC of a score fixed beforehand, in (0.5, 1), against 0.5, where `response_rate` respond.
    per_donor : int
        Patients who share a donor.

    Raises
    ------
    InputError
        A parameter is out of its range, or an effect is none.
    """

    historical_rate: float = 0.2
    auroc: float = 0.75
    per_donor: int = 2

    shares: ClassVar[tuple[str, ...]] = (*Design.shares, "historical_rate")

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if not 0.5 < self.auroc < 1:
            raise InputError(f"auroc is {self.auroc!r}; expected more than 0.5, and below 1")
        if self.response_rate == self.historical_rate:
            raise InputError(
                f"response_rate and historical_rate are both {self.response_rate!r}, and no number of patients shows "
                "an effect of none; expected two rates"
            )


@dataclass(frozen=True, kw_only=True)
class TwoArmDesign(Design):
    """The design of a randomised trial: half of the patients receive FMT and ICI, half are controls.

    Attributes
    ----------
    response_rate : float
        Expected response rate with FMT, in (0, 1).
    control_rate : float
        Expected response rate of controls, in (0, 1), other than `response_rate`.
    hazard_ratio : float
        Hazard of progression or death with FMT over that of controls, above 0 and other than 1; constant hazards.
    control_median : float
        Median progression-free survival of controls, in months.
    accrual, follow_up : float
        Months over which patients enter evenly, and months from the last entry to the analysis.
    donors : int
        Donors who give stool to the arm with FMT, each to the same number of patients, nearly; at least two.

    Raises
    ------
    InputError
        A parameter is out of its range, or an effect is none.
    """

    response_rate: float = 0.52
    donor_correlation: float = 0.05
    control_rate: float = 0.32
    hazard_ratio: float = 0.5
    control_median: float = 8.0
    accrual: float = 18.0
    follow_up: float = 12.0
    donors: int = 4

    smallest: ClassVar[int] = 8
    shares: ClassVar[tuple[str, ...]] = (*Design.shares, "control_rate")

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if self.max_patients < 2 * self.donors:
            raise InputError(
                f"max_patients is {self.max_patients!r} with {self.donors} donors; expected at least "
                f"{2 * self.donors}, so that each donor has a recipient"
            )
        if not self.hazard_ratio > 0 or not self.control_median > 0 or not min(self.accrual, self.follow_up) >= 0:
            raise InputError("expected hazard_ratio and control_median above 0, accrual and follow_up no less than 0")
        if not self.accrual + self.follow_up > 0:
            raise InputError("accrual and follow_up are both 0, so that nobody is followed; expected one above 0")
        if self.response_rate == self.control_rate or self.hazard_ratio == 1:
            raise InputError(
                "no number of patients shows an effect of none; expected a response_rate other than control_rate and a "
                "hazard_ratio other than 1"
            )
