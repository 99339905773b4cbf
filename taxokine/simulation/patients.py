"""The patients of a simulated trial at enrolment, their donors, and the days of their visits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.arrays import Mask, Matrix, Names, Positions
from taxokine.simulation.design import Trial

BATCHES = 3
"""Stool samples of each donor, of which a recipient receives one."""


@dataclass(frozen=True)
class Enrolment:
    """The patients at enrolment, (n_patients,) each.

    Attributes
    ----------
    ids : ndarray of str
        The patients.
    donor_ids : ndarray of str, (n_donors,)
    age : ndarray
        Standardised age, in population SDs.
    table : pandas.DataFrame, (n_patients, 7)
        The patients' sheet: `patient`, `centre`, `age`, `sex`, `bmi`, `ecog`, `prior_therapy`.
    donor : ndarray of int
        Position of each patient's donor.
    donor_sample : ndarray of str
        The donor's stool sample that the patient receives.
    engraftment : ndarray
        The donor's share of the patient's stool in the long run.
    treated : ndarray of bool
        Whether the patient receives FMT, and not a sham transplant.
    """

    ids: Names
    donor_ids: Names
    age: Matrix
    table: pd.DataFrame
    donor: Positions
    donor_sample: Names
    engraftment: Matrix
    treated: Mask

    @property
    def centre(self) -> Positions:
        """Position of each patient's centre, (n_patients,)."""
        return self.table["centre"].to_numpy() - 1


def enrol(trial: Trial, rng: np.random.Generator) -> Enrolment:
    """Simulate the patients at enrolment and assign a donor to each."""
    n = trial.n_patients
    ids = np.array([f"SIM-{i:0{max(3, len(str(n)))}d}" for i in range(1, n + 1)])
    donor_ids = np.array([f"SIM-D{i:02d}" for i in range(1, trial.n_donors + 1)])
    age, male, ecog = rng.standard_normal(n), rng.random(n) < 0.58, rng.choice(3, n, p=[0.55, 0.38, 0.07])
    table = pd.DataFrame(
        {
            "patient": ids,
            "centre": rng.integers(trial.n_centres, size=n) + 1,
            "age": np.rint(62 + 11 * age).clip(20, 95).astype(int),
            "sex": np.where(male, "male", "female"),
            "bmi": np.round(27 * np.exp(0.16 * rng.standard_normal(n)), 1),
            "ecog": ecog,
            "prior_therapy": np.where(rng.random(n) < 0.6, "yes", "no"),
        }
    )
    donor = rng.permutation(np.arange(n) % trial.n_donors)
    batch = rng.integers(BATCHES, size=n)
    engraftment = trial.transplant_effect * rng.beta(8 * trial.engraftment, 8 * (1 - trial.engraftment), size=n)
    donor_sample = np.array([f"{donor_ids[i]}-B{b + 1}" for i, b in zip(donor, batch, strict=True)])
    treated = _treated(trial, rng)
    if not treated.all():
        table["arm"] = np.where(treated, "FMT + ICI", "sham FMT + ICI")
    return Enrolment(
        ids, donor_ids, age, table, donor, np.where(treated, donor_sample, ""), engraftment * treated, treated
    )


def _treated(trial: Trial, rng: np.random.Generator) -> Mask:
    """Return which patients receive FMT, (n_patients,): all, or a random part of the stated size."""
    treated = np.arange(trial.n_patients) >= round(trial.control_share * trial.n_patients)
    # A generator of its own keeps the draws of trials with one arm as they are.
    return treated if treated.all() else rng.spawn(1)[0].permutation(treated)


def visit_days(trial: Trial, rng: np.random.Generator) -> tuple[NDArray[np.int64], Mask]:
    """Return the day of each visit, and whether the patient attended, (n_patients, n_visits) both."""
    shape = trial.n_patients, len(trial.visits)
    day = np.array(trial.visits) + rng.integers(-trial.visit_jitter, trial.visit_jitter, size=shape, endpoint=True)
    return day, rng.random(shape) >= trial.missing_share
